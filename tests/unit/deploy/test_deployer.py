"""The policies of a deployer: they suffice for both stacks and every command, and for nothing else.

The fixture `account` checks that every call of the commands in the rehearsal is allowed.
"""

import json
import re
from typing import Any

import pytest

from deploy.templates import load_template
from tests.support.deployer import (
    ACCOUNT,
    BOUNDARY,
    DEPLOYER,
    REMOVER,
    Need,
    Stacks,
    arn,
    documents,
    is_allowed,
)

STACKS = Stacks.of()
# Who removes them needs RemoverPolicy beside the policies of a deployer.
DATA = {
    "scones-dev-data/PhotoTable",
    "scones-dev-data/ModelTable",
    "scones-dev-data/ImageRepository",
}


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize("key", STACKS.resources)
def test_a_deployer_may_create_change_and_delete_each_resource_of_the_stacks(key: str) -> None:
    denied = [need for need in STACKS.needs(key, to_delete=False) if not is_allowed(need, DEPLOYER)]
    assert denied == []
    denied = [need for need in STACKS.needs(key, to_delete=True) if not is_allowed(need, DEPLOYER)]
    if key not in DATA:
        assert denied == []
    else:
        assert denied, "a deployer could remove data"
        assert [need for need in denied if not is_allowed(need, REMOVER)] == []


@pytest.mark.parametrize("key", STACKS.resources)
def test_a_deployer_may_do_nothing_with_the_same_resource_of_another_stage(key: str) -> None:
    """The stage `dev2` has a name that begins with the one of the stage `dev`."""
    other = Stacks.of("dev2")
    for need in (
        *other.needs(key.replace("scones-dev", "scones-dev2"), to_delete=False),
        *other.needs(key.replace("scones-dev", "scones-dev2"), to_delete=True),
    ):
        # `make status` reads alarms by the beginning of their names, which is permission for all of them. Parts of an
        # HTTP API have no tags; people.yaml says so.
        if need.action != "cloudwatch:DescribeAlarms" and not re.search(
            "/apis/.*/(integrations|routes)/", need.resource
        ):
            assert not is_allowed(need, REMOVER), need


def role(name: str) -> str:
    return arn("iam", f"role/{name}", region="")


RAISING = {
    "a role without a boundary": Need("iam:CreateRole", role("scones-dev-x")),
    "a role with another boundary": Need(
        "iam:CreateRole",
        role("scones-dev-x"),
        {"iam:permissionsboundary": "arn:aws:iam::aws:policy/AdministratorAccess"},
    ),
    "a policy for a role without a boundary": Need("iam:PutRolePolicy", role("scones-dev-x")),
    "a role of somebody else": Need("iam:CreateRole", role("admin"), {"iam:permissionsboundary": BOUNDARY}),
    "a role without its boundary": Need(
        "iam:DeleteRolePermissionsBoundary", role("scones-dev-x"), {"iam:permissionsboundary": BOUNDARY}
    ),
    "a managed policy for a role": Need(
        "iam:AttachRolePolicy", role("scones-dev-x"), {"iam:permissionsboundary": BOUNDARY}
    ),
    "another boundary": Need("iam:CreatePolicyVersion", BOUNDARY),
    "another policy for people": Need("iam:CreatePolicyVersion", f"{BOUNDARY.removesuffix('Boundary')}OperatorPolicy"),
    "a new policy": Need("iam:CreatePolicy", arn("iam", "policy/scones-dev-x", region="")),
    "a policy of a user": Need("iam:AttachUserPolicy", arn("iam", "user/dora", region="")),
    "an inline policy of a user": Need("iam:PutUserPolicy", arn("iam", "user/dora", region="")),
    "a user": Need("iam:CreateUser", arn("iam", "user/mallory", region="")),
    "a role of the stage for an instance": Need(
        "iam:PassRole", role("scones-dev-x"), {"iam:passedtoservice": "ec2.amazonaws.com"}
    ),
    "another role for a function": Need("iam:PassRole", role("admin"), {"iam:passedtoservice": "lambda.amazonaws.com"}),
    "the stack of the policies": Need(
        "cloudformation:CreateChangeSet", arn("cloudformation", "stack/scones-dev-people/1")
    ),
    "the template of the policies": Need(
        "cloudformation:UpdateStack", arn("cloudformation", "stack/scones-dev-people/1")
    ),
    "a stack without a change set": Need("cloudformation:UpdateStack", arn("cloudformation", "stack/scones-dev/1")),
    "an import of a resource": Need(
        "cloudformation:CreateChangeSet",
        arn("cloudformation", "stack/scones-dev/1"),
        {"cloudformation:importresourcetypes": ["AWS::KMS::Key"]},
    ),
    "the key of somebody else": Need("kms:PutKeyPolicy", arn("kms", "key/1"), {"aws:resourcetag/stack": "billing"}),
    "the tag of the key of somebody else": Need(
        "kms:TagResource", arn("kms", "key/1"), {"aws:requesttag/stack": "scones-dev"}
    ),
    "the API of somebody else": Need(
        "apigateway:PATCH",
        "arn:aws:apigateway:eu-west-1::/apis/a1b2c3d4e5",
        {"aws:resourcetag/stack": "billing", "aws:calledvia": ["cloudformation.amazonaws.com"]},
    ),
    "a route of an API without CloudFormation": Need(
        "apigateway:POST", "arn:aws:apigateway:eu-west-1::/apis/a1b2c3d4e5/routes"
    ),
    "the decryption with the key of the alerts": Need(
        "kms:Decrypt", arn("kms", "key/1"), {"aws:resourcetag/stack": "scones-dev"}
    ),
}


