"""Make the CloudWatch dashboard of a stage from the rows of dashboard.yaml.

Source: "Dashboard Body Structure and Syntax", Amazon CloudWatch API Reference. The body is the text of an Fn::Sub, so
that names, ARNs and limits are those of the stage.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from deploy.errors import DeployError
from deploy.templates.alarms import LEVELS

COLUMNS = 24
HEIGHT = 6
PERIOD_S = 60
# The last three hours: long enough for a trend, short enough for lines of a minute.
START = "-PT3H"
_ALARM = "arn:${AWS::Partition}:cloudwatch:${AWS::Region}:${AWS::AccountId}:alarm:scones-${Stage}-"
_FIELDS = {"Title", "View", "Period", "Start", "Axis", "Range", "Stacked", "Metrics", "Lines", "Alarms"}
# A reference whose value is a number, which JSON does not quote.
_NUMBER = re.compile(r'"number (\$\{\w+\})"')


def add_dashboard(
    template: dict[str, Any], rows: Sequence[Mapping[str, Any]], alarms: Mapping[str, Mapping[str, Any]]
) -> None:
    """Add the dashboard to a template.

    `rows` is the content of dashboard.yaml, `alarms` that of alarms.yaml by name. Raises DeployError for an unknown
    field or alarm.
    """
    widgets: list[dict[str, Any]] = []
    y = 0
    for row in rows:
        placed = _text(row["Text"]) if "Text" in row else _row(row, alarms)
        widgets += [{**widget, "y": y} for widget in placed]
        y += placed[0]["height"]
    # Without `inherit`, a longer time range would make "per minute" an average of hours.
    body = json.dumps({"start": START, "periodOverride": "inherit", "widgets": widgets}, separators=(",", ":"))
    template["Resources"]["Dashboard"] = {
        "Type": "AWS::CloudWatch::Dashboard",
        "Properties": {
            "DashboardName": {"Fn::Sub": "scones-${Stage}"},
            "DashboardBody": {"Fn::Sub": _NUMBER.sub(r"\1", body)},
        },
    }


def _text(markdown: str) -> list[dict[str, Any]]:
    return [{"type": "text", "x": 0, "width": COLUMNS, "height": 1, "properties": {"markdown": markdown}}]


def _row(row: Mapping[str, Any], alarms: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    width = COLUMNS // len(row["Widgets"])
    height = row.get("Height", HEIGHT)
    placed = []
    for number, widget in enumerate(row["Widgets"]):
        if unknown := set(widget) - _FIELDS:
            raise DeployError(f"deploy/templates/dashboard.yaml: {widget['Title']} has {', '.join(sorted(unknown))}")
        of_alarms = "Alarms" in widget
        place = {"x": number * width, "width": width, "height": height}
        properties = _states(widget, alarms) if of_alarms else _graph(widget, alarms)
        placed.append({"type": "alarm" if of_alarms else "metric", **place, "properties": properties})
    return placed


def _states(widget: Mapping[str, Any], alarms: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the properties of a widget with the states of the alarms of a level, those in ALARM first."""
    level = widget["Alarms"]
    if level not in LEVELS:
        raise DeployError(f"deploy/templates/dashboard.yaml: the level {level!r} is not {' or '.join(LEVELS)}")
    names = [name for name, alarm in alarms.items() if alarm["Level"] == level]
    return {"title": widget["Title"], "sortBy": "stateUpdatedTimestamp", "alarms": [_ALARM + name for name in names]}


def _graph(widget: Mapping[str, Any], alarms: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    metrics: list[list[Any]] = []
    lines = [_line(line["Value"], line["Label"]) for line in widget.get("Lines", ())]
    for number, metric in enumerate(widget["Metrics"]):
        if (name := metric.get("Alarm")) is not None:
            if name not in alarms:
                raise DeployError(f"deploy/templates/dashboard.yaml: {widget['Title']} has the unknown alarm {name}")
            alarm = alarms[name]
            metric = {**alarm, **metric}
            if alarm["Threshold"] not in [0, *(line["value"] for line in lines)]:
                lines.append(_line(alarm["Threshold"], f"alarm {name}"))
        metrics.append(_metric(metric, number))
    properties: dict[str, Any] = {
        "title": widget["Title"],
        "region": "${AWS::Region}",
        "view": widget.get("View", "timeSeries"),
        "period": widget.get("Period", PERIOD_S),
        "metrics": metrics,
        **({"start": widget["Start"]} if "Start" in widget else {}),
    }
    if properties["view"] == "singleValue":
        return {**properties, "sparkline": True}
    least, *largest = widget.get("Range", [0])
    left = {"label": widget["Axis"], "showUnits": False, "min": least, **({"max": largest[0]} if largest else {})}
    properties |= {"stacked": widget.get("Stacked", False), "yAxis": {"left": left}}
    return {**properties, **({"annotations": {"horizontal": lines}} if lines else {})}


def _metric(metric: Mapping[str, Any], number: int) -> list[Any]:
    """Return a metric or an expression in the format of the array `metrics`."""
    shown = {"id": metric.get("Id", f"m{number}")}
    if "Label" in metric:
        shown["label"] = metric["Label"]
    if "Expression" in metric:
        return [{"expression": metric["Expression"], **shown}]
    namespace, name = metric["Metric"].split()
    dimensions = [text for pair in metric["Dimensions"].items() for text in (pair[0], _reference(pair[1]))]
    options = {**shown, "stat": metric["Statistic"], **({"visible": False} if metric.get("Hidden") else {})}
    return [namespace, name, *dimensions, options]


def _line(value: Any, label: str) -> dict[str, Any]:
    return {"value": f"number {_reference(value)}" if isinstance(value, Mapping) else value, "label": label}


def _reference(value: Any) -> str:
    """Return a value of a dimension as text of an Fn::Sub.

    >>> _reference({"Ref": "Stage"}), _reference({"Fn::GetAtt": ["Queue", "QueueName"]}), _reference("AllTraffic")
    ('${Stage}', '${Queue.QueueName}', 'AllTraffic')
    """
    if not isinstance(value, Mapping):
        return str(value)
    ((function, argument),) = value.items()
    if function == "Fn::Sub":
        return str(argument)
    return f"${{{'.'.join(argument) if isinstance(argument, list) else argument}}}"
