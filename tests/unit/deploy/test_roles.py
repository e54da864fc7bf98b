"""The roles of the templates: what they allow, and who may assume them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from deploy import system
from deploy.templates import load_template

APP: dict[str, Any] = load_template("app")
DATA: dict[str, Any] = load_template("data")
TEMPLATES = sorted((Path(system.__file__).parent / "templates").glob("*.yaml"))


def of_type(kind: str, source: dict[str, Any] = APP) -> dict[str, Any]:
    return {name: resource["Properties"] for name, resource in source["Resources"].items() if resource["Type"] == kind}


def keys(role: str, action: str) -> set[str]:
    """The patterns of keys of the ML bucket on which a role of SageMaker has an action."""
    (policy,) = DATA["Resources"][role]["Properties"]["Policies"]
    found = [one["Resource"] for one in policy["PolicyDocument"]["Statement"] if one["Action"] == action]
    resources = [resource for one in found for resource in (one if isinstance(one, list) else [one])]
    return {resource["Fn::Sub"].removeprefix("${MlBucket.Arn}/") for resource in resources}


def test_jobs_and_the_endpoint_read_and_write_only_what_they_need() -> None:
    """None of them writes labels or reviews, and the endpoint, which decodes photos of strangers, reads only models."""
    roles = ("TrainingRole", "EvaluationRole", "BacktestRole", "EndpointRole")
    written = {role: keys(role, "s3:PutObject") for role in roles}
    assert written == {
        "TrainingRole": {"models/vehicles-${Stage}-*"},
        "EvaluationRole": {"retraining/vehicles-${Stage}-*"},
        # An operator passes it to a job with any program.
        "BacktestRole": {"backtests/*"},
        "EndpointRole": set(),
    }
    assert keys("EndpointRole", "s3:GetObject") == {"models/*/model.tar.gz", "initial/*/model.tar.gz"}
    for role in ("TrainingRole", "EvaluationRole", "BacktestRole"):
        assert not {key for key in keys(role, "s3:GetObject") if key.startswith(("labels", "reviews", "*"))}


def all_roles() -> dict[str, Any]:
    return {**of_type("AWS::IAM::Role"), **of_type("AWS::IAM::Role", DATA)}


def test_every_role_is_assumed_for_this_account_only() -> None:
    """Lambda sends no aws:SourceArn when it assumes the role of a function; the other services do."""
    for name, role in all_roles().items():
        (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
        condition = statement["Condition"]
        assert condition["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}, name
        if statement["Principal"]["Service"] != "lambda.amazonaws.com":
            sources = [keys["aws:SourceArn"] for kind, keys in condition.items() if kind.startswith("Arn")]
            assert "${AWS::AccountId}" in json.dumps(sources), name


def test_the_roles_of_rules_are_assumed_for_these_rules_only() -> None:
    """Their ARNs are written out, because a rule refers to its role."""
    allowed: dict[str, set[str]] = {}
    for rule in of_type("AWS::Events::Rule").values():
        (target,) = rule["Targets"]
        if "RoleArn" in target:
            bus = "scones-${Stage}/" if "EventBusName" in rule else ""
            name = rule["Name"]["Fn::Sub"]
            allowed.setdefault(target["RoleArn"]["Fn::GetAtt"][0], set()).add(f"rule/{bus}{name}")
    roles = of_type("AWS::IAM::Role")
    for role, rules in allowed.items():
        (statement,) = roles[role]["AssumeRolePolicyDocument"]["Statement"]
        sources = statement["Condition"]["ArnEquals"]["aws:SourceArn"]
        assert {source["Fn::Sub"].partition("${AWS::AccountId}:")[2] for source in sources} == rules, role


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: file.name)
def test_no_pattern_matches_another_stage(file: Path) -> None:
    """The names of stage `dev2` begin with those of stage `dev`, so a wildcard stands behind a separator only."""
    assert not re.findall(r"\$\{Stage\}[*?].*", file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: file.name)
def test_every_permission_for_all_resources_has_its_reason_beside_it(file: Path) -> None:
    lines = file.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        if re.search(r"Resource: (\"\*\"|\[\"\*\"\])", line):
            start = next(before for before in range(number, 0, -1) if lines[before].lstrip().startswith("- "))
            assert lines[start - 1].lstrip().startswith("# "), f"{file.name}:{start + 1}"


def test_every_function_has_a_role_and_a_log_group_of_its_own() -> None:
    functions = of_type("AWS::Lambda::Function")
    roles = [json.dumps(properties["Role"]) for properties in functions.values()]
    assert len(set(roles)) == len(functions)
    groups = of_type("AWS::Logs::LogGroup")
    for name in functions:
        logs = groups[name.removesuffix("Function") + "Logs"]
        assert logs["RetentionInDays"] == {"Ref": "LogRetentionDays"}
        assert logs["LogGroupName"]["Fn::Sub"] == "/aws/lambda/" + functions[name]["FunctionName"]["Fn::Sub"]


def test_no_role_has_wildcard_actions() -> None:
    for name, role in all_roles().items():
        for policy in role["Policies"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
                assert not [action for action in actions if "*" in action], name


def test_build_dataset_may_read_the_ml_bucket_and_write_data_sets() -> None:
    """Without ListBucket, S3 answers 403 for a missing object."""
    (policy,) = APP["Resources"]["BuildDatasetRole"]["Properties"]["Policies"]
    allowed = [
        (statement["Action"], json.dumps(statement["Resource"])) for statement in policy["PolicyDocument"]["Statement"]
    ]
    for action, resource in (
        *(("s3:GetObject", f":::${{MlBucket}}/{prefix}/*") for prefix in ("datasets", "initial", "labels", "models")),
        ("s3:GetObject", ":::${MlBucket}/training/current.json"),
        ("s3:ListBucket", ":::${MlBucket}"),
        ("s3:PutObject", ":::${MlBucket}/datasets/*"),
    ):
        assert [1 for may, where in allowed if may == action and f'{resource}"' in where], action


def test_build_dataset_has_no_access_to_the_uploads_bucket() -> None:
    """It copies the pictures of labels; location and other metadata of a photo stay in the uploads bucket."""
    function = APP["Resources"]["BuildDatasetFunction"]["Properties"]
    assert "UploadsBucket" not in json.dumps([function, APP["Resources"]["BuildDatasetRole"]])


def test_only_the_functions_that_record_a_champion_may_write_the_training_input() -> None:
    """It is `training/current.json` in the ML bucket."""
    may_write = []
    for name, role in of_type("AWS::IAM::Role").items():
        for policy in role["Policies"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                if "s3:PutObject" in json.dumps(statement["Action"]):
                    may_write.append((name, json.dumps(statement["Resource"])))
    training = [name for name, resource in may_write if "${MlBucket}/training" in resource]
    assert training == ["RecordRetrainingRole", "RecordRollbackRole"]
    assert all("${MlBucket}/*" not in resource for _, resource in may_write)


def test_a_rollback_may_change_its_own_endpoint_only() -> None:
    (policy,) = APP["Resources"]["RollbackModelWorkflowRole"]["Properties"]["Policies"]
    statements = policy["PolicyDocument"]["Statement"]
    (changes,) = [one for one in statements if "sagemaker:UpdateEndpoint" in one["Action"]]
    resources = [resource["Fn::Sub"].split("${AWS::AccountId}:")[1] for resource in changes["Resource"]]
    assert resources == ["endpoint/scones-${Stage}-vehicles", "endpoint-config/vehicles-${Stage}-*"]
    assert not [one for one in statements if "iam:PassRole" in one["Action"]]


def test_only_classify_photo_may_write_the_uploads_per_minute() -> None:
    table = {"Fn::GetAtt": ["UploadCountTable", "Arn"]}
    roles = of_type("AWS::IAM::Role")
    writers = {
        name: statement["Action"]
        for name, role in roles.items()
        for policy in role["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
        if "dynamodb" in json.dumps(statement["Action"])
        and (statement["Resource"] == table or "*" in json.dumps(statement["Resource"]).rpartition(":table")[2])
    }
    assert writers == {"ClassifyPhotoRole": "dynamodb:UpdateItem"}
