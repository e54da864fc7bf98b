"""What `make status` prints about the registry and the settings."""

from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from operate import status
from operate.terminal import console
from tests.support.deploy_fixtures import account, build
from tests.support.rehearsal import Account

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
    with console.capture() as printed:
        status._print_settings("scones-dev")
    rows = [line.replace("│", " ").split() for line in printed.get().splitlines()]
    assert ["REVIEW_TIMEOUT_S", "61", "900"] in rows
    assert ["MIN_NEW_LABELS", "25"] in rows
