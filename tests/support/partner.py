"""The stack of another team in docs/examples/, and what CloudFormation needs for its rule on the bus of the stage."""

from collections.abc import Iterator
from pathlib import Path

from cfnlint.decode import cfn_yaml

from tests.support.change_sets import physical_ids
from tests.support.cloudformation_templates import Resolver
from tests.support.deployer import Need, Stacks

STACK = Path(__file__).resolve().parents[2] / "docs" / "examples" / "stack.yaml"


def rule_needs(stage: str, team: str) -> Iterator[Need]:
    """Yield what the handler of the rule needs; every other resource of the stack is the team's own."""
    template = cfn_yaml.load(str(STACK))
    parameters = {"Stage": stage, "Team": team, "PartnerPolicyArn": "arn", "Sources": "scones.vehicles"}
    resources = Resolver(template, parameters, physical_ids(team, template, parameters)).resources()
    stacks = Stacks({f"{team}/{name}": one for name, one in resources.items()})
    for name, one in resources.items():
        if one["Type"] == "AWS::Events::Rule":
            for to_delete in (False, True):
                yield from stacks.needs(f"{team}/{name}", to_delete=to_delete)
