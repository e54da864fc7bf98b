"""What `make status` prints about the registry and the settings."""

from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from deploy.package import THIS_RUNTIME
from deploy.settings import given_settings
from deploy.stack import Stack
from deploy.target import Target
from deploy.templates import load_template
from operate import status
from operate.terminal import console
from tests.support.deploy_fixtures import account, build
from tests.support.rehearsal import DEV, Account

__all__ = ["account", "build"]


@pytest.fixture
def sagemaker() -> Any:
    return boto3.client("sagemaker", region_name="eu-west-1", config=Config(signature_version=UNSIGNED))


def test_a_registry_that_may_not_be_read_is_not_shown_as_empty(sagemaker: Any) -> None:
    with Stubber(sagemaker) as answers:
        answers.add_client_error("list_model_packages", "ValidationException", "ModelPackageGroup does not exist.")
        assert status._describe_newest_packages(sagemaker, "scones-dev") == []
        answers.add_client_error("list_model_packages", "AccessDeniedException")
        with pytest.raises(ClientError, match="AccessDenied"):
            status._describe_newest_packages(sagemaker, "scones-dev")


def test_the_settings_of_the_stage_are_shown_beside_their_defaults(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REVIEW_TIMEOUT_S", "61")
    account.deploy()
    monkeypatch.setattr(console, "width", 200)
    rows = setting_rows(DEV)
    assert ["REVIEW_TIMEOUT_S", "61", "900"] in rows
    assert ["MIN_NEW_LABELS", "25"] in rows
    assert ["ROLLBACK_ALARMS", "scones-dev-endpoint-errors"] in rows


def test_the_defaults_of_the_embedded_aws_are_not_shown_as_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    local = Target("local", "dev")
    parameters = given_settings(local, load_template("app"), {})
    monkeypatch.setattr(Stack, "parameters", lambda self: parameters)
    monkeypatch.setattr(status, "Stack", lambda name: object.__new__(Stack))
    monkeypatch.setattr(console, "width", 200)
    rows = setting_rows(local)
    assert ["BAKE_SECONDS", "5"] in rows
    assert ["RUNTIME", THIS_RUNTIME] in rows
    parameters |= {"BakeSeconds": "300", "RollbackAlarms": "none"}
    rows = setting_rows(local)
    assert ["BAKE_SECONDS", "300", "5"] in rows
    assert ["ROLLBACK_ALARMS", "none", "scones-dev-endpoint-errors"] in rows


def setting_rows(target: Target) -> list[list[str]]:
    """Return the cells of the printed settings, line by line."""
    with console.capture() as printed:
        status._print_settings(target)
    return [line.replace("│", " ").split() for line in printed.get().splitlines()]
