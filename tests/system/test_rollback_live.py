"""A new model fails while photos are uploaded: an alarm brings the one before back, and every photo has one outcome."""

import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from deploy.settings import BAKE_ALARMS
from functions.shared.photo import Photo
from functions.shared.photo_record import IN_REVIEW, ROUTED, PhotoRecord
from functions.shared.photo_table import PhotoTable
from operate.event_listener import EventListener
from tests.support.images import png
from tests.support.retraining_stage import RetrainingStage, client
from tests.support.training_code import server_that_fails_after
from tests.support.upload_stage import wait_for_execution
from tests.support.waiting import eventually

RATE = 5.0
# The stream goes on for this long before the model fails and after it was rolled back.
STEADY_S = 3.0
LONGEST_STREAM = 500


def executions(stage: RetrainingStage) -> set[str]:
    """The executions of rollback-model."""
    found = client("stepfunctions").list_executions(stateMachineArn=stage.deployed.rollback_model_arn)
    return {one["executionArn"] for one in found["executions"]}


@contextmanager
def photos_arriving(stage: RetrainingStage) -> Iterator[list[Future[Photo]]]:
    """Upload RATE photos of vehicles per second during the block, however long each takes; yields them."""
    images = [png(image) for image in stage.photos.with_labels(["bicycle", "motorcycle"]).images]
    bucket, stopped = stage.deployed.uploads_bucket, threading.Event()
    photos: list[Future[Photo]] = []
    name = uuid.uuid4().hex[:8]

    def put(key: str, content: bytes) -> Photo:
        etag = client("s3").put_object(Bucket=bucket, Key=key, Body=content)["ETag"]
        return Photo(bucket, key, etag.strip('"'), len(content))

    def stream() -> None:
        began = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            for number in range(LONGEST_STREAM):
                if stopped.wait(max(0.0, began + number / RATE - time.monotonic())):
                    return
                key = f"uploads/driver-{number % 10:02}/{name}-{number:04}.png"
                photos.append(pool.submit(put, key, images[number % len(images)]))

    thread = threading.Thread(target=stream, name="stream")
    thread.start()
    try:
        yield photos
    finally:
        stopped.set()
        thread.join()


def answer_review(stage: RetrainingStage) -> None:
    """Answer the requests in the review queue that can be received now with `bicycle`."""
    url = stage.deployed.review_queue_url
    answer = json.dumps({"vehicle": "bicycle", "reviewer": "ada", "answered_at": "2026-01-01T00:00:00Z"})
    for message in client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", ()):
        token = json.loads(message["Body"])["task_token"]
        client("stepfunctions").send_task_success(taskToken=token, output=answer)
        client("sqs").delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def outcomes(stage: RetrainingStage, photos: list[Photo]) -> dict[str, PhotoRecord]:
    """Wait until each photo was decided, and answer the reviews; returns the records by photo id."""
    table = PhotoTable(stage.deployed.photo_table, client("dynamodb"))
    done: dict[str, PhotoRecord] = {}

    def undecided() -> list[Photo]:
        for photo in photos:
            record = done.get(photo.photo_id) or table.get(photo.photo_id)
            if record and record.status == ROUTED and record.announced:
                done[photo.photo_id] = record
            elif record and record.status == IN_REVIEW:
                answer_review(stage)
        return [photo for photo in photos if photo.photo_id not in done]

    eventually(undecided, lambda left: not left, what="an outcome of every photo", timeout_s=120)
    return done


def alarm_history(name: str) -> list[str]:
    """The reasons of the states that an alarm has entered."""
    items = client("cloudwatch").describe_alarm_history(AlarmName=name, HistoryItemType="StateUpdate")
    return [json.loads(item["HistoryData"])["newState"]["stateReason"] for item in items["AlarmHistoryItems"]]


def approval(stage: RetrainingStage, model_version: str) -> str:
    """The approval status of a model in the registry."""
    found = client("sagemaker").list_model_packages(ModelPackageGroupName=stage.deployed.app_name)
    packages = [
        client("sagemaker").describe_model_package(ModelPackageName=one["ModelPackageArn"])
        for one in found["ModelPackageSummaryList"]
    ]
    (status,) = [
        package["ModelApprovalStatus"]
        for package in packages
        if package["CustomerMetadataProperties"]["model_version"] == model_version
    ]
    return str(status)


def in_alarm(stage: RetrainingStage) -> list[str]:
    """The alarms of a new model that are in ALARM: a retraining leaves them out."""
    names = [f"{stage.deployed.app_name}-{name}" for name in BAKE_ALARMS]
    found = client("cloudwatch").describe_alarms(AlarmNames=names, StateValue="ALARM")
    return [alarm["AlarmName"] for alarm in found["MetricAlarms"]]


def pending_status(stage: RetrainingStage) -> list[str]:
    """The status of the variants that an update puts into service; empty without an update."""
    found = client("sagemaker").describe_endpoint(EndpointName=stage.deployed.endpoint_name)
    variants = found.get("PendingDeploymentSummary", {}).get("ProductionVariants", ())
    return [status["Status"] for variant in variants for status in variant["VariantStatus"]]


