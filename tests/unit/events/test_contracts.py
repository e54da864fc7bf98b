"""The contracts in events/contracts/: every writer and every reader of a document is run against its schema."""

import io
import json
import sys
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import jsonschema
import numpy as np
import pytest
from moto import mock_aws
from PIL import Image

import events
from console.review_request import parse_review_request
from functions.build_dataset.labels import Limits
from functions.build_dataset.snapshot import SnapshotStore
from functions.judge_challenger.gate import Gate, judge
from functions.judge_challenger.report import check_report
from functions.request_review.request import ReviewRequest
from functions.shared.errors import InvalidDocument
from functions.shared.photo import Photo
from functions.shared.photo_table import PhotoTable
from tests.support.labels import photo_of, plant_label
from tests.support.photo_table import create_photo_table
from training import compare, train
from training.dataset import Dataset
from training.labels import read_labelled

REGION = "eu-west-1"
COLOURS = {"bicycle": (200, 40, 40), "motorcycle": (40, 40, 200), "house": (40, 160, 40)}


def pixels(label: str, number: int) -> np.ndarray:
    noise = np.random.default_rng(number).integers(-30, 30, (32, 32, 3))
    return np.clip(np.array(COLOURS[label]) + noise, 0, 255).astype(np.uint8)


def png(label: str, number: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels(label, number)).save(file, "PNG")
    return file.getvalue()


def is_valid(name: str, document: Any) -> bool:
    schema = events.contract(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).is_valid(document)


def check_required(name: str, document: dict[str, Any]) -> None:
    """Assert that a document is valid, and invalid without each of the keys that the contract requires."""
    assert is_valid(name, document), list(jsonschema.Draft202012Validator(events.contract(name)).iter_errors(document))
    for required in events.contract(name)["required"]:
        assert not is_valid(name, {key: value for key, value in document.items() if key != required}), required


# Dataset manifest


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what BuildDataset wrote for labelled photos: `snapshot/manifest.json` and `labelled/`."""
    folder = tmp_path_factory.mktemp("dataset")
    with pytest.MonkeyPatch.context() as environment, mock_aws():
        for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL"):
            environment.delenv(name, raising=False)
        s3, dynamodb = boto3.client("s3", region_name=REGION), boto3.client("dynamodb", region_name=REGION)
        s3.create_bucket(Bucket="scones-ml", CreateBucketConfiguration={"LocationConstraint": REGION})
        create_photo_table(dynamodb, "photos")
        photos = PhotoTable("photos", dynamodb)
        for number in range(24):
            label = ("bicycle", "motorcycle", "other")[number % 3]
            content = png("house" if label == "other" else label, number)
            photo = photo_of(content, f"uploads/d/{number}.png")
            plant_label({"s3": s3}, "scones-ml", photos, photo, label, reviewer="ann", picture=content)
        store = SnapshotStore("scones-ml", s3, photos, Limits(per_driver=200, per_reviewer=5000))
        uri = store.create("s3://scones-ml/datasets/base/a/", ("bicycle", "motorcycle")).uri
        manifest = f"{uri.removeprefix('s3://scones-ml/')}manifest.json"
        found = s3.list_objects_v2(Bucket="scones-ml", Prefix="datasets/photos/")["Contents"]
        for key, name in [(manifest, "snapshot/manifest.json")] + [
            (item["Key"], f"labelled/{item['Key'].rpartition('/')[2]}") for item in found
        ]:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(s3.get_object(Bucket="scones-ml", Key=key)["Body"].read())
    return folder


def test_build_dataset_writes_a_manifest_by_its_contract(snapshot: Path) -> None:
    manifest = json.loads((snapshot / "snapshot" / "manifest.json").read_text(encoding="utf-8"))
    check_required("dataset_manifest", manifest)
    assert len(manifest["photos"]) == 24
    for name in manifest["photos"][0]:
        entry = {key: value for key, value in manifest["photos"][0].items() if key != name}
        assert not is_valid("dataset_manifest", {**manifest, "photos": [entry]}), name


def test_the_training_job_reads_a_manifest_by_its_contract(snapshot: Path) -> None:
    training, evaluation = (
        read_labelled(snapshot / "snapshot", snapshot / "labelled", use).photos for use in ("train", "evaluate")
    )
    assert len(training) + len(evaluation) == 24
    assert {*training.labels, *evaluation.labels} == {"bicycle", "motorcycle", "other"}
    assert len(evaluation) > 0


# Evaluation report

REPORTS = ("none", "v1", "three", "unreadable")


def run(module: Any, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
    """Run a job's main program as SageMaker does."""
    arguments = [item for name, value in options.items() for item in (f"--{name.replace('_', '-')}", str(value))]
    monkeypatch.setattr(sys, "argv", [module.__name__, *arguments])
    module.main()


