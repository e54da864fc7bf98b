"""The deployment to an AWS account, from the first one to the last removal, in an account in this process."""

import json
from datetime import timedelta
from typing import Any

import boto3
import pytest

from deploy import artefacts
from deploy.errors import DeployError
from deploy.package import THIS_RUNTIME
from tests.support.rehearsal import APP, DATA, Account

BUS = "scones-dev"


def test_the_first_deployment_accepts_uploads_at_its_end(account: Account) -> None:
    outputs = account.deploy()
    assert set(outputs) >= {"UploadsBucket", "ClassifyPhotoArn", "EventBus"}
    assert (account.status(DATA), account.status(APP)) == ("UPDATE_COMPLETE", "CREATE_COMPLETE")
    assert account.parameters(DATA)["AcceptUploads"] == "yes"
    assert "Stage dev is deployed." in account.lines


def test_deploying_again_changes_nothing(deployed: Account) -> None:
    before = {name: stack.events[:] for name, stack in deployed.cloudformation.stacks.items()}
    deployed.deploy()
    assert {name: stack.events for name, stack in deployed.cloudformation.stacks.items()} == before
    assert "Stage dev is unchanged: nothing to deploy." in deployed.lines
    # The drift watch ran once: its schedule would run it only an hour after the first deployment.
    assert deployed.functions.invoked == ["scones-dev-watch-quality"]