@pytest.mark.parametrize("need", RAISING.values(), ids=RAISING)
def test_a_deployer_cannot_raise_their_own_permissions(need: Need) -> None:
    assert not is_allowed(need, REMOVER)


@pytest.mark.parametrize(
    "need",
    [
        Need("s3:DeleteObjectVersion", f"arn:aws:s3:::scones-dev-ml-{ACCOUNT}-eu-west-1/labels/1"),
        Need("s3:DeleteObjectVersion", f"arn:aws:s3:::scones-dev-uploads-{ACCOUNT}-eu-west-1/uploads/d7/1.jpg"),
        Need("s3:DeleteObjectVersion", f"arn:aws:s3:::scones-dev-artifacts-{ACCOUNT}-eu-west-1/assign-bay-1.zip"),
        Need(
            "s3:PutObject", f"arn:aws:s3:::scones-dev-ml-{ACCOUNT}-eu-west-1/models/vehicles-dev-1/output/model.tar.gz"
        ),
        Need("dynamodb:PutItem", arn("dynamodb", "table/scones-dev-models")),
        Need("dynamodb:DeleteItem", arn("dynamodb", "table/scones-dev-photos")),
        Need("cloudformation:DeleteStack", arn("cloudformation", "stack/scones-dev-data/1")),
        Need("sagemaker:DeleteModel", arn("sagemaker", "model/vehicles-dev-1")),
    ],
    ids=lambda need: f"{need.action} {need.resource.rpartition(':')[2]}",
)
def test_a_deployer_deletes_no_data_and_makes_no_champion(need: Need) -> None:
    assert not is_allowed(need, DEPLOYER)


def test_every_role_of_the_stage_has_the_boundary() -> None:
    roles = {key: one["Properties"] for key, one in STACKS.resources.items() if one["Type"] == "AWS::IAM::Role"}
    assert len(roles) > 20
    assert [key for key, one in roles.items() if one.get("PermissionsBoundary") != BOUNDARY] == []


def test_a_stage_without_policies_for_people_has_no_boundary() -> None:
    for name in ("data", "app"):
        template = load_template(name)
        assert template["Parameters"]["PermissionsBoundary"]["Default"] == ""
        assert template["Conditions"]["Bounded"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "PermissionsBoundary"}, ""]}]}


