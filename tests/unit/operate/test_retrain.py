"""The input that a retraining publishes, and how its result is printed."""

import json
import re
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from moto import mock_aws

from deploy.outputs import Deployed
from deploy.target import Target
from functions.build_dataset.request import Request
from functions.build_dataset.skipped import Reason
from functions.shared.vehicles import load_vehicles
from operate import demo, retrain
from operate.errors import CommandError
from operate.initial_model import _publish
from operate.stage_data import Staged
from operate.synthetic_photos import synthetic_photos
from operate.terminal import console
from training.dataset import Dataset

REGION = "eu-west-1"
DEPLOYED = replace(
    Deployed(**{field.name: field.name for field in fields(Deployed)}),
    ml_bucket="scones-ml",
    image="repository@sha256:0",
)


@pytest.fixture(autouse=True)
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": REGION,
    }.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        client = boto3.client("s3", region_name=REGION)
        client.create_bucket(Bucket="scones-ml", CreateBucketConfiguration={"LocationConstraint": REGION})
        yield client


def keys(s3: Any, prefix: str) -> list[str]:
    return [found["Key"] for found in s3.list_objects_v2(Bucket="scones-ml", Prefix=prefix).get("Contents", ())]


def staged(folder: Path, data: Dataset) -> Path:
    data.save(folder / "images.npz")
    return folder


def published(folder: Path, data: Dataset) -> dict[str, Any]:
    return retrain.publish_training_input(DEPLOYED, staged(folder, data))


def swapped(data: Dataset) -> Dataset:
    """The data set with the labels of the two vehicles exchanged."""
    names = {"bicycle": "motorcycle", "motorcycle": "bicycle"}
    return Dataset(data.images, np.array([names.get(str(label), str(label)) for label in data.labels]))


def test_golden_photos_belong_to_their_data_set(s3: Any, tmp_path: Path) -> None:
    data = synthetic_photos(20, seed=0)
    wrong = published(tmp_path / "first", swapped(data))
    right = published(tmp_path / "second", data)
    assert wrong["golden"] != right["golden"]
    photos = {}
    for published_input in (wrong, right):
        prefix = published_input["golden"].removeprefix("s3://scones-ml/")
        photos[published_input["golden"]] = {
            key.removeprefix(prefix).split("/")[0]: s3.get_object(Bucket="scones-ml", Key=key)["Body"].read()
            for key in keys(s3, prefix)
        }
    assert photos[right["golden"]].keys() == {"bicycle", "motorcycle", "other"}
    assert photos[right["golden"]]["bicycle"] == photos[wrong["golden"]]["motorcycle"]


def test_missing_golden_photos_are_uploaded_again(s3: Any, tmp_path: Path) -> None:
    data = synthetic_photos(20, seed=0)
    prefix = published(tmp_path / "a", data)["golden"].removeprefix("s3://scones-ml/")
    before = keys(s3, prefix)
    s3.delete_object(Bucket="scones-ml", Key=before[0])
    published(tmp_path / "a", data)
    assert keys(s3, prefix) == before


def test_what_operators_publish_is_under_the_prefixes_that_retrainings_accept(s3: Any, tmp_path: Path) -> None:
    given = published(tmp_path / "a", synthetic_photos(20, seed=0))
    Request.from_state(given, None, load_vehicles(), "").check_addresses("scones-ml", "repository")
    artifact = tmp_path / "model.tar.gz"
    artifact.write_bytes(b"a model")
    photo = tmp_path / "golden" / "bicycle" / "1.png"
    photo.parent.mkdir(parents=True)
    photo.write_bytes(b"a photo")
    initial = _publish("scones-ml", artifact)
    assert initial.keys() == {"initial_model", "golden"}
    Request.from_state(initial, None, load_vehicles(), DEPLOYED.image).check_addresses("scones-ml", "repository")


def test_publishing_does_not_change_the_input_of_scheduled_retrainings(s3: Any, tmp_path: Path) -> None:
    published(tmp_path / "a", synthetic_photos(20, seed=0))
    assert keys(s3, "training/") == []


