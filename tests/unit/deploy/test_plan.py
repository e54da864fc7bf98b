"""What is checked, printed and asked before an account is changed."""

import re
from typing import Any
from unittest.mock import Mock

import boto3
import pytest
from botocore.exceptions import ClientError

from deploy import system
from deploy.changes import confirm
from deploy.errors import DeployError
from deploy.target import connect
from deploy.templates import load_template
from tests.support.rehearsal import APP, DATA, Account


def everything(account: Account) -> Any:
    """Return what a command may have changed."""
    s3: Any = boto3.client("s3")
    keys = {name: s3.list_object_versions(Bucket=name).get("Versions", []) for name in account.buckets()}
    versions = {name: sorted((one["Key"], one["VersionId"]) for one in found) for name, found in keys.items()}
    stacks = {name: (stack.status, stack.events[:]) for name, stack in account.cloudformation.stacks.items()}
    return versions, stacks, dict(account.cloudformation.change_sets)


def test_a_dry_run_prints_the_plan_and_changes_nothing(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    before = everything(account)
    text = account.plan()
    assert "  add          UploadsBucket (AWS::S3::Bucket)" in text
    assert "  add          ClassifyPhotoFunction (AWS::Lambda::Function)" in text
    assert everything(account) == before
    account.deploy()
    before = everything(account)
    assert account.plan() == ("scones-dev-data: unchanged\nscones-dev: unchanged\nNothing was changed.")
    monkeypatch.setenv("REVIEW_TIMEOUT_S", "61")
    text = account.plan()
    assert "scones-dev: 2 resources\n  change       ClassifyPhotoWorkflow (AWS::StepFunctions::StateMachine)" in text
    assert "change       ReviewQueue (AWS::SQS::Queue): MessageRetentionPeriod" in text
    assert everything(account) == before


def test_nothing_is_changed_without_a_confirmation(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    ask = confirm("account 123456789012", yes=False, progress=lines.append)
    before = everything(account)
    with pytest.raises(DeployError, match=r"scones-dev-data was not changed: nobody can confirm.*YES=1 confirms"):
        account.deploy(approve=ask)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: "y")
    with pytest.raises(DeployError, match="scones-dev-data was not changed"):
        account.deploy(approve=ask)
    assert [name for name in account.cloudformation.stacks if account.status(name)] == []
    assert everything(account)[0] == before[0]
    # A deployer leaves the empty data stack: see test_an_empty_stack_that_may_not_be_deleted_is_left.
    assert {need.action for need in account.denied} == {"cloudformation:DeleteStack"}
    account.denied.clear()
    asked: list[str] = []
    monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or "yes")
    account.deploy(approve=ask)
    assert asked == [f"Change {name} in account 123456789012? Type yes: " for name in (DATA, APP)]
    assert "  add          UploadsBucket (AWS::S3::Bucket)" in lines


