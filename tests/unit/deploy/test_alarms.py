"""The alarms of a stage: what each is for, who is notified, and that its metric is one that somebody publishes."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from deploy.errors import DeployError
from deploy.settings import given_settings
from deploy.target import Target
from deploy.templates import load_alarms, load_template
from deploy.templates.alarms import LEVELS, add_alarms, runbook

APP = load_template("app")
ROOT = Path(__file__).parents[3]
ENTRY = {
    "Meaning": "It is broken.",
    "Action": "`make status` shows it.",
    "Level": "page",
    "Metric": "AWS/SQS Age",
    "Dimensions": {"QueueName": "q"},
    "Statistic": "Sum",
    "Threshold": 0,
}


def alarms() -> dict[str, dict[str, Any]]:
    """The metric alarms of the template by the last part of their name, without the one of a deployment."""
    found = {
        resource["Properties"]["AlarmName"]["Fn::Sub"].removeprefix("scones-${Stage}-"): resource["Properties"]
        for resource in APP["Resources"].values()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    }
    del found["maintenance"]
    return found


def test_every_alarm_says_what_happened_and_which_command_to_run() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = dict(re.findall(r"^([a-z]+):((?:.*\n)(?:\t.*\n)*)", makefile, re.MULTILINE))
    for name, alarm in alarms().items():
        text = alarm["AlarmDescription"]
        assert len(text) <= 1024, name
        commands = re.findall(r"`make ([a-z]+)([^`]*)`", text)
        for command, rest in commands:
            assert command in targets, name
            known = re.findall(r"\b[A-Z_]+\b", targets[command])
            assert set(re.findall(r"\b([A-Z_]+)=", rest)) <= set(known), name
        assert commands or "log" in text or "quota" in text, f"{name} says nothing to do"


def test_an_alarm_notifies_through_the_composite_alarm_of_its_level() -> None:
    named: list[str] = []
    for level, topic in LEVELS.items():
        composite = APP["Resources"][f"{level.title()}Alarm"]["Properties"]
        assert composite["AlarmActions"] == composite["OKActions"] == [{"Ref": topic}]
        assert composite["ActionsSuppressor"] == {"Fn::GetAtt": ["MaintenanceAlarm", "Arn"]}
        rule = composite["AlarmRule"]["Fn::Sub"]
        # The limits of PutCompositeAlarm.
        assert len(rule) <= 10240
        children = re.findall(r'ALARM\("scones-\$\{Stage\}-([a-z0-9-]+)"\)', rule)
        assert len(children) <= 100
        named += children
    assert sorted(named) == sorted(alarms())
    assert not any("AlarmActions" in alarm for alarm in alarms().values())


def test_the_alarms_of_the_bake_and_of_a_rollback_exist() -> None:
    given = given_settings(Target("aws", "dev"), APP, {})
    for setting in ("BakeAlarms", "RollbackAlarms"):
        assert {name.removeprefix("scones-dev-") for name in given[setting].split(",")} <= set(alarms()), setting


def test_a_stage_has_metrics_of_its_own() -> None:
    for name, alarm in alarms().items():
        if alarm["Namespace"] == "Scones/Vehicles":
            assert {"Name": "stage", "Value": {"Ref": "Stage"}} in alarm["Dimensions"], name
        else:
            assert "${Stage}" in json.dumps(alarm["Dimensions"]) or any(
                word in json.dumps(alarm["Dimensions"]) for word in ("Ref", "GetAtt")
            ), name


def test_the_page_about_the_alarms_is_current() -> None:
    assert (ROOT / "docs" / "alarms.md").read_text(encoding="utf-8") == runbook(load_alarms()), "run `make alarms`"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({**ENTRY, "Level": "shout"}, "level 'shout'; pass page or inform"),
        ({**ENTRY, "Colour": "red"}, "unknown field Colour"),
        ({name: value for name, value in ENTRY.items() if name != "Action"}, "broken lacks Action"),
    ],
)
def test_a_mistake_in_an_entry_is_named(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(DeployError, match=message):
        add_alarms({"Resources": {}}, {"broken": entry})
