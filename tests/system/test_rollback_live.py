"""A new model fails while photos are uploaded: an alarm brings the one before back, and every photo has one outcome."""

import json
import time
from collections import Counter
from pathlib import Path

from operate.event_listener import EventListener
from tests.support.retraining_stage import RetrainingStage, client
from tests.support.training_code import server_that_fails_after
from tests.support.upload_stage import wait_for_execution
from tests.support.waiting import eventually
from tests.system.photo_stream import LONGEST_STREAM, RATE, executions, outcomes, photos_arriving, wait_for_no_alarm

# The stream goes on for this long before the model fails and after it was rolled back.
STEADY_S = 3.0


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