def test_an_empty_stack_that_may_not_be_deleted_is_left_and_used(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    denied = ClientError({"Error": {"Code": "AccessDenied", "Message": "not authorized"}}, "DeleteStack")
    with monkeypatch.context() as patched:
        patched.setattr(account.cloudformation, "_DeleteStack", Mock(side_effect=denied))
        with pytest.raises(DeployError, match="scones-dev-data was not changed: nobody can confirm"):
            account.deploy(approve=confirm("account 123456789012", yes=False, progress=lambda line: None))
    assert account.status(DATA) == "REVIEW_IN_PROGRESS"
    assert "scones-dev-data: an empty stack is left, which the next `make deploy` uses" in account.lines
    account.denied.clear()
    account.deploy()
    assert account.status(DATA) == "UPDATE_COMPLETE"


def test_deletions_and_replacements_are_marked(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    account.deploy()

    def changed(name: str) -> dict[str, Any]:
        template = load_template(name)
        if name == "data":
            template["Resources"]["PhotoTable"]["Properties"]["TableName"] = "another"
            del template["Resources"]["UploadsBucketPolicy"], template["Resources"]["MlBucketPolicy"]
        return template

    monkeypatch.setattr(system, "load_template", changed)
    first, *marked = account.plan().splitlines()[:4]
    # Policies name the table, so they change with it.
    assert re.fullmatch(r"scones-dev-data: \d+ resources, 2 of them DELETED OR REPLACED", first)
    assert marked == [
        "  DELETE       MlBucketPolicy (AWS::S3::BucketPolicy)",
        "  REPLACE      PhotoTable (AWS::DynamoDB::Table): TableName",
        "  leave behind UploadsBucketPolicy (AWS::S3::BucketPolicy)",
    ]


WRONG_SETTINGS = {
    "GATE": {
        "not JSON": r"is 'not JSON': pass a JSON object such as \{\}",
        "[]": r"is '\[\]': pass a JSON object",
        '{"acuracy_minimum": 0.9}': "names acuracy_minimum, but only accuracy_minimum, .* are known",
        '{"photos_minimum": "many"}': "pass a number for photos_minimum",
    },
    "REVIEW_TIMEOUT_S": {"15 min": "pass a whole number", "0": "at least 1"},
    "MIN_NEW_LABELS": {"2.5": "pass a whole number"},
    "ROLLBACK_WINDOW_HOURS": {"a day": "pass a number"},
    "UPLOADS_PER_MINUTE": {"5000": "at least 1 and at most 1000"},
    "ROLLBACK_ALARMS": {"one, two": "it must match"},
    "BAKE_SECONDS": {"3601": "at least 0 and at most 3600"},
    "BAKE_ALARMS": {",".join("abcdefghijk"): "SageMaker monitors at most 10 alarms"},
    "CANARY_PERCENT": {"51": "at least 1 and at most 50", "0": "at least 1"},
    "ROLLOUT_SECONDS": {"601": "at least 0 and at most 600"},
    "RUNTIME": {"python3.9": r"this version has python3.11, .*python3.14"},
    "ENDPOINT_MIN_INSTANCES": {"3": "is 3, more than ENDPOINT_MAX_INSTANCES, which is 2"},
}


@pytest.mark.parametrize(
    ("variable", "value"), [(variable, value) for variable, values in WRONG_SETTINGS.items() for value in values]
)
def test_a_setting_that_cannot_work_is_refused_before_anything_is_changed(
    account: Account, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    before = everything(account)
    monkeypatch.setenv(variable, value)
    with pytest.raises(DeployError, match=f"{variable} .*{WRONG_SETTINGS[variable][value]}.*Nothing was changed"):
        account.deploy()
    assert everything(account) == before


def test_a_canary_that_is_smaller_than_an_instance_is_refused(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY_PERCENT", "30")
    account.deploy()
    monkeypatch.setenv("ENDPOINT_MIN_INSTANCES", "2")
    refused = "CANARY_PERCENT is 30, less than one of ENDPOINT_MIN_INSTANCES=2; pass 50 to 50. Nothing was changed"
    with pytest.raises(DeployError, match=refused):
        account.deploy()


def test_an_account_that_lacks_quotas_is_not_touched(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    account.quotas.sagemaker = {"ml.m5.large for endpoint usage": 3, "ml.m5.xlarge for processing job usage": 0}
    account.quotas.concurrency = account.quotas.unreserved = 10
    before = everything(account)
    with pytest.raises(DeployError) as refused:
        account.deploy()
    message = str(refused.value)
    assert "'ml.m5.large for endpoint usage' is 3, and 4 are needed: a new model starts beside the old one" in message
    assert "'ml.m5.xlarge for processing job usage' is 0, and 1 are needed" in message
    assert "for training job" not in message, "its default suffices"
    assert "Lambda's quota of 10 concurrent executions does not leave 3 to reserve" in message
    assert "Set EXCESS_CONCURRENCY=0" in message
    assert "--quota-code L-12345678 --desired-value 4`, or set ENDPOINT_INSTANCE_TYPE, or a smaller" in message
    assert everything(account) == before
    monkeypatch.setenv("PREFLIGHT", "ignore")
    account.deploy()
    assert account.status(APP) == "CREATE_COMPLETE"
    assert "This account is not ready, which PREFLIGHT=ignore accepts" in account.text


def test_an_account_without_reservable_concurrency_can_be_deployed_without_it(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.quotas.concurrency = account.quotas.unreserved = 10
    monkeypatch.setenv("EXCESS_CONCURRENCY", "0")
    account.deploy()
    assert "Region and quotas suffice." in account.lines


def test_an_endpoint_that_may_grow_needs_a_quota_again(deployed: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENDPOINT_MAX_INSTANCES", "3")
    with pytest.raises(DeployError, match=r"'ml.m5.large for endpoint usage' is 4, and 6 are needed"):
        deployed.deploy()
    monkeypatch.setenv("ENDPOINT_MAX_INSTANCES", "2")
    deployed.deploy()


def test_what_is_deployed_already_needs_no_quota_again(deployed: Account) -> None:
    deployed.quotas.unreserved, deployed.quotas.is_readable = 100, False
    deployed.deploy()
    assert not [line for line in deployed.lines if "quota" in line]


def test_quotas_that_may_not_be_read_are_reported_and_do_not_stop_a_deployment(account: Account) -> None:
    account.quotas.is_readable = False
    account.deploy()
    assert "SageMaker's quotas are not checked: " in account.text
    assert "not authorized to list quotas" in account.text


def test_a_region_without_the_services_is_named(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boto3.session.Session, "get_available_regions", lambda *_, **__: ["us-east-1"])
    with pytest.raises(DeployError, match=r"boto3 knows no sagemaker in eu-west-1. Choose another AWS_REGION"):
        account.deploy()


def test_credentials_of_another_account_are_refused(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TARGET", "aws")
    monkeypatch.setenv("ACCOUNT", "210987654321")
    with pytest.raises(
        DeployError, match="ACCOUNT is 210987654321, but the credentials belong to account 123456789012"
    ):
        connect()
    monkeypatch.setenv("ACCOUNT", "123456789012")
    assert connect().account == "123456789012"