def test_drawn_pictures_are_not_published_in_a_real_account(
    s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = staged(tmp_path / "train", synthetic_photos(20, seed=0))
    drawn = Staged(train, train, train, "generated", "", {}, {}, fresh=True)
    monkeypatch.setattr("operate.demo.stage_data.stage", lambda *_, **__: drawn)
    monkeypatch.setattr("operate.demo.ROOT", tmp_path)
    with pytest.raises(CommandError, match="CIFAR100_ARCHIVE"):
        demo.staged_input(DEPLOYED, Target("aws", "dev"))
    assert keys(s3, "") == []
    assert demo.staged_input(DEPLOYED, Target("local", "dev"))["golden"]


def test_the_labels_that_were_used_and_skipped_are_printed_with_the_reasons() -> None:
    output: dict[str, Any] = {"outcome": "rejected", "reason": "NothingNew", "verdict": "nothing new"}
    with console.capture() as shown:
        retrain.print_result({**output, "labels": 0, "new_labels": 0, "skipped_labels": {}})
    assert "The labels" not in shown.get()
    skipped = {"NoSuchRequest": 31, "Contested": 2}
    with console.capture() as shown:
        retrain.print_result({**output, "labels": 40, "new_labels": 12, "skipped_labels": skipped})
    lines = shown.get().splitlines()
    assert any("used" in line and "40" in line and "12 of them new" in line for line in lines)
    assert any("NoSuchRequest" in line and "31" in line and "no such review was requested" in line for line in lines)


def test_reviewers_who_disagree_with_others_are_printed_by_their_ids() -> None:
    output: dict[str, Any] = {"outcome": "rejected", "reason": "NothingNew", "verdict": "nothing new"}
    reviewers = {"AROA1:eve": {"votes": 9, "outvoted": 6, "contested": 2}}
    with console.capture() as shown:
        retrain.print_result({**output, "disagreeing_reviewers": reviewers})
    (line,) = (line for line in shown.get().splitlines() if "AROA1:eve" in line)
    assert re.findall(r"\b\d+\b", line) == ["9", "6", "2"]


def test_every_reason_to_skip_a_label_has_a_meaning() -> None:
    assert list(retrain.SKIPPED_LABELS) == [reason.value for reason in Reason]


def test_every_check_is_printed_with_its_value_and_limit() -> None:
    rows = [
        {"check": "accuracy", "value": 0.975, "limit": 0.85, "direction": "at least", "passed": True},
        {"check": "outlier AUROC", "value": None, "limit": 0.7, "direction": "at least", "passed": False},
        {
            "check": "possible loss in calibration error",
            "value": 0.0304,
            "limit": 0.03,
            "direction": "at most",
            "passed": False,
        },
    ]
    output = {"outcome": "rejected", "reason": "BelowMinimum", "verdict": "below", "checks": rows}
    with console.capture() as shown:
        retrain.print_result(output)
    lines = shown.get().splitlines()
    assert any("accuracy" in line and "0.975" in line and "at least 0.850" in line and "yes" in line for line in lines)
    assert any("outlier AUROC" in line and "unknown" in line and "no" in line for line in lines)
    assert any("0.0304" in line and "at most 0.0300" in line and "no" in line for line in lines)
    json.dumps(output)


def test_the_reference_model_is_printed_beside_the_champion_when_it_is_another_one() -> None:
    def shown(version: str) -> str:
        compared = {"model_version": version, "error": None, "metrics": {"accuracy": 0.9123}, "differences": {}}
        models = {"challenger": {"accuracy": 0.95}, "compared_with": {"model_version": "v1", "accuracy": 0.94}}
        with console.capture() as text:
            retrain.print_result({"outcome": "promoted", "verdict": "better", **models, "reference": compared})
        return text.get()

    assert "reference" in shown("v0")
    assert "0.912" in shown("v0")
    assert "reference" not in shown("v1")
