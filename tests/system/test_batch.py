"""A batch: every photo has one result, whatever names the photos, and however often it is started."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import boto3
import jsonschema
import pytest

import events
from functions.shared.photo import Photo
from operate import batch
from operate.batch_source import prepare_folder
from operate.errors import CommandError
from operate.event_listener import EventListener
from operate.terminal import console
from tests.support.upload_stage import UploadStage
from tests.support.waiting import eventually

PHOTOS = 240


def put(stage: UploadStage, key: str, content: bytes) -> None:
    boto3.client("s3").put_object(Bucket=stage.deployed.uploads_bucket, Key=key, Body=content)


def results(stage: UploadStage, batch_id: str) -> list[dict[str, Any]]:
    """The lines of the results of a batch, each valid."""
    key = f"batches/{batch_id}/results.jsonl"
    text = boto3.client("s3").get_object(Bucket=stage.deployed.ml_bucket, Key=key)["Body"].read().decode()
    lines = [json.loads(line) for line in text.splitlines()]
    validator = jsonschema.Draft202012Validator(events.contract("batch_result"))
    for line in lines:
        validator.validate(line)
    return lines


def classify(stage: UploadStage, **request: Any) -> dict[str, Any]:
    """Run classify-batch; return the description of its execution, the output decoded."""
    ended = stage.run(stage.deployed.classify_batch_arn, request)
    return {**ended, "output": json.loads(ended.get("output") or "null")}


@pytest.fixture(scope="module")
def photos(upload_stage: UploadStage) -> list[bytes]:
    """Distinct photos: bytes behind the end of a PNG are not part of the picture."""
    sources = upload_stage.photos
    return [sources[number % len(sources)].content + b"%d" % number for number in range(PHOTOS)]


@pytest.fixture(scope="module")
def folder(photos: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("yard")
    for number, content in enumerate(photos):
        (folder / f"{number:04}.png").write_bytes(content)
    (folder / "broken.jpg").write_bytes(b"no photo")
    (folder / "notes.txt").write_text("no photo")
    return folder


def run(stage: UploadStage, photos: str, reports: Path, batch_id: str = "", *, review: bool = False) -> dict[str, Any]:
    with console.capture():
        return batch.run(stage.deployed, photos, reports, batch_id, review=review)


def test_a_folder_is_classified_and_nothing_is_decided(upload_stage: UploadStage, folder: Path, tmp_path: Path) -> None:
    with EventListener(upload_stage.deployed.event_bus) as listener:
        summary = run(upload_stage, str(folder), tmp_path, "yard")
        published = [(kind, detail) for kind, detail in listener.events(1.0)]
    assert Counter(kind for kind, _ in published) == {"Batch Completed": 1}
    jsonschema.validate(published[0][1], events.schema("Batch Completed"))
    jsonschema.validate(summary, events.contract("batch_summary"))
    assert summary["status"] == "complete"
    assert summary["photos"] == PHOTOS + 1
    # Of a model that was trained on a few drawings, some answers are no vehicle.
    assert summary["outcomes"]["classified"] + summary["outcomes"]["unsure"] == PHOTOS
    assert summary["failures"] == {"UnreadablePhoto": 1}
    assert sum(summary["confidence_histogram"]) == PHOTOS
    lines = results(upload_stage, "yard")
    keys = [line["photo"]["key"] for line in lines]
    assert len(keys) == len(set(keys)) == PHOTOS + 1
    report = (tmp_path / "batch-yard.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in report] == lines
    uploaded = [Photo.from_state(line["photo"]) for line in lines[:3]]
    assert [upload_stage.record(photo) for photo in uploaded] == [None] * 3


def test_reviewers_label_unsure_photos_by_choice(upload_stage: UploadStage, tmp_path: Path) -> None:
    folder = tmp_path / "unsure"
    folder.mkdir()
    for number, source in enumerate(one for one in upload_stage.photos if one.label not in ("bicycle", "motorcycle")):
        (folder / f"{number}.png").write_bytes(source.content + b"unsure")
    summary = run(upload_stage, str(folder), tmp_path, "reviewed", review=True)
    assert summary["reviews"] == summary["outcomes"]["unsure"] > 0
    unsure = [line for line in results(upload_stage, "reviewed") if line["outcome"] == "unsure"]
    records = [upload_stage.record(Photo.from_state(line["photo"])) for line in unsure]
    assert {record.status for record in records if record} == {"batched"}
    assert run(upload_stage, str(folder), tmp_path, "reviewed", review=True)["reviews"] == summary["reviews"]
    function = f"{upload_stage.deployed.app_name}-audit-decisions"
    boto3.client("lambda").invoke(FunctionName=function, Payload="{}")
    sent = [record for photo in unsure if (record := upload_stage.record(Photo.from_state(photo["photo"])))]
    assert [record.label_sent for record in sent] == [(record.label_request or {})["token_hash"] for record in sent]


def test_a_second_run_classifies_nothing_again(upload_stage: UploadStage, folder: Path, tmp_path: Path) -> None:
    run(upload_stage, str(folder), tmp_path, "twice")
    before = results(upload_stage, "twice")
    run(upload_stage, str(folder), tmp_path, "twice")
    assert results(upload_stage, "twice") == before


def test_a_batch_that_is_stopped_half_way_continues(upload_stage: UploadStage, folder: Path, tmp_path: Path) -> None:
    states: Any = boto3.client("stepfunctions")
    source = prepare_folder(upload_stage.deployed, folder, "stopped", lambda done, total: None)
    execution = batch.start(upload_stage.deployed, source)

    def ended() -> int:
        runs = states.list_map_runs(executionArn=execution)["mapRuns"]
        return sum(states.describe_map_run(mapRunArn=one["mapRunArn"])["itemCounts"]["succeeded"] for one in runs)

    eventually(ended, lambda count: 0 < count < PHOTOS, timeout_s=60)
    states.stop_execution(executionArn=execution)
    summary = run(upload_stage, str(folder), tmp_path, "stopped")
    assert summary["status"] == "complete"
    keys = [line["photo"]["key"] for line in results(upload_stage, "stopped")]
    assert len(keys) == len(set(keys)) == PHOTOS + 1


@pytest.mark.parametrize("kind", ["csv", "jsonl", "inventory"])
def test_lists_and_inventories_name_photos(upload_stage: UploadStage, photos: list[bytes], kind: str) -> None:
    keys = [f"batches/lists/{name}.png" for name in ("a b", "c+d", "é")]
    for key, content in zip(keys, photos, strict=False):
        put(upload_stage, key, content)
    bucket = upload_stage.deployed.uploads_bucket
    address = f"batches/lists/{kind}"
    if kind == "csv":
        put(upload_stage, address, b"key\n" + "".join(f'"{key}"\n' for key in keys).encode())
    elif kind == "jsonl":
        put(upload_stage, address, "".join(json.dumps({"key": key}) + "\n" for key in keys).encode())
    else:
        rows = "".join(f'"{bucket}","{quote_plus(key, safe="/")}"\n' for key in keys)
        put(upload_stage, "batches/lists/data.csv.gz", gzip.compress(rows.encode()))
        address = "batches/lists/manifest.json"
        manifest = {
            "destinationBucket": f"arn:aws:s3:::{bucket}",
            "fileFormat": "CSV",
            "fileSchema": "Bucket, Key",
            "files": [{"key": "batches/lists/data.csv.gz"}],
        }
        put(upload_stage, address, json.dumps(manifest).encode())
    ended = classify(upload_stage, id=f"list-{kind}", **{kind: f"s3://{bucket}/{address}"})
    assert ended["output"]["status"] == "complete", ended
    assert sorted(line["photo"]["key"] for line in results(upload_stage, f"list-{kind}")) == sorted(keys)


def test_an_input_that_names_no_photos_is_refused(upload_stage: UploadStage) -> None:
    ended = classify(upload_stage, id="nothing")
    assert (ended["status"], ended["error"]) == ("FAILED", "InvalidInput")
    assert "pass exactly one of prefix, csv, jsonl, inventory" in ended["cause"]


def test_a_list_that_does_not_exist_ends_the_batch_early(upload_stage: UploadStage) -> None:
    bucket = upload_stage.deployed.uploads_bucket
    ended = classify(upload_stage, id="gone", jsonl=f"s3://{bucket}/batches/gone.jsonl")
    assert (ended["status"], ended["error"]) == ("FAILED", "States.ItemReaderFailed")


def test_a_folder_without_photos_is_refused(upload_stage: UploadStage, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="There is no JPEG"):
        run(upload_stage, str(tmp_path), tmp_path)