@contextmanager
def canary_deployments(stage: RetrainingStage) -> Iterator[None]:
    """Run the endpoint with two instances during the block, and give a new model half of the traffic for a minute."""
    name = f"{stage.deployed.app_name}-build-dataset"
    lambdas, scaling = client("lambda"), client("application-autoscaling")
    before = lambdas.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    canary = {"ENDPOINT_MIN_INSTANCES": "2", "ROLLOUT_SECONDS": "60"}
    target = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{stage.deployed.endpoint_name}/variant/AllTraffic",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    scaling.register_scalable_target(**target, MinCapacity=2, MaxCapacity=2)
    lambdas.update_function_configuration(FunctionName=name, Environment={"Variables": {**before, **canary}})
    try:
        yield
    finally:
        lambdas.update_function_configuration(FunctionName=name, Environment={"Variables": before})
        scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=2)


def wait_for_no_alarm(stage: RetrainingStage) -> None:
    """An alarm that is in ALARM already sends no event when it is raised again."""
    eventually(lambda: in_alarm(stage), lambda names: not names, what="no alarm that is left out", timeout_s=360)


def test_a_canary_that_fails_is_withdrawn_and_no_photo_is_lost(
    retraining_stage: RetrainingStage, tmp_path: Path
) -> None:
    wait_for_no_alarm(retraining_stage)
    sign = tmp_path / "fail"
    failing = retraining_stage.files_without_comparison() | server_that_fails_after(sign)
    champion = retraining_stage.champion.model_version
    image = retraining_stage.publish_image(failing)
    known = executions(retraining_stage)
    with canary_deployments(retraining_stage):
        retraining = retraining_stage.start(image=image, force=True)
        eventually(lambda: pending_status(retraining_stage) == ["Baking"], what="the canary", timeout_s=180)
        with photos_arriving(retraining_stage) as arriving:
            sign.touch()
            ended = retraining_stage.wait_for_execution(retraining)
    assert (ended["status"], ended["error"]) == ("FAILED", "EndpointNotInService")
    # SageMaker returned to the champion by itself: the workflow had nothing to restore.
    assert "RestoreEndpoint" not in retraining_stage.entered_states(retraining)
    assert "alarms were in ALARM" in retraining_stage.failure_reason()
    assert retraining_stage.champion.model_version == champion
    assert retraining_stage.serves_champion()
    # An alarm that starts a rollback is not about the champion.
    for rollback in executions(retraining_stage) - known:
        assert json.loads(wait_for_execution(rollback)["output"])["outcome"] == "ignored"

    photos = [future.result() for future in arriving]
    records = outcomes(retraining_stage, photos)
    decided = [dict(record.outcome or {}) for record in records.values()]
    people = sum(one["decided_by"] == "reviewer" for one in decided)
    assert {one["model_version"] for one in decided if one["decided_by"] == "model"} == {champion}
    assert len(decided) == len({photo.photo_id for photo in photos}) == len(photos)
    print(f"{len(photos)} photos, {people} of them to a reviewer")


def test_a_promoted_model_that_fails_is_rolled_back_and_no_photo_is_lost(
    retraining_stage: RetrainingStage, tmp_path: Path
) -> None:
    wait_for_no_alarm(retraining_stage)
    sign = tmp_path / "fail"
    failing = retraining_stage.files_without_comparison() | server_that_fails_after(sign)
    before = retraining_stage.champion.model_version
    promoted = retraining_stage.retrain(image=retraining_stage.publish_image(failing), force=True)["model_version"]
    assert retraining_stage.serves_champion()
    known = executions(retraining_stage)
    with EventListener(retraining_stage.deployed.event_bus) as listener:
        with photos_arriving(retraining_stage) as arriving:
            eventually(lambda: len(arriving) > STEADY_S * RATE, what="the stream")
            sign.touch()
            failed_at = time.monotonic()
            (rollback,) = eventually(lambda: executions(retraining_stage) - known, what="a rollback", timeout_s=60)
            output = json.loads(wait_for_execution(rollback)["output"])
            rolled_back_s = time.monotonic() - failed_at
            uploaded = len(arriving)
            eventually(lambda: len(arriving) > uploaded + STEADY_S * RATE, what="photos after the rollback")
        photos = [future.result() for future in arriving]
        assert len(photos) < LONGEST_STREAM
        records = outcomes(retraining_stage, photos)
        events = Counter(
            detail["photo"]["photo_id"]
            for detail_type, detail in listener.events(3)
            if detail_type in ("Driver Routed", "Photo Rejected")
        )

    # The alarm went off by the metric of the endpoint, and nobody started the rollback.
    alarm = f"{retraining_stage.deployed.app_name}-endpoint-errors"
    assert (output["outcome"], output["trigger"], output["alarm"]) == ("rolled back", "alarm", alarm)
    assert (output["champion"], output["rolled_back"]) == (before, promoted)
    assert any(reason.startswith("Threshold Crossed") for reason in alarm_history(alarm))
    assert retraining_stage.serves_champion()
    marked = retraining_stage.table.promoted(promoted)
    assert marked
    assert str(marked.rolled_back_reason).startswith(f"alarm {alarm}")
    assert approval(retraining_stage, promoted) == "Rejected"

    # Every photo has one outcome: by one of the two models, or by a person.
    assert {photo_id: events[photo_id] for photo_id in records} == dict.fromkeys(records, 1)
    decided = [dict(record.outcome or {}) for record in records.values()]
    versions = Counter(one["model_version"] for one in decided if one["decided_by"] == "model")
    people = sum(one["decided_by"] == "reviewer" for one in decided)
    assert set(versions) == {promoted, before}
    assert people + versions.total() == len(photos)
    # Shown with `pytest -s`.
    print(
        f"{len(photos)} photos, {people} of them to a reviewer; {rolled_back_s:.1f} s from the first error to the end"
    )
