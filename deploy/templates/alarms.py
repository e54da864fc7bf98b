"""Expand the entries of alarms.yaml into metric alarms, and two composite alarms that notify.

A metric alarm has no action of its own: ten of them for one cause would be ten messages. `scones-{stage}-page` and
`scones-{stage}-inform` are in ALARM while at least one of their level is, and neither notifies during a deployment
(`scones-{stage}-maintenance`). Source: "Create a composite alarm" and "Suppress composite alarm actions", Amazon
CloudWatch User Guide.
"""

from collections.abc import Mapping
from typing import Any

from deploy.errors import DeployError

LEVELS = {"page": "AlertTopic", "inform": "NoticeTopic"}
"""The topic of each level, by logical id."""
REQUIRED = {"Meaning", "Action", "Level", "Metric", "Dimensions", "Statistic", "Threshold"}
DEFAULTS = {
    "Period": 60,
    "EvaluationPeriods": 1,
    "ComparisonOperator": "GreaterThanThreshold",
    "TreatMissingData": "notBreaching",
}
_DOCUMENTED = {"Unit"}
_COMPARISONS = {
    "GreaterThanThreshold": "over",
    "GreaterThanOrEqualToThreshold": "at least",
    "LessThanThreshold": "below",
}

# Actions are kept back for this long after the end of a deployment, so that alarms of it can return to OK first.
_SILENCE_AFTER_S = 60
# How long to wait for the maintenance alarm when one of its children changes first.
_SILENCE_BEFORE_S = 60


def alarm_id(name: str) -> str:
    """Return the logical id of an alarm.

    >>> alarm_id("unrouted-photos")
    'UnroutedPhotosAlarm'
    """
    return f"{name.title().replace('-', '')}Alarm"


def add_alarms(template: dict[str, Any], entries: Mapping[str, Mapping[str, Any]]) -> None:
    """Add the resources of all alarms to a template.

    `entries` is the content of alarms.yaml by name. Raises DeployError naming every missing or unknown field.
    """
    if mistakes := _mistakes(entries):
        raise DeployError(f"deploy/templates/alarms.yaml: {'; '.join(mistakes)}")
    template["Resources"] |= {alarm_id(name): _alarm(name, entry) for name, entry in entries.items()}
    for level, topic in LEVELS.items():
        names = [name for name, entry in entries.items() if entry["Level"] == level]
        template["Resources"][alarm_id(level)] = _composite(level, names, topic)


def runbook(entries: Mapping[str, Mapping[str, Any]]) -> str:
    """Return docs/alarms.md: what each alarm means, what to do, and when it goes off."""
    lines = [
        "# Alarms",
        "",
        "`page`: somebody has to act now, and `scones-{stage}-page` notifies the topic of alerts. `inform`: within",
        "days, and `scones-{stage}-inform` notifies the topic of notices. `ALERT_EMAIL` subscribes to both topics,",
        "`ALERT_URL` to alerts. Neither notifies while a deployment runs. `make status` lists the alarms in ALARM.",
        "The CloudWatch dashboard `scones-{stage}` shows their states and their metrics; on AWS, `make deploy` prints",
        "its address (`DashboardUrl`).",
        "",
        "This page is written by `make alarms` from deploy/templates/alarms.yaml.",
        "",
        "| Alarm | Level | What it means | What to do | In ALARM when |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, entry in entries.items():
        cells = (f"`{name}`", entry["Level"], entry["Meaning"], entry["Action"], _condition(entry))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _condition(entry: Mapping[str, Any]) -> str:
    """Return when an alarm goes off, in words."""
    entry = {**DEFAULTS, **entry}
    threshold = entry["Threshold"]
    limit = f"`{threshold['Ref']}`" if isinstance(threshold, Mapping) else f"{threshold:,}"
    unit = f" {entry['Unit']}" if "Unit" in entry else ""
    count, seconds = entry["EvaluationPeriods"], entry["Period"]
    periods = f"{seconds:,} s" if count == 1 else f"{count} periods of {seconds:,} s"
    missing = ", or without data" if entry["TreatMissingData"] == "breaching" else ""
    comparison = _COMPARISONS[entry["ComparisonOperator"]]
    return f"{entry['Statistic'].lower()} of {entry['Metric']} {comparison} {limit}{unit} in {periods}{missing}"


def _mistakes(entries: Mapping[str, Mapping[str, Any]]) -> list[str]:
    mistakes = []
    for name, entry in entries.items():
        mistakes += [f"{name} lacks {field}" for field in sorted(REQUIRED - set(entry))]
        mistakes += [
            f"{name} has the unknown field {field}"
            for field in sorted(set(entry) - REQUIRED - set(DEFAULTS) - _DOCUMENTED)
        ]
        if entry.get("Level") not in LEVELS:
            mistakes.append(f"{name} has the level {entry.get('Level')!r}; pass {' or '.join(LEVELS)}")
    return mistakes


def _alarm(name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    namespace, metric = entry["Metric"].split()
    return {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "AlarmName": {"Fn::Sub": f"scones-${{Stage}}-{name}"},
            "AlarmDescription": f"{entry['Meaning']} {entry['Action']}",
            "Namespace": namespace,
            "MetricName": metric,
            "Dimensions": [{"Name": key, "Value": value} for key, value in entry["Dimensions"].items()],
            "Statistic": entry["Statistic"],
            "Threshold": entry["Threshold"],
            **{field: entry.get(field, default) for field, default in DEFAULTS.items()},
        },
    }


def _composite(level: str, names: list[str], topic: str) -> dict[str, Any]:
    rule = " OR ".join(f'ALARM("scones-${{Stage}}-{name}")' for name in names)
    what = "Somebody has to act now" if level == "page" else "Something needs attention within days"
    return {
        "Type": "AWS::CloudWatch::CompositeAlarm",
        # A rule names its alarms as text.
        "DependsOn": [alarm_id(name) for name in names],
        "Properties": {
            "AlarmName": {"Fn::Sub": f"scones-${{Stage}}-{level}"},
            "AlarmDescription": f"{what}: the message names the alarm; `make status` shows each and what to do.",
            "AlarmRule": {"Fn::Sub": rule},
            "AlarmActions": [{"Ref": topic}],
            "OKActions": [{"Ref": topic}],
            "ActionsSuppressor": {"Fn::GetAtt": ["MaintenanceAlarm", "Arn"]},
            "ActionsSuppressorWaitPeriod": _SILENCE_BEFORE_S,
            "ActionsSuppressorExtensionPeriod": _SILENCE_AFTER_S,
        },
    }
