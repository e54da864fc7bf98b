"""Retraining on mislabelled, drawn or incomplete data does not affect later retrainings."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from operate import retrain
from tests.support.images import drawn_dataset, save_dataset
from tests.support.retraining_stage import RetrainingStage
from training.dataset import Dataset


def publish(
    retraining_stage: RetrainingStage, folder: Path, data: Dataset, about: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Publish data as `make retrain` does; returns the input of a retraining on it."""
    train = save_dataset(folder, data)
    if about:
        (train / "about.json").write_text(json.dumps(about))
    return retrain.publish_training_input(retraining_stage.deployed, train)


@pytest.fixture
def data() -> Dataset:
    return drawn_dataset(60, 60, 30, seed=5)


def test_a_model_of_correct_data_is_promoted_after_one_of_swapped_labels(
    retraining_stage: RetrainingStage, data: Dataset, tmp_path: Path
) -> None:
    """Each model is probed with the golden photos of its own data."""
    names = {"bicycle": "motorcycle", "motorcycle": "bicycle"}
    labels = np.array([names.get(str(label), str(label)) for label in data.labels])
    first = publish(retraining_stage, tmp_path / "first", Dataset(data.images, labels))
    second = publish(retraining_stage, tmp_path / "second", data)
    for options in (first, second):
        output = retraining_stage.retrain(**options, force=True)
        assert output["outcome"] == "promoted", output["verdict"]
        assert (retraining_stage.recorded_input or {})["dataset"] == options["dataset"]
        assert (retraining_stage.recorded_input or {})["golden"] == options["golden"]
        assert retraining_stage.serves_champion()


def test_data_of_a_dry_run_is_not_recorded_for_later_retrainings(
    retraining_stage: RetrainingStage, ready_image: str, data: Dataset, tmp_path: Path
) -> None:
    before = retraining_stage.recorded_input
    assert before
    other = publish(retraining_stage, tmp_path, Dataset([255 - picture for picture in data.images], data.labels))
    assert retraining_stage.retrain(**{**other, "image": ready_image}, dry_run=True)["reason"] == "DryRun"
    assert retraining_stage.recorded_input == before


def test_data_without_other_classes_is_refused(
    retraining_stage: RetrainingStage, data: Dataset, tmp_path: Path
) -> None:
    vehicles = data.with_labels(["bicycle", "motorcycle"])
    about = {"source": "photos", "counts": vehicles.counts()}
    output = retraining_stage.retrain(**publish(retraining_stage, tmp_path, vehicles, about))
    assert (output["outcome"], output["reason"]) == ("rejected", "TrainingDataRefused"), output["verdict"]
    assert output["model_version"] is None
    assert retraining_stage.serves_champion()


def test_the_verdict_on_a_model_of_drawn_pictures_does_not_claim_an_improvement(
    retraining_stage: RetrainingStage, ready_image: str, data: Dataset, tmp_path: Path
) -> None:
    about = {"source": "generated", "counts": data.counts()}
    options = {**publish(retraining_stage, tmp_path, data, about), "image": ready_image}
    output = retraining_stage.retrain(**options, force=True, dry_run=True)
    assert "would be promoted: trained and judged on drawn pictures" in output["verdict"]
    assert "better" not in output["verdict"]
