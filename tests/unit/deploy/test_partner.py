"""The policy of another team suffices for the stack in docs/examples/, and for no rule of the stage; names stay."""

from dataclasses import replace
from pathlib import Path

from deploy.templates import load_template
from tests.support.deployer import is_allowed
from tests.support.partner import rule_needs

NEEDS = list(rule_needs("dev", "orders"))


def test_a_team_may_create_change_and_delete_its_rule_through_cloudformation() -> None:
    assert {need.resource for need in NEEDS} == {
        "arn:aws:events:eu-west-1:123456789012:rule/scones-dev/partner-orders-decisions"
    }
    assert [need for need in NEEDS if not is_allowed(need, ("PartnerPolicy",))] == []


def test_a_team_may_do_the_same_with_no_rule_of_the_stage_or_of_another_stage() -> None:
    own = "scones-dev/partner-orders-decisions"
    for need in NEEDS:
        for name in ("scones-dev/scones-dev-retrain-on-drift", "scones-dev2/partner-orders-decisions"):
            other = replace(need, resource=need.resource.replace(own, name))
            assert other.resource != need.resource
            assert not is_allowed(other, ("PartnerPolicy",)), other


def test_the_names_that_other_teams_use_are_those_of_the_stage() -> None:
    """Another name needs a new version: docs/contract.md."""
    app, data = load_template("app"), load_template("data")
    resources = {**data["Resources"], **app["Resources"]}
    assert resources["EventBus"]["Properties"]["Name"] == {"Fn::Sub": "scones-${Stage}"}
    for name in ("photo", "batch"):
        workflow = resources[f"Classify{name.title()}Workflow"]["Properties"]
        assert workflow["StateMachineName"] == {"Fn::Sub": f"scones-${{Stage}}-classify-{name}"}
    for name in ("uploads", "ml"):
        bucket = {"Fn::Sub": f"scones-${{Stage}}-{name}-${{AWS::AccountId}}-${{AWS::Region}}"}
        assert resources[f"{name.title()}Bucket"]["Properties"]["BucketName"] == bucket
    assert app["Outputs"]["EndpointName"]["Value"] == {"Fn::Sub": "scones-${Stage}-vehicles"}
    routes = {one["Properties"]["RouteKey"] for one in resources.values() if one["Type"] == "AWS::ApiGatewayV2::Route"}
    page = (Path(__file__).resolve().parents[3] / "docs" / "driver-api.md").read_text(encoding="utf-8")
    assert routes >= {
        "POST /drivers/{driver_id}/uploads",
        "GET /drivers/{driver_id}/uploads/{upload_id}",
        "GET /drivers/{driver_id}/photos/{photo_id}",
        "GET /drivers/{driver_id}/photos/last",
    }
    assert all(f"`{route}`" in page for route in routes)
