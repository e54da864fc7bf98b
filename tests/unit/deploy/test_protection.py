"""What protects the data of a stage, and who pays for what."""

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

import workflows
from deploy.errors import DeployError
from deploy.removal import confirm_removal
from deploy.target import Target
from tests.support.rehearsal import DATA, DEV, Account

PROD = Target("aws", "prod", account="123456789012")
JOBS = "/aws/sagemaker/TrainingJobs"


def test_nobody_deletes_the_stacks_of_production_by_mistake(account: Account) -> None:
    account.deploy(PROD)
    for name in ("scones-prod", "scones-prod-data"):
        with pytest.raises(ClientError, match="TerminationProtection is enabled"):
            boto3.client("cloudformation").delete_stack(StackName=name)
    boto3.client("dynamodb").update_table(TableName="scones-prod-photos", DeletionProtectionEnabled=False)
    account.destroy(PROD, with_data=True)
    assert (account.status("scones-prod"), account.status("scones-prod-data")) == (None, None)


def test_the_stacks_of_other_stages_are_not_protected(deployed: Account) -> None:
    assert not deployed.cloudformation.stacks[DATA].protected


@pytest.mark.parametrize(("target", "with_data"), [(DEV, True), (PROD, True), (PROD, False)])
def test_data_and_production_are_removed_only_by_the_name_of_the_stage(
    target: Target, with_data: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DeployError, match=f"Nothing was removed. CONFIRM={target.stage} confirms"):
        confirm_removal(target, with_data=with_data)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: "yes")
    with pytest.raises(DeployError, match="that is not the name of the stage"):
        confirm_removal(target, with_data=with_data)
    monkeypatch.setattr("builtins.input", lambda question: target.stage)
    confirm_removal(target, with_data=with_data)
    monkeypatch.setenv("CONFIRM", "another")
    with pytest.raises(DeployError, match="that is not the name of the stage"):
        confirm_removal(target, with_data=with_data)


@pytest.mark.parametrize(("target", "with_data"), [(DEV, False), (Target("local", "prod"), True)])
def test_what_can_be_deployed_again_is_removed_without_a_question(target: Target, with_data: bool) -> None:
    confirm_removal(target, with_data=with_data)


def test_the_logs_of_jobs_expire(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    logs: Any = boto3.client("logs")

    def retention() -> int | None:
        (group,) = logs.describe_log_groups(logGroupNamePrefix=JOBS)["logGroups"]
        return group.get("retentionInDays")

    monkeypatch.setenv("LOG_RETENTION_DAYS", "14")
    account.deploy()
    assert retention() == 14
    logs.put_retention_policy(logGroupName=JOBS, retentionInDays=365)
    account.deploy()
    assert retention() == 365, "another stage or team uses the group too"
    logs.delete_retention_policy(logGroupName=JOBS)
    account.deploy()
    assert retention() == 14


def test_there_is_a_budget_where_one_is_set(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    account.deploy()
    assert "Budget" not in account.cloudformation.stacks["scones-dev"].resources
    monkeypatch.setenv("MONTHLY_BUDGET_USD", "250")
    account.deploy()
    budget = account.cloudformation.stacks["scones-dev"].resources["Budget"]["Properties"]["Budget"]
    assert budget["BudgetLimit"] == {"Amount": "250", "Unit": "USD"}
    tags = {tag["Key"]: tag["Value"] for tag in account.cloudformation.stacks["scones-dev"].tags}
    assert budget["CostFilters"] == {"TagKeyValue": [f"user:stack${tags['stack']}"]}


CREATES = (":createTrainingJob", ":createProcessingJob", ":createModel", ":createEndpointConfig", ":createEndpoint")


@pytest.mark.parametrize("workflow", ["retrain-model", "rollback-model"])
def test_what_a_workflow_creates_in_sagemaker_has_the_tags_of_the_stacks(workflow: str) -> None:
    states = workflows.load_definition(workflow)["States"]
    created = {
        name: state["Parameters"].get("Tags")
        for name, state in states.items()
        if state.get("Resource", "").removesuffix(".sync").endswith(CREATES)
    }
    assert len(created) >= {"retrain-model": 5, "rollback-model": 1}[workflow]
    expected = [{"Key": "system", "Value": "scones-vehicles"}, {"Key": "stack", "Value": "scones-${Stage}"}]
    assert created == dict.fromkeys(created, expected)
