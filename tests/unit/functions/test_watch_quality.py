"""WatchQuality: references, looks, one announcement of a drift, labels, a retraining."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from functions.shared.drift import IMAGE_STATISTICS, Comparison
from functions.shared.drift_state import (
    DRIFT,
    NO_DRIFT,
    TOO_FEW,
    Drift,
    DriftState,
    DriftTable,
    Look,
    WatchRunning,
)
from functions.shared.errors import EventNotPublished, InvalidDocument
from functions.shared.times import timestamp
from functions.watch_quality.baseline import read_baseline
from tests.unit.functions.drift_stage import DAY, PER_DAY, START, DriftStage, archive
from tests.unit.functions.stack import Function, FunctionOutput
from tests.workflow.lambda_handlers import ENVIRONMENT


@pytest.fixture
def stage(account: dict[str, Any]) -> DriftStage:
    return DriftStage(account)


def statistics(detail: dict[str, Any]) -> set[str]:
    return {one["statistic"] for one in detail["statistics"]}


def test_a_dark_stream_is_announced_after_two_periods_at_most_and_only_once(stage: DriftStage) -> None:
    day = stage.settle()
    stage.upload(day)
    assert stage.run(day + 1).drift is None
    results = []
    for number in range(1, 5):
        stage.upload(day + number, brightness=0.15)
        look = stage.run(day + number + 1).look
        assert look is not None
        results.append(look.result)
    assert DRIFT in results[:2]
    assert results[2:] == [DRIFT, DRIFT]
    (detail,) = stage.announced()
    (one,) = detail["statistics"]
    assert one["statistic"] == "brightness"
    assert one["value"] > one["limit"] > 0.2
    assert one["reference"] == "production"
    assert one["change"].startswith("under 0.4")
    assert detail["window"]["photos"] == 3 * PER_DAY
    assert detail["window"]["from"] in ("2026-11-03T00:00:00.000Z", "2026-11-04T00:00:00.000Z")


def test_what_drifts_later_is_part_of_the_same_drift(stage: DriftStage) -> None:
    day = stage.darken(stage.settle())
    for _ in range(2):
        stage.upload(day, brightness=0.15, vehicle="other", confidence=0.6)
        day += 1
    state = stage.run(day)
    assert state.drift is not None
    assert {one.statistic for one in state.drift.statistics} >= {"brightness", "other", "review", "confidence"}
    assert len(stage.announced()) == 1


def test_a_drift_ends_with_a_window_like_the_reference_and_the_next_one_is_another(stage: DriftStage) -> None:
    day = stage.darken(stage.settle())
    assert stage.share() == "0.2"
    for _ in range(3):
        stage.upload(day)
        day += 1
    assert stage.run(day).drift is None
    assert stage.share() == "setting"
    stage.darken(day)
    assert len(stage.announced()) == 2


def test_too_few_photos_are_neither_a_drift_nor_none(stage: DriftStage) -> None:
    day = stage.settle() + 3
    stage.upload(day, brightness=0.15, photos=20)
    state = stage.run(day + 1)
    assert state.look is not None
    assert (state.look.result, state.look.photos, state.drift) == (TOO_FEW, 20, None)
    stage.upload(day + 1, brightness=0.15, photos=25)
    state = stage.run(day + 2)
    assert state.look is not None
    assert (state.look.result, state.look.photos) == (DRIFT, 45)


def test_few_photos_during_a_drift_do_not_end_it(stage: DriftStage) -> None:
    day = stage.darken(stage.settle())
    stage.upload(day + 2, photos=10)
    state = stage.run(day + 3)
    assert state.look is not None
    assert state.look.result == TOO_FEW
    assert state.drift is not None
    assert stage.share() == "0.2"


def test_nothing_is_compared_before_a_period_has_ended_except_on_demand(stage: DriftStage) -> None:
    day = stage.settle()
    stage.upload(day, brightness=0.15)
    assert stage.run(day + 0.9).drift is None
    state = stage.run(day + 0.9, look=True)
    assert state.look is not None
    assert state.look.photos == 0.9 * PER_DAY, "those since the last look"
    assert state.drift is not None


def test_photos_that_wait_for_a_reviewer_count_and_those_of_another_model_do_not(stage: DriftStage) -> None:
    day = stage.settle()
    stage.upload(day, confidence=0.5)  # none of them has an outcome
    look = stage.run(day + 1).look
    assert look is not None
    assert (look.photos, look.review_rate) == (3 * PER_DAY, pytest.approx(1 / 3, abs=1e-3))
    version, stage.champion = stage.champion, replace(stage.champion, model_version="another")
    stage.upload(day + 1)
    stage.champion = version
    look = stage.run(day + 2).look
    assert look is not None
    assert look.photos == 2 * PER_DAY


def test_an_announcement_that_fails_is_repeated_by_the_next_run(stage: DriftStage) -> None:
    day = stage.settle()
    for number in range(2):
        stage.upload(day + number, brightness=0.15)
    stage.bus.down = True
    for _ in range(2):
        with pytest.raises(EventNotPublished):
            stage.run(day + 2)
    stage.bus.down = False
    for _ in range(2):
        state = stage.run(day + 2)
        assert state.drift is not None
        assert state.drift.announced
    assert len(stage.announced()) == 1


def test_enough_labels_of_the_drift_request_one_retraining(stage: DriftStage) -> None:
    today = datetime.now(UTC)
    start = (today - START) / DAY
    stage.promote("model-now", today - 6 * DAY)
    for day in range(3):
        stage.upload(start - 6 + day)
    stage.run(start - 3)
    for day in range(2):
        stage.upload(start - 3 + day, brightness=0.15)
    assert stage.run(start - 1).drift is not None
    stage.answer(4, today)
    stage.run(start - 0.9)
    assert stage.announced("Retraining Needed") == []
    stage.answer(5, today)
    for _ in range(2):
        state = stage.run(start + 0.01)
    (detail,) = stage.announced("Retraining Needed")
    assert (detail["labels"], detail["labels_required"], detail["statistics"]) == (5, 5, ["brightness"])
    assert state.drift is not None
    assert state.drift.retraining_at == detail["requested_at"]


def test_answers_from_before_the_drift_are_no_labels_of_it(stage: DriftStage) -> None:
    stage.answer(9, START)
    assert stage.watch.count_labels(datetime.now(UTC) + DAY, datetime.now(UTC) + 2 * DAY) == 0


def test_a_drift_raises_the_audit_share_until_it_ends_unless_somebody_changes_it(stage: DriftStage) -> None:
    day = stage.darken(stage.settle())
    assert stage.share() == "0.2"
    stage.set_share("0.5")
    for _ in range(3):
        stage.upload(day)
        day += 1
    assert stage.run(day).drift is None
    assert stage.share() == "0.5"


def test_an_audit_share_that_is_higher_stays(stage: DriftStage) -> None:
    day = stage.settle()
    stage.set_share("0.6")
    day = stage.darken(day)
    assert stage.share() == "0.6"
    for _ in range(3):
        stage.upload(day)
        day += 1
    assert stage.run(day).drift is None
    assert stage.share() == "0.6"


def test_a_new_champion_ends_the_drift_and_its_references_are_made_again(stage: DriftStage) -> None:
    day = stage.darken(stage.settle())
    stage.promote("model-2", START + day * DAY)
    state = stage.run(day)
    assert (state.model_version, state.drift, dict(state.references)) == ("model-2", None, {})
    assert stage.share() == "setting"
    for _ in range(3):
        stage.upload(day, brightness=0.15)
        day += 1
        assert stage.run(day).drift is None
    assert len(stage.announced()) == 1
    for _ in range(2):
        stage.upload(day)
        day += 1
    assert stage.run(day).drift is not None, "the world before the drift is a drift for the new champion"


def test_the_images_of_a_champion_without_drift_are_the_reference_for_the_next_one(stage: DriftStage) -> None:
    day = stage.settle()
    stage.promote("model-2", START + day * DAY)
    assert set(stage.run(day).references) == set(IMAGE_STATISTICS)
    stage.darken(day)
    (detail,) = stage.announced()
    assert (detail["model_version"], statistics(detail)) == ("model-2", {"brightness"})


BASELINE = {
    "photos": 400.0,
    "threshold": 0.9,
    "statistics": {
        "confidence": {"edges": [0.96, 0.97, 0.98], "shares": [0.2, 0.3, 0.3, 0.2]},
        "vehicle": {"categories": ["bicycle", "motorcycle", "other"], "shares": [0.98, 0.01, 0.01]},
        "other": {"categories": ["no", "yes"], "shares": [0.99, 0.01]},
        "review": {"categories": ["no", "yes"], "shares": [0.99, 0.01]},
        "brightness": {"edges": [0.8], "shares": [0.1, 0.9]},
        "sharpness": {"edges": [0.01], "shares": [0.9, 0.1]},
        "aspect": {"edges": [0.9, 1.1], "shares": [0.0, 1.0, 0.0]},
    },
}


def test_validation_photos_like_those_of_the_first_period_are_the_reference_from_the_second_on(
    stage: DriftStage,
) -> None:
    stage.promote("model-2", START, BASELINE)
    stage.upload(0)
    state = stage.run(1)
    assert {name for name, one in state.references.items() if one.source == "validation"} == {
        *("confidence", "vehicle", "other", "review")
    }
    assert {one.statistic for one in state.unlike_validation} == {"brightness", "sharpness", "aspect"}
    assert stage.announced() == []
    stage.upload(1, vehicle="other")
    stage.upload(2, vehicle="other")
    stage.run(3)
    (detail,) = stage.announced()
    assert statistics(detail) == {"vehicle", "other", "review"}
    assert {one["reference"] for one in detail["statistics"]} == {"validation"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (archive(BASELINE, digest="0" * 64), "another content than in training"),
        (archive(BASELINE)[:200], "no model archive"),
        (archive({**BASELINE, "photos": -1}), "photos"),
        (archive({**BASELINE, "statistics": {"other": {"categories": ["no", "yes"], "shares": [1.0]}}}), "1 shares"),
        (archive({**BASELINE, "statistics": {"size": {"edges": [2.0, 1.0], "shares": [1.0, 0, 0]}}}), "2 edges"),
    ],
)
def test_a_changed_or_malformed_baseline_is_refused(stage: DriftStage, content: bytes, message: str) -> None:
    stage.account["s3"].put_object(Bucket="scones-ml", Key="models/m.tar.gz", Body=content)
    with pytest.raises(InvalidDocument, match=message):
        read_baseline("s3://scones-ml/models/m.tar.gz", stage.account["s3"])


def test_of_two_runs_at_the_same_time_one_ends(stage: DriftStage) -> None:
    stage.run(0)
    table = DriftTable("models", stage.account["dynamodb"])
    state = table.read()
    assert state is not None
    table.write(state)
    with pytest.raises(WatchRunning):
        table.write(state)


def test_the_state_is_read_as_it_was_written(stage: DriftStage) -> None:
    day = stage.darken(stage.settle())
    state = stage.run(day)
    assert DriftState.from_state(state.as_state(), state.revision) == state
    assert DriftTable("models", stage.account["dynamodb"]).read() == state


def test_a_run_that_comes_late_looks_at_the_last_whole_window(stage: DriftStage) -> None:
    day = stage.settle()
    for number in range(3):
        stage.upload(day + number)
    look = stage.run(day + 3.3).look
    assert look is not None
    assert (look.photos, look.result, look.until) == (3 * PER_DAY, NO_DRIFT, "2026-11-07T00:00:00.000Z")


@pytest.fixture
def watch(
    stage: DriftStage, function: Callable[[str], Function], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, Any]]:
    """The function, as its schedule invokes it."""
    for name, value in {**ENVIRONMENT, "PHOTO_TABLE": "photos", "DRIFT_MIN_PHOTOS": "10"}.items():
        if name.startswith(("DRIFT_", "AUDIT_")) or name in ("STAGE", "PHOTO_TABLE", "MODEL_TABLE", "ML_BUCKET"):
            monkeypatch.setenv(name, value)
    return function("watch_quality")


def test_every_run_publishes_whether_a_drift_goes_on(
    stage: DriftStage, watch: Callable[..., dict[str, Any]], output: Callable[[], FunctionOutput]
) -> None:
    """The alarm for a watch that does not run counts these values."""
    table = DriftTable("models", stage.account["dynamodb"])
    for look in (False, True):
        watch(look=look)
        (line,) = output().metrics("DriftDetected")
        assert (line["DriftDetected"], line["stage"], line["service"]) == ([0.0], "test", "watch-quality")
        assert {"service", "stage"} == set(line["_aws"]["CloudWatchMetrics"][0]["Dimensions"][0])
    state = table.read()
    assert state is not None
    compared = Comparison("brightness", 1.3, 0.3, 412, "production", "under 0.3: 20.0% before, 86.2% now", False)
    at = state.looked_until
    drift = Drift(at, at, at, at, 412, (compared,), required=100, announced=True)
    look_ = Look(at, at, 412, DRIFT, 0.5, (compared,))
    table.write(replace(state, drift=drift, look=look_, looked_until=timestamp(datetime.now(UTC))))
    answer = watch()
    assert answer["drift"]["statistics"][0]["statistic"] == "brightness"
    written = output()
    assert written.metrics("DriftDetected")[0]["DriftDetected"] == [1.0]
    (index,) = written.metrics("DriftIndex")
    assert (index["DriftIndex"], index["statistic"], index["stage"]) == ([1.3], "brightness", "test")
    assert written.metrics("ReviewRate")[0]["ReviewRate"] == [0.5]


def test_a_stage_without_a_champion_has_no_drift(
    stage: DriftStage, watch: Callable[..., dict[str, Any]], output: Callable[[], FunctionOutput]
) -> None:
    stage.account["dynamodb"].delete_item(TableName="models", Key={"id": {"S": "champion"}})
    assert watch() == {"model_version": None, "look": None, "drift": None}
    assert output().metrics("DriftDetected")[0]["DriftDetected"] == [0.0]
