"""The request of ReconcilePhotos: malformed ones, calls that continue another one, and the size of the answer."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deploy.templates import load_template
from functions.shared.errors import InvalidInput
from functions.shared.photo_table import PhotoTable
from functions.shared.times import now, timestamp
from tests.unit.functions.reconciler import Reconciler, classify, counts, decide
from tests.unit.functions.stack import FunctionOutput, Stack


def test_calls_that_run_out_of_time_examine_every_photo_once(
    stack: Stack, reconcile: Reconciler, photos: PhotoTable, output: Callable[[], FunctionOutput]
) -> None:
    for number in range(3):
        stack.upload(key=f"uploads/driver-17/{number}.jpg")
        photo = stack.upload(key=f"uploads/driver-17/stuck-{number}.jpg")
        classify(photos, photo, "an execution that does not exist", now() - timedelta(seconds=10 - number))
        photo = stack.upload(key=f"uploads/driver-17/decided-{number}.jpg")
        decide(photos, photo, now() - timedelta(seconds=100 - number), announced=False)
    total: dict[str, int] = {}
    continuation, calls = None, 0
    while calls == 0 or continuation:
        # Time for two steps per call.
        steps = iter([900_000] * 2)
        reconcile.remaining_ms = lambda steps=steps: next(steps, 0)
        report = reconcile(continuation=continuation)
        continuation, calls = report["continuation"], calls + 1
        for name, count in counts(report).items():
            total[name] = total.get(name, 0) + count
        assert report["complete"] is (continuation is None)
        assert calls < 30
    assert calls > 3
    assert total == {"uploads": 9, "with_outcome": 3, "without_outcome": 6, "announced": 3, "restarted": 6}
    assert len(reconcile.started()) == 6
    # The alarm gets the number of all calls.
    assert output().metrics("PhotosUnaccounted")[-1]["PhotosUnaccounted"] == [6.0]


def test_a_scheduled_run_that_is_incomplete_fails_and_does_not_end_the_alarm(
    stack: Stack, reconcile: Reconciler, output: Callable[[], FunctionOutput]
) -> None:
    stack.upload()
    reconcile.remaining_ms = lambda: 0
    with pytest.raises(reconcile.function.module.ReconciliationIncomplete, match="make reconcile"):
        reconcile(scheduled=True)
    assert output().metrics("PhotosUnaccounted") == []


def test_the_lists_are_limited_and_the_counts_are_not(
    stack: Stack, reconcile: Reconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("functions.reconcile_photos.report.LONGEST_LIST", 2)
    for number in range(3):
        stack.upload(key=f"uploads/driver-17/{number}\n{'写真' * 150}.jpg")
    report = reconcile()
    assert (report["counts"]["restarted"], len(report["restarted"])) == (3, 2)
    # Three lists of 1,000 names fit into an answer of 6 MB.
    assert max(len(json.dumps(one)) for one in report["restarted"]) < 2000
    assert all("\n" not in one["photo"] for one in report["restarted"])


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"hours": -1}, "hours is -1"),
        ({"hours": "all"}, "hours is 'all'"),
        ({"grace_s": True}, "grace_s is True"),
        ({"grace_s": float("nan")}, "grace_s is nan"),
        ({"force": "yes"}, "force is 'yes'"),
        ({"continuation": {}}, "continuation is malformed"),
        (
            {"continuation": {"started_at": "2026-11-27T10:00:00Z", "phase": "all", "after": "", "unaccounted": 0}},
            "continuation.phase is 'all'",
        ),
    ],
)
def test_a_malformed_request_is_an_error(reconcile: Reconciler, event: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        reconcile(**event)


def test_the_continuation_is_bound_to_the_start_of_the_first_call(reconcile: Reconciler) -> None:
    started_at = datetime(2026, 11, 27, 10, tzinfo=UTC)
    position = {"started_at": timestamp(started_at), "phase": "uploads", "after": "uploads/m", "unaccounted": 7}
    report = reconcile(continuation=position, hours=24, grace_s=60)
    assert report["since"] == timestamp(started_at - timedelta(hours=24))
    assert report["until"] == timestamp(started_at - timedelta(seconds=60))


def test_the_schedule_may_invoke_the_function_and_its_request_is_valid(reconcile: Reconciler) -> None:
    resources = load_template("app")["Resources"]
    permission = resources["ReconcilePhotosPermission"]["Properties"]
    assert permission["SourceArn"] == {"Fn::GetAtt": ["ReconcilePhotosSchedule", "Arn"]}
    assert permission["FunctionName"] == {"Ref": "ReconcilePhotosFunction"}
    (target,) = resources["ReconcilePhotosSchedule"]["Properties"]["Targets"]
    assert target["Arn"] == {"Fn::GetAtt": ["ReconcilePhotosFunction", "Arn"]}
    assert reconcile(**json.loads(target["Input"]))["complete"]
    assert resources["ReconcilePhotosFunction"]["Properties"]["Timeout"] == 15 * 60


def test_the_alarm_is_on_the_metric_of_its_stage_and_keeps_its_state_between_runs(
    reconcile: Reconciler, output: Callable[[], FunctionOutput]
) -> None:
    alarm = load_template("app")["Resources"]["UnaccountedPhotosAlarm"]["Properties"]
    reconcile()
    (line,) = output().metrics("PhotosUnaccounted")
    (published,) = line["_aws"]["CloudWatchMetrics"]
    assert alarm["Namespace"] == published["Namespace"]
    assert [pair["Name"] for pair in alarm["Dimensions"]] == sorted(published["Dimensions"][0])
    assert alarm["Dimensions"][0]["Value"] == line["service"]
    assert (alarm["MetricName"], alarm["TreatMissingData"]) == ("PhotosUnaccounted", "ignore")
