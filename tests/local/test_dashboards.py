"""Dashboards: kept as they are, and refused when CloudWatch could not show them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.local.aws import Aws, call_refused
from tests.local.test_cloudformation import deploy

TEXT = {"type": "text", "x": 0, "y": 0, "width": 24, "height": 1, "properties": {"markdown": "# Hello"}}
METRIC = {"type": "metric", "properties": {"metrics": [["Tests", "Photos"]], "region": "eu-west-1"}}


def dashboard(name: str, *widgets: dict[str, Any]) -> dict[str, Any]:
    """Return a resource of a stack."""
    body = json.dumps({"widgets": widgets})
    return {"Type": "AWS::CloudWatch::Dashboard", "Properties": {"DashboardName": name, "DashboardBody": body}}


def test_a_dashboard_of_a_stack_is_kept(aws: Aws) -> None:
    deploy(aws, "with-dashboard", {"Dashboard": dashboard("shown", TEXT, METRIC)}, {})
    kept = aws.client("cloudwatch").get_dashboard(DashboardName="shown")
    assert json.loads(kept["DashboardBody"]) == {"widgets": [TEXT, METRIC]}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("no JSON", "must be a valid JSON object"),
        ("[]", "must be a valid JSON object"),
        ("{}", "'widgets'"),
        (json.dumps({"widgets": [{"type": "text"}]}), "/widgets/0: Should have required property 'properties'"),
        (json.dumps({"widgets": [TEXT, {**TEXT, "type": "picture"}]}), "/widgets/1/type: Should be equal to one of"),
        (json.dumps({"widgets": [{**TEXT, "width": 25}]}), "/widgets/0/width: Should be an integer from 1 to 24"),
        (json.dumps({"widgets": [{**METRIC, "properties": {"metrics": []}}]}), "required property 'region'"),
    ],
)
def test_a_body_that_cannot_be_shown_is_refused(aws: Aws, body: str, message: str) -> None:
    cloudwatch = aws.client("cloudwatch")
    code, refusal = call_refused(cloudwatch.put_dashboard, DashboardName="broken", DashboardBody=body)
    assert code == "InvalidParameterInput"
    assert message in refusal
    assert [one["DashboardName"] for one in cloudwatch.list_dashboards()["DashboardEntries"]].count("broken") == 0


def test_a_stack_with_such_a_body_fails(aws: Aws) -> None:
    with pytest.raises(AssertionError, match="The dashboard body is invalid, there are 1 validation errors"):
        deploy(aws, "broken-dashboard", {"Dashboard": dashboard("broken", {**TEXT, "x": 24})}, {})