def permissions_of_roles() -> dict[str, list[tuple[str, str, Any]]]:
    """Return each action that a role of the stage allows, with its resources and the conditions."""
    found: dict[str, list[tuple[str, str, Any]]] = {}
    for key, one in STACKS.resources.items():
        for policy in one["Properties"].get("Policies", ()) if one["Type"] == "AWS::IAM::Role" else ():
            for statement in policy["PolicyDocument"]["Statement"]:
                for action in as_list(statement["Action"]):
                    for resource in as_list(statement["Resource"]):
                        found.setdefault(action, []).append((key, resource, statement.get("Condition", {})))
    return found


# Resources whose ARN the tests do not know.
_UNKNOWN = {
    "ssm": "parameter/scones/dev/threshold",
    "kms": "key/1",
    "sns": "scones-dev-alerts",
    "ecr": "repository/scones-dev",
    "events": "event-bus/scones-dev",
}


def test_the_boundary_allows_what_the_roles_of_the_stage_need() -> None:
    denied = []
    for action, allowed in permissions_of_roles().items():
        for key, resource, condition in allowed:
            context = {
                name.lower(): as_list(value)[0].replace("*", "x")
                for keys in condition.values()
                for name, value in keys.items()
            }
            if action.startswith("kms:"):
                context["aws:resourcetag/stack"] = "scones-dev"
            need = Need(action, real(action, resource), context)
            if not is_allowed(need, ("Boundary",)):
                denied.append((key, need))
    assert denied == []


def real(action: str, resource: str) -> str:
    """Return the ARN that AWS would give to a resource of the fake account, whose ARNs have no service."""
    name = resource.removeprefix("arn:aws:fake:::")
    if name == resource and resource.startswith("arn:"):
        return resource
    service = action.partition(":")[0]
    if service == "s3":
        return f"arn:aws:s3:::{name}"
    if service in _UNKNOWN:
        return arn(service, _UNKNOWN[service])
    before = {
        "lambda": "function:",
        "dynamodb": "table/",
        "states": "stateMachine:",
        "logs": "log-group:",
    }
    return name if name == "*" else arn(service, f"{before.get(service, '')}{name}")


def test_the_boundary_allows_no_action_that_no_role_needs() -> None:
    allowed = {action for statement in documents()["Boundary"]["Statement"] for action in as_list(statement["Action"])}
    assert allowed - set(permissions_of_roles()) == set()


def test_a_role_within_the_boundary_reaches_nothing_outside_of_the_stage() -> None:
    for need in (
        Need("s3:GetObject", "arn:aws:s3:::payroll/1"),
        Need("s3:GetObject", f"arn:aws:s3:::scones-dev2-ml-{ACCOUNT}-eu-west-1/labels/1"),
        Need("s3:DeleteObjectVersion", f"arn:aws:s3:::scones-dev-ml-{ACCOUNT}-eu-west-1/labels/1"),
        Need("dynamodb:Scan", arn("dynamodb", "table/scones-dev2-photos")),
        Need("iam:CreateRole", role("scones-dev-x"), {"iam:permissionsboundary": BOUNDARY}),
        Need("iam:PassRole", role("admin"), {"iam:passedtoservice": "sagemaker.amazonaws.com"}),
        Need("kms:Decrypt", arn("kms", "key/1"), {"aws:resourcetag/stack": "billing"}),
        Need("sagemaker:CreateTrainingJob", arn("sagemaker", "training-job/vehicles-dev2-1")),
    ):
        assert not is_allowed(need, ("Boundary",)), need


@pytest.mark.parametrize("name", documents())
def test_a_policy_fits_and_names_its_actions(name: str) -> None:
    """The limit is 6,144 characters without white space ("IAM and AWS STS quotas"); ten policies fit one user."""
    longest = documents("a" * 12)[name]
    assert len(json.dumps(longest, separators=(",", ":"))) <= 6144
    actions = {action for statement in longest["Statement"] for action in as_list(statement["Action"])}
    assert [action for action in actions if "*" in action] == []


def test_the_template_fits_into_a_request() -> None:
    """An administrator deploys it before there is a bucket that CloudFormation could read it from."""
    assert len(json.dumps(load_template("people"), separators=(",", ":"))) <= 51_200
