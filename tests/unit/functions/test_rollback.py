"""The functions of a rollback: what they record, when an alarm counts, and how a failure is told."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws

from functions.prepare_rollback.alarm_rule import reason_to_ignore
from functions.prepare_rollback.request import Request
from functions.prepare_rollback.target import Refusal, Targets
from functions.record_rollback.conclusion import failure
from functions.shared.champion import Champion, LockLost, ModelTable
from functions.shared.errors import InvalidInput
from functions.shared.times import timestamp

NOW = datetime(2026, 11, 26, 10, 0, tzinfo=UTC)
WINDOW = timedelta(hours=24)
OLD, NEW = Champion("v1", "v1", "s3://a"), Champion("v2", "v2", "s3://b", previous="v1")


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelTable]:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        dynamodb = boto3.client("dynamodb", region_name="eu-west-1")
        dynamodb.create_table(
            TableName="models",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        table = ModelTable("models", dynamodb)
        table.crown(OLD)
        table.crown(NEW)
        yield table


# Recording


def test_a_rollback_is_recorded_whole_and_may_be_recorded_twice(table: ModelTable) -> None:
    table.take_lock("one", NOW, lambda holder: True)
    restored, marked = OLD.restored("at"), NEW.marked("at", "too many errors", "one")
    table.record_rollback(restored, marked, "one")
    table.release_lock("one")
    table.record_rollback(restored, marked, "one")
    assert (table.champion(), table.promoted("v1"), table.promoted("v2")) == (restored, restored, marked)
    assert sorted(model.model_version for model in table.all_promoted()) == ["v1", "v2"]


def test_a_rollback_that_lost_the_lock_records_nothing(table: ModelTable) -> None:
    table.take_lock("another", NOW, lambda holder: True)
    with pytest.raises(LockLost):
        table.record_rollback(OLD.restored("at"), NEW.marked("at", "why", "one"), "one")
    assert (table.champion(), table.promoted("v2")) == (NEW, NEW)


def test_a_record_from_before_there_were_marks_is_read(table: ModelTable) -> None:
    old = Champion.from_state({"model_version": "v0", "endpoint_config": "v0", "artifact": "s3://c"})
    assert (old.origin, old.is_initial, old.rolled_back_at) == ("retraining", False, None)


# The target


class _SageMaker:
    """A SageMaker that has every model, under its own name."""

    def describe_endpoint_config(self, EndpointConfigName: str) -> dict[str, Any]:  # the API's name
        return {"ProductionVariants": [{"ModelName": EndpointConfigName}]}

    def describe_model(self, ModelName: str) -> dict[str, Any]:  # the API's name
        return {"PrimaryContainer": {"ModelDataUrl": f"s3://{ModelName}"}}


def test_records_that_name_each_other_as_predecessor_end_the_search(table: ModelTable) -> None:
    """As rollbacks recorded it before models were marked."""
    table.crown(Champion("v1", "v1", "s3://a", previous="v2", rolled_back_at="before"))
    with pytest.raises(Refusal, match="v1 was rolled back at before"):
        Targets(table, _SageMaker()).predecessor(NEW)


def test_a_model_is_found_by_the_name_of_its_configuration_too(table: ModelTable) -> None:
    table.crown(Champion("initial-abc", "vehicles-test-0", "s3://a"))
    target = Targets(table, _SageMaker()).named("vehicles-test-0", NEW)
    assert target.model.model_version == "initial-abc"


def test_a_model_that_never_was_champion_gets_the_champion_as_its_predecessor(table: ModelTable) -> None:
    target = Targets(table, _SageMaker()).named("v9", NEW)
    assert (target.model.artifact, target.model.previous) == ("s3://v9", "v2")


# Alarms


def champion(hours_ago: float | None, **more: Any) -> Champion:
    at = None if hours_ago is None else timestamp(NOW - timedelta(hours=hours_ago))
    return Champion("v2", "v2", "s3://b", promoted_at=at, **more)


@pytest.mark.parametrize(
    ("model", "alarmed_h_ago", "words"),
    [
        (champion(1), 0.5, None),
        (champion(23.9), 0.1, None),
        (champion(25), 0.1, "only in the first 24 hours"),
        (champion(1), 1.5, "before v2 was promoted"),
        (champion(1, restored_at="2026-11-26T09:30:00.000Z"), 0.1, "does not roll back further"),
        (champion(None), 0.1, "not known when"),
    ],
)
def test_an_alarm_counts_soon_after_a_promotion_and_only_then(
    model: Champion, alarmed_h_ago: float, words: str | None
) -> None:
    why = reason_to_ignore(model, NOW - timedelta(hours=alarmed_h_ago), NOW, WINDOW)
    assert why is None if words is None else words in str(why)


def test_the_time_of_an_alarm_is_read_as_eventbridge_writes_it() -> None:
    request = Request.from_state({"trigger": "alarm", "alarm": "a", "alarmed_at": "2026-11-26T10:00:00.000+0000"})
    assert (request.alarmed_at, request.reason) == (NOW, "alarm a: no reason was given")


@pytest.mark.parametrize("at", [None, "yesterday", "2026-11-26T10:00:00"])
def test_an_alarm_without_a_time_is_refused(at: Any) -> None:
    with pytest.raises(InvalidInput, match="alarmed_at"):
        Request.from_state({"trigger": "alarm", "alarm": "a", "alarmed_at": at})


# A failure, in words


PREPARED = {"model_version": "v1", "champion": NEW.as_state(), "restore_config": "v2"}
ERROR = {"Error": "ProbeFailed", "Cause": '{"errorMessage": "3 of 18 golden photos are right"}'}


def test_a_failure_says_what_the_endpoint_serves() -> None:
    assert failure({"prepared": PREPARED, "error": ERROR})[1].endswith(
        "The endpoint was not changed, and v2 stays champion."
    )
    back = {"status": "InService", "config": "v2"}
    assert failure({"prepared": PREPARED, "error": ERROR, "restored": back}) == (
        "ProbeFailed",
        "The rollback to v1 failed: 3 of 18 golden photos are right. v2 is on the endpoint again and stays champion.",
    )
    for stuck in ({"status": "Updating", "config": "v2"}, {"status": "InService", "config": "v1"}):
        cause = failure({"prepared": PREPARED, "error": ERROR, "restored": stuck})[1]
        assert f"the endpoint is {stuck['status']} with {stuck['config']}" in cause
