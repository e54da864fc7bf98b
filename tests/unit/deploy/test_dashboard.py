"""The dashboard: a body that CloudWatch accepts, with every alarm on it."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from deploy.errors import DeployError
from deploy.templates import load_alarms, load_template
from deploy.templates.alarms import LEVELS
from deploy.templates.dashboard import COLUMNS, add_dashboard
from tests.support import dashboard_body
from tests.support.dashboard_of_stage import resolved_dashboard

BODY = resolved_dashboard()
WIDGET = {"Title": "Wait", "Axis": "s"}


def body_of(*widgets: dict[str, Any]) -> dict[str, Any]:
    """The body of a dashboard with one row."""
    template: dict[str, Any] = {"Resources": {}}
    add_dashboard(template, [{"Widgets": list(widgets)}], load_alarms())
    body: dict[str, Any] = json.loads(template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"])
    return body


def test_the_body_has_the_documented_structure() -> None:
    Draft202012Validator(dashboard_body.SCHEMA).validate(BODY)
    assert len(list(dashboard_body.named(BODY))) > 40


def test_widgets_neither_overlap_nor_leave_gaps_in_a_row() -> None:
    cells = [
        (widget["x"] + column, widget["y"] + row)
        for widget in BODY["widgets"]
        for column in range(widget["width"])
        for row in range(widget["height"])
    ]
    rows = {y for _, y in cells}
    assert sorted(cells) == [(x, y) for x in range(COLUMNS) for y in range(max(rows) + 1)]


def test_every_alarm_is_shown_with_those_of_its_level() -> None:
    shown = [widget["properties"]["alarms"] for widget in BODY["widgets"] if widget["type"] == "alarm"]
    for level, arns in zip(LEVELS, shown, strict=True):
        names = {arn.rpartition(":scones-dev-")[2] for arn in arns}
        assert names == {name for name, alarm in load_alarms().items() if alarm["Level"] == level}


def test_the_metric_of_an_alarm_has_its_threshold_as_a_line() -> None:
    alarm = load_alarms()["waiting-drivers"]
    (widget,) = body_of({**WIDGET, "Metrics": [{"Alarm": "waiting-drivers", "Label": "wait"}]})["widgets"]
    ((namespace, name, *_, options),) = widget["properties"]["metrics"]
    assert f"{namespace} {name}" == alarm["Metric"]
    assert options["stat"] == alarm["Statistic"]
    (line,) = widget["properties"]["annotations"]["horizontal"]
    assert line == {"value": alarm["Threshold"], "label": "alarm waiting-drivers"}


def test_a_setting_is_a_line_at_its_value() -> None:
    (drift,) = [one for one in BODY["widgets"] if one["properties"].get("title") == "Drift of each statistic"]
    default = load_template("app")["Parameters"]["DriftPsiLimit"]["Default"]
    assert drift["properties"]["annotations"]["horizontal"][0]["value"] == default


@pytest.mark.parametrize(
    ("widget", "message"),
    [
        ({**WIDGET, "Metrics": [{"Alarm": "no-such"}]}, "Wait has the unknown alarm no-such"),
        ({**WIDGET, "Metrics": [], "Colour": "red"}, "Wait has Colour"),
        ({"Title": "All", "Alarms": "shout"}, "the level 'shout' is not page or inform"),
    ],
)
def test_a_mistake_in_a_row_is_named(widget: dict[str, Any], message: str) -> None:
    with pytest.raises(DeployError, match=message):
        body_of(widget)
