"""Retraining on wrong, drawn or one-sided data has no effect on later retrainings."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy import training_source
from operate import retrain
from tests.support.pictures import drawn_dataset, save_dataset
from tests.support.retraining_stage import RetrainingStage
from training.dataset import Dataset


def published(
    retraining_stage: RetrainingStage, folder: Path, data: Dataset, about: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The input of a retraining on this data, as `make retrain` publishes it."""
    training_source.build(folder / "sourcedir.tar.gz")
    train = save_dataset(folder, data)
    if about:
        (train / "about.json").write_text(json.dumps(about))
    return retrain.publish_training_input(retraining_stage.deployed, train, folder / "sourcedir.tar.gz")


@pytest.fixture
def right() -> Dataset:
    return drawn_dataset(60, 60, 30, seed=5)


def test_right_data_are_promoted_after_data_with_swapped_folders(
    retraining_stage: RetrainingStage, right: Dataset, tmp_path: Path
) -> None:
    """Each model is probed with golden photos of its own data, whatever was published before."""
    names = {"bicycle": "motorcycle", "motorcycle": "bicycle"}
    labels = np.array([names.get(str(label), str(label)) for label in right.labels])
    first = published(retraining_stage, tmp_path / "first", Dataset(right.pictures, labels))
    second = published(retraining_stage, tmp_path / "second", right)
    for given in (first, second):
        output = retraining_stage.retrain(**given, force=True)
        assert output["outcome"] == "promoted", output["verdict"]
        assert (retraining_stage.recorded_input or {})["dataset"] == given["dataset"]
        assert (retraining_stage.recorded_input or {})["golden"] == given["golden"]
        assert retraining_stage.serves_champion()


def test_what_was_only_tried_is_not_recorded_for_later_retrainings(
    retraining_stage: RetrainingStage, ready_code: str, right: Dataset, tmp_path: Path
) -> None:
    before = retraining_stage.recorded_input
    assert before
    tried = published(retraining_stage, tmp_path, Dataset([255 - picture for picture in right.pictures], right.labels))
    assert retraining_stage.retrain(**{**tried, "source": ready_code}, dry_run=True)["reason"] == "DryRun"
    assert retraining_stage.recorded_input == before


def test_data_that_show_nothing_but_vehicles_train_nothing(
    retraining_stage: RetrainingStage, right: Dataset, tmp_path: Path
) -> None:
    vehicles = right.of(["bicycle", "motorcycle"])
    about = {"source": "photos", "counts": vehicles.counts()}
    output = retraining_stage.retrain(**published(retraining_stage, tmp_path, vehicles, about))
    assert (output["outcome"], output["reason"]) == ("rejected", "TrainingDataRefused"), output["verdict"]
    assert output["model_version"] is None
    assert retraining_stage.serves_champion()


def test_a_model_of_drawn_pictures_is_not_called_better(
    retraining_stage: RetrainingStage, ready_code: str, right: Dataset, tmp_path: Path
) -> None:
    about = {"source": "generated", "counts": right.counts()}
    given = {**published(retraining_stage, tmp_path, right, about), "source": ready_code}
    output = retraining_stage.retrain(**given, force=True, dry_run=True)
    assert "would be promoted: trained and judged on drawn pictures" in output["verdict"]
    assert "better" not in output["verdict"]
