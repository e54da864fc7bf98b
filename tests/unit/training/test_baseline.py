"""The baseline of a model: the distributions that the drift watch compares photos in production with."""

import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import events
from tests.support.training import VEHICLES
from training.baseline import build_baseline
from training.calibrate import mixture_weights
from training.initial_head import INITIAL_BASELINE_FILE, load_initial_baseline, load_initial_head
from training.vehicles import OTHER, configured_vehicles, imagenet_classes


def check_contract(baseline: object) -> None:
    jsonschema.Draft202012Validator(events.contract("model_baseline")).validate(baseline)


def of_images(others: int, vehicles: int = 80) -> dict:
    """Return the baseline of images of which every tenth vehicle is unsure; a fifth of the uploads shows no vehicle."""
    truth = np.array([0] * vehicles + [2] * others)
    probabilities = np.zeros((len(truth), 3))
    probabilities[:vehicles] = [0.95, 0.03, 0.02]
    probabilities[:vehicles:10] = [0.6, 0.3, 0.1]
    probabilities[vehicles:] = [0.1, 0.1, 0.8]
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (20, 30, 3), dtype=np.uint8) // (1 + row % 7) for row in range(len(truth))]
    weights = mixture_weights(truth, 2, 0.2)
    return build_baseline(probabilities, weights, 0.9, (*VEHICLES, OTHER), images, 64)


@pytest.mark.parametrize("others", [20, 200])
def test_shares_are_those_of_the_uploads_that_the_policy_expects_not_of_the_images(others: int) -> None:
    baseline = of_images(others)
    check_contract(baseline)
    statistics = baseline["statistics"]
    assert statistics["vehicle"]["shares"] == pytest.approx([0.8, 0, 0.2])
    assert statistics["other"]["shares"] == pytest.approx([0.8, 0.2])
    # All other things and a tenth of the vehicles.
    assert statistics["review"]["shares"] == pytest.approx([0.72, 0.28])
    for statistic in statistics.values():
        assert sum(statistic["shares"]) == pytest.approx(1, abs=1e-4)
    assert max(statistics["brightness"]["shares"]) < 0.35
    assert statistics["aspect"]["shares"][5] == pytest.approx(1)


def test_unequal_weights_count_as_fewer_photos() -> None:
    assert of_images(20)["photos"] == pytest.approx(100)
    assert of_images(200)["photos"] == pytest.approx(1 / (0.8**2 / 80 + 0.2**2 / 200), abs=0.1)


def test_training_writes_the_baseline_of_the_validation_images(model_dir: Path) -> None:
    baseline = json.loads((model_dir / "baseline.json").read_text())
    check_contract(baseline)
    about = json.loads((model_dir / "model.json").read_text())
    assert baseline["threshold"] == about["threshold"]
    assert baseline["photos"] <= about["validation_images"]
    assert baseline["statistics"]["vehicle"]["categories"] == about["classes"]
    assert "baseline.json" in (model_dir / "SHA256SUMS").read_text()


def test_the_initial_model_has_a_baseline_for_its_own_classes_only() -> None:
    initial = load_initial_head(configured_vehicles(), imagenet_classes())
    check_contract(load_initial_baseline(initial.head.classes, initial.threshold))
    assert load_initial_baseline((*initial.head.classes[:-1], "bus", OTHER), initial.threshold) is None
    assert load_initial_baseline(initial.head.classes, 0.5) is None
    confidence = json.loads(INITIAL_BASELINE_FILE.read_text())["statistics"]["confidence"]
    assert max(confidence["shares"]) < 0.2
