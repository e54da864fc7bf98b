"""Reconciliation of a deployed stage: lost photos, stopped executions, missing events, the schedule and the alarm."""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from functions.shared.photo import Photo
from functions.shared.photo_record import IN_REVIEW, REJECTED, ROUTED, UNROUTED, PhotoRecord
from functions.shared.photo_table import PhotoTable
from functions.shared.rejection import Rejection
from functions.shared.times import now, timestamp
from operate import reconcile
from operate.event_listener import EventListener
from tests.support.upload_stage import UploadStage
from tests.support.waiting import eventually

UNREADABLE = b"Dear driver, this is not a photo."


@pytest.fixture
def photos(upload_stage: UploadStage) -> PhotoTable:
    return PhotoTable(upload_stage.deployed.photo_table, boto3.client("dynamodb"))


@pytest.fixture
def listener(upload_stage: UploadStage) -> Iterator[EventListener]:
    with EventListener(upload_stage.deployed.event_bus) as listener:
        yield listener


@contextmanager
def rule_disabled(stage: UploadStage) -> Iterator[None]:
    """Upload without an event: the rule that starts classify-photo is disabled."""
    rules, name = boto3.client("events"), f"{stage.deployed.app_name}-photo-uploaded"
    rules.disable_rule(Name=name)
    try:
        yield
        # The events of the last uploads are matched before the rule is enabled.
        time.sleep(0.5)
    finally:
        rules.enable_rule(Name=name)


def lose(stage: UploadStage, name: str, *contents: bytes) -> list[Photo]:
    """Upload photos that no event announces."""
    with rule_disabled(stage):
        return [stage.put(f"uploads/driver-{name}/{number}.png", content) for number, content in enumerate(contents)]


def invoke(stage: UploadStage, **payload: Any) -> dict[str, Any]:
    answer = boto3.client("lambda").invoke(
        FunctionName=f"{stage.deployed.app_name}-reconcile-photos", Payload=json.dumps({"grace_s": 0, **payload})
    )
    report: dict[str, Any] = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, report
    return report


def run(stage: UploadStage, folder: Path) -> tuple[int, dict[str, Any]]:
    """Run the command; return its exit status and its report."""
    file = folder / "reconcile.json"
    status = reconcile.run(stage.deployed, file, grace_s=0, wait_s=60)
    return status, json.loads(file.read_text())


def record_of(photos: PhotoTable, photo: Photo, status: str) -> PhotoRecord:
    """Wait until a photo has this status."""
    record: PhotoRecord = eventually(
        lambda: photos.get(photo.photo_id), lambda found: found and found.status == status, what=status, timeout_s=60
    )
    return record


def count_events(listener: EventListener, decided: list[Photo]) -> Counter[str]:
    """Count the events with an outcome per photo. A second one arrives within three seconds."""
    ids = {photo.photo_id for photo in decided}
    outcomes = [detail for kind, detail in listener.events(3) if kind in ("Driver Routed", "Photo Rejected")]
    return Counter(detail["photo"]["photo_id"] for detail in outcomes if detail["photo"]["photo_id"] in ids)


def restarts_of(stage: UploadStage, lost: list[Photo]) -> list[str]:
    """The names of the executions that reconciliations started for these photos."""
    states: Any = boto3.client("stepfunctions")
    pages = states.get_paginator("list_executions").paginate(stateMachineArn=stage.deployed.classify_photo_arn)
    names = [execution["name"] for page in pages for execution in page["executions"]]
    return sorted(name for name in names if any(name.startswith(f"reconcile-{photo.photo_id}-") for photo in lost))


