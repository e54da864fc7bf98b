"""The input of a rollback, the model to restore, and the alarms that are ignored."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from functions.prepare_rollback.alarm_rule import reason_to_ignore
from functions.prepare_rollback.request import Request
from functions.prepare_rollback.target import RollbackRefused, Targets
from functions.shared.champion import Champion, ModelTable
from functions.shared.errors import (
    InvalidInput,
)
from functions.shared.times import timestamp

NOW = datetime(2026, 11, 26, 10, 0, tzinfo=UTC)
WINDOW = timedelta(hours=24)
OLD, NEW = Champion("v1", "v1", "s3://a"), Champion("v2", "v2", "s3://b", previous="v1")


@pytest.fixture
def table(table: ModelTable) -> ModelTable:
    """A table in which OLD was promoted before NEW."""
    table.promote(OLD)
    table.promote(NEW)
    return table


class _SageMaker:
    """A fake client that has every model, under its own name."""

    def describe_endpoint_config(self, EndpointConfigName: str) -> dict[str, Any]:  # the API's name
        return {"ProductionVariants": [{"ModelName": EndpointConfigName}]}

    def describe_model(self, ModelName: str) -> dict[str, Any]:  # the API's name
        return {"PrimaryContainer": {"ModelDataUrl": f"s3://{ModelName}"}}


def test_a_cycle_of_predecessors_ends_the_search(table: ModelTable) -> None:
    """Rollbacks wrote such records before models were marked as rolled back."""
    table.promote(Champion("v1", "v1", "s3://a", previous="v2", rolled_back_at="before"))
    with pytest.raises(RollbackRefused, match="v1 was rolled back at before"):
        Targets(table, _SageMaker()).find_predecessor(NEW)


def test_a_model_is_found_by_the_name_of_its_configuration_too(table: ModelTable) -> None:
    table.promote(Champion("initial-abc", "vehicles-test-0", "s3://a"))
    target = Targets(table, _SageMaker()).find("vehicles-test-0", NEW)
    assert target.model.model_version == "initial-abc"


def test_a_model_that_never_was_champion_gets_the_champion_as_its_predecessor(table: ModelTable) -> None:
    target = Targets(table, _SageMaker()).find("v9", NEW)
    assert (target.model.artifact, target.model.previous) == ("s3://v9", "v2")


def champion(hours_ago: float | None, **more: Any) -> Champion:
    at = None if hours_ago is None else timestamp(NOW - timedelta(hours=hours_ago))
    return Champion("v2", "v2", "s3://b", promoted_at=at, **more)


@pytest.mark.parametrize(
    ("model", "alarmed_h_ago", "message"),
    [
        (champion(1), 0.5, None),
        (champion(23.9), 0.1, None),
        (champion(25), 0.1, "only in the first 24 hours"),
        (champion(1), 1.5, "before v2 was promoted"),
        (champion(1, restored_at="2026-11-26T09:30:00.000Z"), 0.1, "does not roll back further"),
        (champion(None), 0.1, "not known when"),
    ],
)
def test_an_alarm_is_ignored_unless_it_follows_a_promotion_soon(
    model: Champion, alarmed_h_ago: float, message: str | None
) -> None:
    reason = reason_to_ignore(model, NOW - timedelta(hours=alarmed_h_ago), NOW, WINDOW)
    assert reason is None if message is None else message in str(reason)


@pytest.mark.parametrize(
    ("judged_h_ago", "alarmed_h_ago", "ignored"),
    [(0.02, 0.01, True), (0.5, 0.01, False), (1, 0.99, False), (2, 0.1, False)],
)
def test_the_errors_of_a_challenger_that_was_withdrawn_do_not_roll_the_champion_back(
    judged_h_ago: float, alarmed_h_ago: float, ignored: bool
) -> None:
    judged_at, alarmed_at = (NOW - timedelta(hours=hours) for hours in (judged_h_ago, alarmed_h_ago))
    reason = reason_to_ignore(champion(1), alarmed_at, NOW, WINDOW, timestamp(judged_at))
    assert bool(reason) == ignored
    assert not ignored or "may be about its errors" in str(reason)


def test_the_time_of_an_alarm_is_read_as_eventbridge_writes_it() -> None:
    request = Request.from_state({"trigger": "alarm", "alarm": "a", "alarmed_at": "2026-11-26T10:00:00.000+0000"})
    assert (request.alarmed_at, request.reason) == (NOW, "alarm a: no reason was given")


@pytest.mark.parametrize("at", [None, "yesterday", "2026-11-26T10:00:00"])
def test_an_alarm_without_a_time_is_refused(at: Any) -> None:
    with pytest.raises(InvalidInput, match="alarmed_at"):
        Request.from_state({"trigger": "alarm", "alarm": "a", "alarmed_at": at})
