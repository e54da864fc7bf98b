"""The order of a deployment, and what a failed command says."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from deploy import errors, system
from deploy.errors import DeployError
from deploy.stack import Stack
from deploy.target import Target


@pytest.mark.parametrize(("age_s", "expected_s"), [(0, 300), (120, 180), (299.5, 1), (300, 0), (9000, 0)])
def test_a_new_bucket_accepts_uploads_when_it_sends_events(
    age_s: float, expected_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    lines: list[str] = []
    system._wait_for_events(datetime.now(UTC) - timedelta(seconds=age_s), lines.append)
    assert sum(waited) == pytest.approx(expected_s, abs=1)
    assert len(lines) == len(waited)


@pytest.mark.parametrize("error", [DeployError("Broken."), ClientError({"Error": {"Code": "Broken."}}, "Describe")])
def test_an_error_ends_with_what_to_do_next(error: Any) -> None:
    with (
        pytest.raises(DeployError, match=r"Broken\.[^\n]*\nRun `make deploy`\.$"),
        errors.explained("Run `make deploy`."),
    ):
        raise error


def test_a_stage_with_two_tables_is_not_updated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setattr(Stack, "status", lambda stack: "CREATE_COMPLETE")
    monkeypatch.setattr(Stack, "present_outputs", lambda stack: {"DecisionTable": "decisions", "PhotoTable": "photos"})
    monkeypatch.setattr(Stack, "deploy", lambda *_: pytest.fail("the stage was changed"))
    with pytest.raises(DeployError, match="scones-dev-data was deployed by an earlier version"):
        system.deploy(Target("local", "dev"), progress=lambda line: None)