def test_photos_that_were_uploaded_while_no_rule_existed_are_decided_once(
    upload_stage: UploadStage, photos: PhotoTable, listener: EventListener, tmp_path: Path
) -> None:
    bicycle, motorcycle = (upload_stage.photo_of(label).content for label in ("bicycle", "motorcycle"))
    lost = lose(upload_stage, "no-rule", bicycle, motorcycle, UNREADABLE)
    assert [photos.get(photo.photo_id) for photo in lost] == [None] * 3
    status, report = run(upload_stage, tmp_path)
    assert status == 0, report
    results = {entry["photo_id"]: entry["result"] for entry in report["restarted"]}
    assert [results[photo.photo_id] for photo in lost] == [ROUTED, ROUTED, REJECTED]
    assert restarts_of(upload_stage, lost) == sorted(f"reconcile-{photo.photo_id}-1" for photo in lost)
    assert count_events(listener, lost) == Counter(photo.photo_id for photo in lost)

    _, again = run(upload_stage, tmp_path)
    assert not {entry["photo_id"] for entry in again["restarted"]} & set(results)


def test_a_photo_whose_execution_was_stopped_in_review_gets_a_new_request(
    upload_stage: UploadStage, photos: PhotoTable, tmp_path: Path
) -> None:
    other = next(source for source in upload_stage.photos if source.label not in ("bicycle", "motorcycle"))
    photo = upload_stage.put("uploads/driver-stopped/other.png", other.content)
    first = record_of(photos, photo, IN_REVIEW)
    boto3.client("stepfunctions").stop_execution(executionArn=first.execution)
    # NotifyFailure changes the record; a reconciliation leaves alone what changes while it runs.
    record_of(photos, photo, UNROUTED)
    status, report = run(upload_stage, tmp_path)
    assert [entry["result"] for entry in report["restarted"] if entry["photo_id"] == photo.photo_id] == [IN_REVIEW]
    assert status == 0, report
    second = record_of(photos, photo, IN_REVIEW)
    assert second.execution.endswith(f":reconcile-{photo.photo_id}-1")
    assert (second.review or {})["token_hash"] != (first.review or {})["token_hash"]
    assert report["queues"]["review"] >= 1
    boto3.client("stepfunctions").stop_execution(executionArn=second.execution)
    # Otherwise a later reconciliation would restart it again.
    rejection = Rejection(photo, "UnusablePhoto", "not a photo", second.execution, timestamp(now()))
    photos.record_outcome(photo, REJECTED, second.execution, now(), outcome=rejection.as_state())


