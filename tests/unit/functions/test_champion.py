"""The table of models: the lock, promotions and rollbacks."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from functions.shared.champion import JUDGED_SNAPSHOTS, Champion, LockLost, ModelTable, Reference, RetrainingRunning

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
OLD, NEW = Champion("v1", "v1", "s3://a"), Champion("v2", "v2", "s3://b", previous="v1")


def is_running(_: str) -> bool:
    return True


def is_not_running(_: str) -> bool:
    return False


def test_the_lock_is_held_by_one_execution_which_may_acquire_it_again(table: ModelTable) -> None:
    table.acquire_lock("one", NOW, is_running)
    table.acquire_lock("one", NOW, is_running)
    with pytest.raises(RetrainingRunning, match="one"):
        table.acquire_lock("two", NOW, is_running)


def test_the_lock_of_an_execution_that_ended_is_taken_over(table: ModelTable) -> None:
    table.acquire_lock("one", NOW, is_running)
    table.acquire_lock("two", NOW, is_not_running)
    with pytest.raises(RetrainingRunning):
        table.acquire_lock("one", NOW, is_running)


def test_a_lock_expires_even_when_its_holder_is_running(table: ModelTable) -> None:
    table.acquire_lock("one", NOW, is_running)
    table.acquire_lock("two", NOW + timedelta(hours=7), is_running)


def test_only_one_of_two_executions_takes_over_a_lock(table: ModelTable) -> None:
    def let_another_take_over(holder: str) -> bool:
        table.acquire_lock("two", NOW, is_not_running)
        return False

    table.acquire_lock("one", NOW, is_running)
    with pytest.raises(RetrainingRunning):
        table.acquire_lock("three", NOW, let_another_take_over)
    table.acquire_lock("two", NOW, is_running)


def test_only_the_holder_releases_the_lock(table: ModelTable) -> None:
    table.acquire_lock("one", NOW, is_running)
    table.release_lock("two")
    with pytest.raises(RetrainingRunning):
        table.acquire_lock("two", NOW, is_running)
    table.release_lock("one")
    table.release_lock("one")
    table.acquire_lock("two", NOW, is_running)


def test_the_champion_is_read_as_it_was_promoted(table: ModelTable) -> None:
    champion = Champion("v2", "v2", "s3://a", "s3://snapshot/", 0.93, "2026-11-23T10:00:00.000Z", "v1")
    assert table.champion() is None
    table.promote(champion)
    assert table.champion() == champion
    later = Champion("v3", "v3", "s3://c")
    table.promote(later)
    assert (table.champion(), table.promoted("v2"), table.promoted("v1")) == (later, champion, None)


def test_only_the_holder_of_the_lock_promotes_and_may_repeat_it(table: ModelTable) -> None:
    first, second = Champion("v1", "v1", "s3://a"), Champion("v2", "v2", "s3://b")
    table.acquire_lock("one", NOW, lambda holder: True)
    table.promote(first, "one")
    table.release_lock("one")
    table.promote(first, "one")
    table.acquire_lock("two", NOW, lambda holder: True)
    with pytest.raises(LockLost):
        table.promote(second, "one")
    assert table.champion() == first


def test_the_last_judged_snapshots_are_remembered_in_the_order_of_their_verdicts(table: ModelTable) -> None:
    assert table.judged_snapshots() == []
    table.record_judged("s3://second/", "2026-11-23T11:00:00.000Z")
    table.record_judged("s3://first/", "2026-11-23T10:00:00.000Z")
    assert table.judged_snapshots() == ["s3://first/", "s3://second/"]
    table.record_judged("s3://first/", "2026-11-23T12:00:00.000Z")
    table.record_judged("s3://first/", "2026-11-23T09:00:00.000Z")
    assert table.judged_snapshots() == ["s3://second/", "s3://first/"]
    for number in range(JUDGED_SNAPSHOTS - 1):
        table.record_judged(f"s3://{number}/", f"2026-11-24T10:00:{number:02}.000Z")
    assert len(table.judged_snapshots()) == JUDGED_SNAPSHOTS
    assert table.judged_snapshots()[:2] == ["s3://first/", "s3://0/"]


def test_of_two_executions_that_record_a_judged_snapshot_both_are_remembered(
    table: ModelTable, account: dict[str, Any]
) -> None:
    def record_another(**_: Any) -> None:
        account["dynamodb"].meta.events.unregister("before-call.dynamodb.PutItem", record_another)
        table.record_judged("s3://b/", "2026-11-23T11:00:00.000Z")

    account["dynamodb"].meta.events.register("before-call.dynamodb.PutItem", record_another)
    table.record_judged("s3://a/", "2026-11-23T10:00:00.000Z")
    assert table.judged_snapshots() == ["s3://a/", "s3://b/"]


@pytest.fixture
def promoted(table: ModelTable) -> ModelTable:
    """A table in which OLD was promoted before NEW."""
    table.promote(OLD)
    table.promote(NEW)
    return table


def test_a_rollback_records_both_models_and_may_be_repeated(promoted: ModelTable) -> None:
    promoted.acquire_lock("one", NOW, lambda holder: True)
    restored, marked = OLD.as_restored("at"), NEW.as_rolled_back("at", "too many errors", "one")
    promoted.record_rollback(restored, marked, "one")
    promoted.release_lock("one")
    promoted.record_rollback(restored, marked, "one")
    assert (promoted.champion(), promoted.promoted("v1"), promoted.promoted("v2")) == (restored, restored, marked)
    assert sorted(model.model_version for model in promoted.all_promoted()) == ["v1", "v2"]


def test_a_rollback_that_lost_the_lock_records_nothing(promoted: ModelTable) -> None:
    promoted.acquire_lock("another", NOW, lambda holder: True)
    with pytest.raises(LockLost):
        promoted.record_rollback(OLD.as_restored("at"), NEW.as_rolled_back("at", "why", "one"), "one")
    assert (promoted.champion(), promoted.promoted("v2")) == (NEW, NEW)


def test_a_record_without_the_optional_fields_is_read() -> None:
    old = Champion.from_state({"model_version": "v0", "endpoint_config": "v0", "artifact": "s3://c"})
    assert (old.origin, old.is_initial, old.rolled_back_at) == ("retraining", False, None)


REFERENCE = Reference("v1", "s3://a", "2026-11-23T10:00:00.000Z", "the first champion")


def test_the_reference_model_is_recorded_with_the_promotion(table: ModelTable) -> None:
    assert table.reference() is None
    table.promote(OLD, reference=REFERENCE)
    assert (table.champion(), table.reference()) == (OLD, REFERENCE)
    table.promote(NEW)
    assert (table.champion(), table.reference()) == (NEW, REFERENCE)


def test_a_promotion_that_lost_the_lock_does_not_replace_the_reference(table: ModelTable) -> None:
    table.promote(OLD, reference=REFERENCE)
    table.acquire_lock("another", NOW, is_running)
    with pytest.raises(LockLost):
        table.promote(NEW, "one", Reference.of(NEW, "at", "more accurate"))
    assert table.reference() == REFERENCE


def test_a_rollback_of_another_model_leaves_the_reference(promoted: ModelTable) -> None:
    promoted.set_reference(REFERENCE)
    promoted.acquire_lock("one", NOW, is_running)
    promoted.record_rollback(OLD.as_restored("at"), NEW.as_rolled_back("at", "too many errors", "one"), "one")
    assert promoted.reference() == REFERENCE
    assert [model.model_version for model in promoted.all_promoted()].count("v1") == 1


def test_a_rollback_of_the_reference_makes_the_restored_model_the_reference(promoted: ModelTable) -> None:
    promoted.set_reference(Reference.of(NEW, "before", "more accurate than the reference before"))
    promoted.acquire_lock("another", NOW, is_running)
    restored, marked = OLD.as_restored("at"), NEW.as_rolled_back("at", "too many errors", "one")
    with pytest.raises(LockLost):
        promoted.record_rollback(restored, marked, "one")
    assert (promoted.reference() or REFERENCE).model_version == "v2"
    for _ in range(2):
        promoted.record_rollback(restored, marked, "another")
        assert promoted.reference() == Reference("v1", "s3://a", "at", "restored by the rollback of v2")
