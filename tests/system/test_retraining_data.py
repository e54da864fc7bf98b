"""What wrong, drawn or one-sided data may do to a stage: to be tried, and to leave nothing behind."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy import training_source
from operate import retrain
from tests.system.workshop import Workshop, drawings, staged
from training.dataset import Dataset


def published(workshop: Workshop, folder: Path, data: Dataset, about: dict[str, Any] | None = None) -> dict[str, Any]:
    """The input of a retraining on this data, as `make retrain` publishes it."""
    training_source.build(folder / "sourcedir.tar.gz")
    train = staged(folder, data)
    if about:
        (train / "about.json").write_text(json.dumps(about))
    return retrain.publish_training_input(workshop.deployed, train, folder / "sourcedir.tar.gz")


@pytest.fixture
def right() -> Dataset:
    return drawings(60, 60, 30, seed=5)


def test_right_data_are_promoted_after_data_with_swapped_folders(
    workshop: Workshop, right: Dataset, tmp_path: Path
) -> None:
    """Each model is probed with golden photos of its own data, whatever was published before."""
    names = {"bicycle": "motorcycle", "motorcycle": "bicycle"}
    labels = np.array([names.get(str(label), str(label)) for label in right.labels])
    first = published(workshop, tmp_path / "first", Dataset(right.images, labels))
    second = published(workshop, tmp_path / "second", right)
    for given in (first, second):
        output = workshop.retrain(**given, force=True)
        assert output["outcome"] == "promoted", output["verdict"]
        assert (workshop.recorded_input or {})["dataset"] == given["dataset"]
        assert (workshop.recorded_input or {})["golden"] == given["golden"]
        assert workshop.champion_answers()


def test_what_was_only_tried_is_not_recorded_for_later_retrainings(
    workshop: Workshop, ready_code: str, right: Dataset, tmp_path: Path
) -> None:
    before = workshop.recorded_input
    assert before
    tried = published(workshop, tmp_path, Dataset([255 - picture for picture in right.images], right.labels))
    assert workshop.retrain(**{**tried, "source": ready_code}, dry_run=True)["reason"] == "DryRun"
    assert workshop.recorded_input == before


def test_data_that_show_nothing_but_vehicles_train_nothing(workshop: Workshop, right: Dataset, tmp_path: Path) -> None:
    vehicles = right.with_labels(["bicycle", "motorcycle"])
    about = {"source": "photos", "counts": vehicles.counts()}
    output = workshop.retrain(**published(workshop, tmp_path, vehicles, about))
    assert (output["outcome"], output["reason"]) == ("rejected", "TrainingDataRefused"), output["verdict"]
    assert output["model_version"] is None
    assert workshop.champion_answers()


def test_a_model_of_drawn_pictures_is_not_called_better(
    workshop: Workshop, ready_code: str, right: Dataset, tmp_path: Path
) -> None:
    about = {"source": "generated", "counts": right.counts()}
    given = {**published(workshop, tmp_path, right, about), "source": ready_code}
    output = workshop.retrain(**given, force=True, dry_run=True)
    assert "would be promoted: trained and judged on drawn pictures" in output["verdict"]
    assert "better" not in output["verdict"]
