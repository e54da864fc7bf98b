"""The policy of another team suffices for the stack in docs/examples/, and for no rule of the stage."""

from dataclasses import replace

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
