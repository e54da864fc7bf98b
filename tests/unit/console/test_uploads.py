"""Uploads from the console: file names, and the progress of a photo."""

import pytest

from console.aws import Aws
from console.execution_history import ExecutionHistory
from console.photo_records import PhotoRecords
from console.uploads import Uploads, safe_file_name
from deploy.outputs import Deployed
from tests.unit import model_stage


def test_the_name_of_a_file_cannot_change_the_prefix_of_its_key() -> None:
    assert safe_file_name("../../etc/passwd") == "passwd"
    assert safe_file_name("C:\\photos\\my bike.jpg") == "my bike.jpg"
    assert safe_file_name("..") == "photo"


def test_the_progress_is_that_of_the_record_and_of_its_execution(
    stage: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws = Aws()
    aws.s3.create_bucket(
        Bucket=stage.uploads_bucket, CreateBucketConfiguration={"LocationConstraint": model_stage.REGION}
    )
    records, history = PhotoRecords(stage, aws), ExecutionHistory(stage, aws)
    uploads = Uploads(stage, aws, records, history)
    photo = uploads.put("driver-1", "bike.jpg", b"content")
    read: list[str] = []
    monkeypatch.setattr(history, "read_steps", lambda execution: read.append(execution) or [])
    monkeypatch.setattr(aws.stepfunctions, "list_executions", lambda **_: {"executions": []})
    found = uploads.progress(photo.photo_id)
    assert found
    assert (found.status, read) == ("starting", [])
    monkeypatch.delattr(aws.stepfunctions, "list_executions")
    classification = {"vehicle": "bicycle", "confidence": 0.4, "model_version": "v1"}
    model_stage.photo_table().classify(photo, "arn:one", model_stage.NOW, classification=classification, threshold=0.9)
    found = uploads.progress(photo.photo_id)
    assert found
    assert (found.status, read) == ("classified", ["arn:one"])


def test_a_photo_of_another_console_has_no_progress(stage: Deployed) -> None:
    aws = Aws()
    uploads = Uploads(stage, aws, PhotoRecords(stage, aws), ExecutionHistory(stage, aws))
    assert uploads.progress("0" * 32) is None