def test_an_outcome_whose_event_was_not_published_is_announced_once(
    upload_stage: UploadStage, photos: PhotoTable, listener: EventListener
) -> None:
    (photo,) = lose(upload_stage, "unannounced", upload_stage.photo_of("bicycle").content)
    decision = {
        "photo": photo.as_state(), "driver_id": photo.driver_id, "vehicle": "bicycle", "confidence": 0.97,
        "decided_by": "model", "loading_bay": "Bay A", "order_range": "nearby", "model_version": "model-1",
        "execution": "an-execution", "decided_at": "2026-11-27T10:00:00.000Z",
    }  # fmt: skip
    photos.record_outcome(photo, ROUTED, "an-execution", now() - timedelta(minutes=5), outcome=decision)
    reports: list[dict[str, Any]] = []
    threads = [threading.Thread(target=lambda: reports.append(invoke(upload_stage))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    named = [entry["photo_id"] for report in reports for entry in report["announced"]]
    assert named.count(photo.photo_id) == 1
    assert count_events(listener, [photo]) == {photo.photo_id: 1}


def test_two_reconciliations_at_once_start_one_execution_per_photo(
    upload_stage: UploadStage, photos: PhotoTable, listener: EventListener
) -> None:
    lost = lose(upload_stage, "twice", *[UNREADABLE + bytes([number]) for number in range(20)])
    reports: list[dict[str, Any]] = []
    threads = [threading.Thread(target=lambda: reports.append(invoke(upload_stage))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reports) == 3
    named = Counter(entry["photo_id"] for report in reports for entry in report["restarted"])
    assert set(named) >= {photo.photo_id for photo in lost}
    assert restarts_of(upload_stage, lost) == sorted(f"reconcile-{photo.photo_id}-1" for photo in lost)
    for photo in lost:
        record_of(photos, photo, REJECTED)
    assert count_events(listener, lost) == Counter(photo.photo_id for photo in lost)


def test_under_a_stream_of_uploads_no_photo_has_two_outcomes(
    upload_stage: UploadStage, photos: PhotoTable, listener: EventListener
) -> None:
    """Without a grace period: photos are restarted whose event is still on its way."""
    running, reports = threading.Event(), []
    running.set()

    def reconcile_all_the_time() -> None:
        while running.is_set():
            reports.append(invoke(upload_stage))

    thread = threading.Thread(target=reconcile_all_the_time)
    thread.start()
    bicycle = upload_stage.photo_of("bicycle").content
    contents = [bicycle if number % 4 == 0 else UNREADABLE + bytes([number]) for number in range(40)]
    uploaded = [
        upload_stage.put(f"uploads/driver-stream/{number}.png", content) for number, content in enumerate(contents)
    ]
    for number, photo in enumerate(uploaded):
        record_of(photos, photo, ROUTED if number % 4 == 0 else REJECTED)
    running.clear()
    thread.join()
    assert reports
    assert count_events(listener, uploaded) == Counter(photo.photo_id for photo in uploaded)


def test_the_schedule_runs_the_function(upload_stage: UploadStage) -> None:
    rules, name = boto3.client("events"), f"{upload_stage.deployed.app_name}-reconcile-photos"
    rule = rules.describe_rule(Name=name)
    (target,) = rules.list_targets_by_rule(Rule=name)["Targets"]
    function = boto3.client("lambda").get_function(FunctionName=f"{upload_stage.deployed.app_name}-reconcile-photos")
    assert rule["ScheduleExpression"] == "rate(15 minutes)"
    assert target["Arn"] == function["Configuration"]["FunctionArn"]
    assert json.loads(target["Input"]) == {"hours": 24, "grace_s": 300, "scheduled": True}

    def runs() -> int:
        found = boto3.client("logs").filter_log_events(
            logGroupName=upload_stage.deployed.log_group("reconcile-photos"), filterPattern='"reconciled"'
        )
        return len(found["events"])

    before = runs()
    kept = {key: rule[key] for key in ("Name", "Description") if rule.get(key)}  # type: ignore[literal-required]
    rules.put_rule(**kept, ScheduleExpression="rate(1 minute)")
    try:
        eventually(runs, lambda found: found > before, what="a scheduled run", timeout_s=90)
    finally:
        rules.put_rule(**kept, ScheduleExpression=rule["ScheduleExpression"])


def test_the_alarm_goes_off_for_a_lost_photo_and_ends_when_none_is_left(upload_stage: UploadStage) -> None:
    cloudwatch: Any = boto3.client("cloudwatch")
    name = f"{upload_stage.deployed.app_name}-unaccounted-photos"
    (alarm,) = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    assert "make reconcile" in alarm["AlarmDescription"]
    # The deployed alarm with a shorter period, so that the test need not wait until a minute is over.
    fields = ("Namespace", "MetricName", "Dimensions", "Statistic", "Threshold", "ComparisonOperator")
    copied = {field: alarm[field] for field in (*fields, "EvaluationPeriods", "TreatMissingData")}
    cloudwatch.put_metric_alarm(AlarmName=f"copy-{name}", Period=10, **copied)

    def state(of: str) -> str:
        return str(cloudwatch.describe_alarms(AlarmNames=[of])["MetricAlarms"][0]["StateValue"])

    try:
        lost = lose(upload_stage, "alarm", UNREADABLE)
        report = invoke(upload_stage)
        assert lost[0].photo_id in [entry["photo_id"] for entry in report["restarted"]]
        for one in (name, f"copy-{name}"):
            eventually(lambda one=one: state(one), lambda found: found == "ALARM", what=one, timeout_s=30)

        def state_after_another_run() -> str:
            assert invoke(upload_stage)["counts"]["unexplained"] == 0
            time.sleep(2)
            return state(f"copy-{name}")

        eventually(state_after_another_run, lambda found: found == "OK", what="the end of the alarm", timeout_s=60)
    finally:
        cloudwatch.delete_alarms(AlarmNames=[f"copy-{name}"])