@pytest.fixture(scope="module")
def reports(snapshot: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Reports of the job: a first model, a champion that is the reference, three models, an unreadable reference."""
    folder = tmp_path_factory.mktemp("jobs")
    photos = [(label, number) for label in COLOURS for number in range(1000, 1140)]
    data = Dataset([pixels(*photo) for photo in photos], np.array([label for label, _ in photos]))
    data.save(folder / "base" / "images.npz")
    vehicles = folder / "vehicles.toml"
    vehicles.write_text("[vehicles.bicycle]\n[vehicles.motorcycle]\n")
    channels = {"snapshot": snapshot / "snapshot", "labelled": snapshot / "labelled", "vehicles": vehicles}
    with pytest.MonkeyPatch.context() as monkeypatch:
        run(train, monkeypatch, training=folder / "base", model_dir=folder / "model", **channels)
        (folder / "artifact").mkdir()
        with tarfile.open(folder / "artifact" / "model.tar.gz", "w:gz") as archive:
            archive.add(folder / "model", arcname=".")
        (folder / "unreadable").mkdir()
        (folder / "unreadable" / "model.tar.gz").write_bytes(b"no archive")
        models = {**dict.fromkeys(("challenger", "champion"), folder / "artifact"), "base": folder / "base"}
        for name, champion, reference, artifact in (
            ("none", "none", "none", "artifact"),
            ("v1", "v1", "v1", "artifact"),
            ("three", "v1", "v0", "artifact"),
            ("unreadable", "v1", "v0", "unreadable"),
        ):
            versions = {"challenger_version": "v2", "champion_version": champion, "reference_version": reference}
            out = folder / "reports" / name
            run(compare, monkeypatch, **models, **channels, **versions, reference=folder / artifact, out=out)
    return {name: json.loads((folder / "reports" / name / "evaluation.json").read_text()) for name in REPORTS}


@pytest.mark.parametrize("champion", REPORTS)
def test_the_evaluation_job_writes_a_report_by_its_contract(reports: dict[str, dict[str, Any]], champion: str) -> None:
    check_required("evaluation_report", reports[champion])
    for name in events.contract("evaluation_report")["$defs"]["model"]["required"]:
        lacking = {key: value for key, value in reports[champion]["challenger"].items() if key != name}
        assert not is_valid("evaluation_report", {**reports[champion], "challenger": lacking}), name


def test_the_gate_reads_a_report_by_its_contract(reports: dict[str, dict[str, Any]]) -> None:
    assert judge(reports["none"], Gate()).promote
    for name, version in (("v1", "v1"), ("three", "v0"), ("unreadable", "v0")):
        check_report(reports[name], "s3://ml/evaluation.json", version)
    for name, groups in (("v1", 1), ("three", 2)):
        verdict = judge(reports[name], Gate())
        assert (verdict.promote, verdict.reason) == (False, "NotBetter")
        assert sum(check.check.startswith("possible loss in accuracy") for check in verdict.checks) == groups
    verdict = judge(reports["unreadable"], Gate())
    assert (verdict.promote, verdict.reason) == (False, "WorseThanReference")
    assert "the reference model v0 cannot be read" in verdict.explanation
    assert "make reference MODEL=champion" in verdict.explanation


def test_a_report_without_the_reference_that_was_asked_for_is_invalid(reports: dict[str, dict[str, Any]]) -> None:
    """A job with older code leaves the reference model out, or compares with another one."""
    for report in (reports["v1"], {**reports["three"], "reference": None}):
        with pytest.raises(InvalidDocument, match="reference"):
            check_report(report, "s3://ml/evaluation.json", "v0")
    check_report(reports["none"], "s3://ml/evaluation.json", "none")


def test_the_gate_reads_a_report_without_any_metric(reports: dict[str, dict[str, Any]]) -> None:
    def unknown(model: dict[str, Any]) -> dict[str, Any]:
        return {**model, "accuracy": None, "ece": None, "auroc": None, "recall": dict.fromkeys(model["recall"])}

    report = reports["v1"]
    differences = dict.fromkeys(report["holdout"]["differences"])
    reference = {**report["reference"], "metrics": unknown(report["champion"]), "differences": differences}
    report = {
        **report,
        "reference": reference,
        "challenger": unknown(report["challenger"]),
        "champion": unknown(report["champion"]),
        "holdout": {**report["holdout"], "differences": differences},
        "labelled": None,
    }
    assert is_valid("evaluation_report", report)
    assert judge(report, Gate()).reason == "BelowMinimum"


# Review request


CLASSIFICATION = {
    "vehicle": "motorcycle",
    "confidence": 0.71,
    "probabilities": {"bicycle": 0.25, "motorcycle": 0.71, "other": 0.04},
    "model_version": "v1",
}


@pytest.mark.parametrize(("classification", "threshold"), [(CLASSIFICATION, 0.9), (None, None)])
def test_a_review_request_is_written_and_read_by_its_contract(
    classification: dict[str, Any] | None, threshold: float | None
) -> None:
    photo = Photo("uploads", "uploads/driver-17/bike.jpg", "abc", 10)
    now = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
    request = ReviewRequest(photo, classification, threshold, "LowConfidence", "a token", "arn:execution", now, 900)
    check_required("review_request", json.loads(request.as_message()))
    received = parse_review_request(request.as_message(), bucket="uploads", sent_at=now)
    assert (received.photo, received.driver_id, received.task_token) == (photo, "driver-17", "a token")
    assert (received.requested_at, received.expires_at) == (now, request.expires_at)
    assert (received.reason, received.threshold, received.execution) == ("LowConfidence", threshold, "arn:execution")
    assert received.vehicle == (classification or {}).get("vehicle")
    assert received.probabilities == (classification or {}).get("probabilities")


def test_a_review_request_is_its_event_with_the_task_token() -> None:
    event, request = events.schema("Review Requested"), events.contract("review_request")
    assert request["properties"] == {**event["properties"], "task_token": request["properties"]["task_token"]}
    assert request["required"] == [*event["required"], "task_token"]


def test_an_unknown_contract_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(KeyError, match=r"dataset_manifest, .*evaluation_report, .*label, .*review_request"):
        events.contract("labels")