def test_a_deployment_removes_old_artefacts_and_keeps_those_in_use(
    deployed: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3: Any = boto3.client("s3")
    (bucket,) = [name for name in deployed.buckets() if "artifacts" in name]
    s3.put_object(Bucket=bucket, Key="classify-photo-0.zip", Body=b"old", IfNoneMatch="*")
    monkeypatch.setattr(artefacts, "KEPT", timedelta())
    deployed.deploy()
    left = {found["Key"] for found in s3.list_objects_v2(Bucket=bucket)["Contents"]}
    assert "classify-photo-0.zip" not in left
    assert left == {value for name, value in deployed.parameters(APP).items() if name.endswith("Key")}


def test_settings_stay_until_others_are_given(deployed: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "GATE": json.dumps({"photos_minimum": 3}),
        "REVIEW_TIMEOUT_S": "60",
        "ENDPOINT_INSTANCE_TYPE": "ml.c7i.xlarge",
        "ROLLBACK_ALARMS": "none",
    }
    with monkeypatch.context() as environment:
        for name, value in given.items():
            environment.setenv(name, value)
        deployed.deploy()
    deployed.deploy()
    present = deployed.parameters(APP)
    kept = [present[name] for name in ("Gate", "ReviewTimeoutSeconds", "EndpointInstanceType", "RollbackAlarms")]
    assert kept == list(given.values())
    monkeypatch.setenv("GATE", "default")
    monkeypatch.setenv("ROLLBACK_ALARMS", "default")
    deployed.deploy()
    present = deployed.parameters(APP)
    assert (present["Gate"], present["RollbackAlarms"]) == ("{}", "scones-dev-endpoint-errors")
    assert present["ReviewTimeoutSeconds"] == "60"


def test_the_runtime_is_a_setting_not_the_python_of_who_deploys(
    deployed: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    default = deployed.parameters(APP)["Runtime"]
    assert default == "python3.12"
    other = "python3.11" if THIS_RUNTIME != "python3.11" else "python3.13"
    with monkeypatch.context() as environment:
        environment.setenv("RUNTIME", other)
        deployed.deploy()
    deployed.deploy()
    assert deployed.parameters(APP)["Runtime"] == other
    monkeypatch.setenv("RUNTIME", "python3.9")
    with pytest.raises(DeployError, match=r"RUNTIME is 'python3.9': this version has python3.11, .*python3.14"):
        deployed.deploy()


def test_a_first_deployment_that_fails_accepts_no_uploads_and_can_be_repeated(account: Account) -> None:
    account.cloudformation.failing = {"ReviewQueue"}
    with pytest.raises(DeployError, match=r"ReviewQueue: .*\n.*The stage accepts no uploads until `make deploy`"):
        account.deploy()
    assert (account.status(APP), account.parameters(DATA)["AcceptUploads"]) == ("ROLLBACK_COMPLETE", "no")
    account.cloudformation.failing = set()
    account.deploy()
    assert "scones-dev: its creation failed earlier (ROLLBACK_COMPLETE); deleting what is left of it" in account.lines
    assert account.status(APP) == "CREATE_COMPLETE"


def test_an_update_that_fails_is_rolled_back_and_still_accepts_uploads(
    deployed: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REVIEW_TIMEOUT_S", "61")
    deployed.cloudformation.failing = {"ClassifyPhotoWorkflow"}
    with pytest.raises(DeployError, match="ended as UPDATE_ROLLBACK_COMPLETE") as failed:
        deployed.deploy()
    assert "accepts no uploads" not in str(failed.value)
    assert deployed.parameters(APP)["ReviewTimeoutSeconds"] == "900"
    deployed.cloudformation.failing = set()
    deployed.deploy()
    assert deployed.parameters(APP)["ReviewTimeoutSeconds"] == "61"


def test_a_stage_is_removed_with_its_data_to_the_last_bucket(deployed: Account) -> None:
    boto3.client("s3").put_object(Bucket=deployed.buckets()[0], Key="uploads/d/a.jpg", Body=b"photo")
    deployed.destroy()
    assert (deployed.status(APP), deployed.status(DATA)) == (None, "UPDATE_COMPLETE")
    assert deployed.parameters(DATA)["AcceptUploads"] == "no"
    deployed.destroy(with_data=True)
    assert (deployed.status(DATA), deployed.buckets()) == (None, [])


def test_a_data_stack_whose_creation_failed_is_removed(account: Account) -> None:
    """It has no outputs."""
    account.cloudformation.failing = {"TrainingRole"}
    with pytest.raises(DeployError, match="TrainingRole"):
        account.deploy()
    assert account.status(DATA) == "ROLLBACK_COMPLETE"
    account.destroy()
    assert "scones-dev-data is ROLLBACK_COMPLETE: it is of no use. `make destroy DATA=yes` removes" in account.text
    account.destroy(with_data=True)
    assert account.status(DATA) is None


@pytest.mark.parametrize("with_data", [False, True])
def test_a_deletion_that_failed_is_finished_by_another_one(deployed: Account, with_data: bool) -> None:
    deployed.cloudformation.stuck = {"UploadCountTable", "PhotoTable"}
    for _ in range(2):
        with pytest.raises(DeployError, match="DELETE_FAILED"):
            deployed.destroy(with_data=True)
    with pytest.raises(DeployError, match=r"scones-dev is DELETE_FAILED.*Run `make destroy` to finish"):
        deployed.deploy()
    deployed.cloudformation.stuck = {"PhotoTable"}
    with pytest.raises(DeployError, match="scones-dev-data ended as DELETE_FAILED"):
        deployed.destroy(with_data=True)
    deployed.cloudformation.stuck = set()
    deployed.destroy(with_data=with_data)
    if not with_data:
        assert "scones-dev-data is DELETE_FAILED: it is of no use. `make destroy DATA=yes`" in deployed.text
        deployed.destroy(with_data=True)
    assert (deployed.status(APP), deployed.status(DATA)) == (None, None)


@pytest.mark.parametrize("kind", ["uploads", "ml"])
def test_a_stage_that_lost_a_bucket_can_be_removed_and_says_so(deployed: Account, kind: str) -> None:
    (lost,) = [name for name in deployed.buckets() if name.startswith(f"scones-dev-{kind}-")]
    s3 = boto3.resource("s3")
    s3.Bucket(lost).object_versions.delete()
    s3.Bucket(lost).delete()
    with pytest.raises(DeployError, match=f"scones-dev-data has lost {lost}: somebody deleted it"):
        deployed.deploy()
    deployed.destroy(with_data=True)
    assert (deployed.status(APP), deployed.status(DATA), deployed.buckets()) == (None, None, [])


@pytest.mark.parametrize("name", [DATA, APP])
def test_nothing_is_removed_while_another_command_changes_the_stage(deployed: Account, name: str) -> None:
    before = {one: stack.events[:] for one, stack in deployed.cloudformation.stacks.items()}
    deployed.cloudformation.set_status(name, "UPDATE_IN_PROGRESS")
    with pytest.raises(DeployError, match=f"{name} is UPDATE_IN_PROGRESS: another command.*\nNothing was removed"):
        deployed.destroy(with_data=True)
    assert {one: stack.events for one, stack in deployed.cloudformation.stacks.items()} == before


def test_the_rules_of_other_teams_on_the_bus_are_named_before_anything_is_removed(deployed: Account) -> None:
    events: Any = boto3.client("events")
    events.put_rule(Name="billing", EventBusName=BUS, EventPattern='{"source": ["scones.vehicles"]}')
    receiver = "arn:aws:sqs:eu-west-1:210987654321:invoices"
    events.put_targets(Rule="billing", EventBusName=BUS, Targets=[{"Id": "1", "Arn": receiver}])
    with pytest.raises(DeployError, match=f"billing .sends to {receiver}.\n.*owners.*\nNothing was removed"):
        deployed.destroy()
    assert (deployed.status(APP), deployed.parameters(DATA)["AcceptUploads"]) == ("CREATE_COMPLETE", "yes")
    events.remove_targets(Rule="billing", EventBusName=BUS, Ids=["1"])
    events.delete_rule(Name="billing", EventBusName=BUS)
    deployed.destroy()
    assert deployed.status(APP) is None


def test_what_a_killed_command_left_on_the_bus_is_removed(deployed: Account) -> None:
    events: Any = boto3.client("events")
    name = f"{BUS}-listener-0123456789ab"
    queue = boto3.client("sqs").create_queue(QueueName=name)["QueueUrl"]
    events.put_rule(Name=name, EventBusName=BUS, EventPattern='{"source": ["scones.vehicles"]}')
    arn = f"arn:aws:sqs:eu-west-1:123456789012:{name}"
    events.put_targets(Rule=name, EventBusName=BUS, Targets=[{"Id": "listener", "Arn": arn}])
    deployed.destroy()
    assert deployed.status(APP) is None
    assert f"rule {name}: removed, the command that needed it has ended" in deployed.lines
    assert queue not in boto3.client("sqs").list_queues().get("QueueUrls", [])
