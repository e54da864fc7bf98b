"""The figures a model is judged by, on cases small enough to count by hand."""

import math

import numpy as np
import pytest

from training import metrics
from training.calibrate import calibrate, choose_threshold
from training.evaluation import evaluate

# Columns: bicycle, motorcycle, other.
PROBABILITIES = np.array(
    [
        [0.90, 0.05, 0.05],  # a bicycle, right
        [0.30, 0.60, 0.10],  # a bicycle taken for a motorcycle
        [0.10, 0.85, 0.05],  # a motorcycle, right
        [0.05, 0.25, 0.70],  # a motorcycle taken for something else
        [0.05, 0.05, 0.90],  # a house
        [0.75, 0.05, 0.20],  # a house taken for a bicycle
    ]
)
TRUTH = np.array([0, 0, 1, 1, 2, 2])


def test_accuracy_compares_vehicles_and_leaves_other_out():
    assert metrics.accuracy(PROBABILITIES, TRUTH) == 3 / 4
    assert metrics.accuracy_with_other(PROBABILITIES, TRUTH) == 3 / 6


def test_a_threshold_gives_coverage_error_and_accepted_others():
    low = metrics.at_threshold(PROBABILITIES, TRUTH, 0.5)
    assert (low.coverage, low.error_accepted, low.other_accepted) == (3 / 4, 1 / 3, 1 / 2)
    high = metrics.at_threshold(PROBABILITIES, TRUTH, 0.8)
    assert (high.coverage, high.error_accepted, high.other_accepted) == (1 / 2, 0.0, 0.0)


def test_auroc_counts_the_pairs_in_the_right_order():
    # Scores of vehicles .95 .90 .95 .30, of others .10 .80: of 8 pairs one is in the wrong order.
    assert metrics.auroc(PROBABILITIES, TRUTH) == 7 / 8


def test_auroc_tells_near_certain_probabilities_apart():
    tiny = np.array([[1 - 1e-12, 0, 1e-12], [1 - 1e-9, 0, 1e-9]])
    assert metrics.auroc(tiny, np.array([0, 2])) == 1.0


def test_ece_is_the_gap_between_confidence_and_accuracy():
    sure = np.array([[0.99, 0.005, 0.005]] * 4)
    assert metrics.ece(sure, np.array([0, 0, 1, 1])) == pytest.approx(0.49)
    assert metrics.ece(sure, np.array([0, 0, 0, 0])) == pytest.approx(0.01)


def test_figures_without_photos_are_not_numbers():
    assert math.isnan(metrics.auroc(PROBABILITIES[:4], TRUTH[:4]))
    assert math.isnan(metrics.ece(PROBABILITIES[4:], TRUTH[4:]))


def test_the_temperature_undoes_overconfidence():
    generator = np.random.default_rng(0)
    honest = generator.normal(0, 2, (4000, 3))
    drawn = np.array([generator.choice(3, p=row) for row in metrics.softmax(honest)])
    assert calibrate(honest * 3, drawn).temperature == pytest.approx(3.0, rel=0.15)


def test_the_threshold_lets_at_most_one_percent_errors_through():
    generator = np.random.default_rng(0)
    confidence = generator.uniform(0.5, 1.0, 4000)
    wrong = generator.random(4000) > confidence
    probabilities = np.stack([confidence, (1 - confidence) * 0.8, (1 - confidence) * 0.2], axis=1)
    truth = wrong.astype(np.intp)
    threshold = choose_threshold(probabilities, truth)
    at = metrics.at_threshold(probabilities, truth, threshold)
    assert 0.95 < threshold < 0.99
    assert at.error_accepted <= 0.01
    assert at.coverage > 0
    assert metrics.at_threshold(probabilities, truth, threshold - 0.02).error_accepted > 0.01


def test_an_accepted_photo_of_something_else_counts_as_an_error():
    vehicles = np.tile([0.98, 0.01, 0.01], (100, 1))
    others = np.tile([0.96, 0.02, 0.02], (100, 1))
    threshold = choose_threshold(np.concatenate([vehicles, others]), np.repeat([0, 2], 100))
    assert 0.96 < threshold <= 0.98


def test_no_photo_is_accepted_that_is_wrong_by_more_than_one_chance_in_twenty():
    easy = np.tile([0.7, 0.2, 0.1], (50, 1))
    assert choose_threshold(easy, np.zeros(50, dtype=np.intp)) == 0.95


def test_the_report_has_every_key_and_null_for_what_cannot_be_computed():
    report = evaluate(
        PROBABILITIES[:4], TRUTH[:4], 0.8, np.array(["bicycle"] * 2 + ["motorcycle"] * 2), ["a/b.jpg"], 20
    )
    for key in ("accuracy", "accuracy_with_other", "ece", "coverage", "error_accepted"):
        assert isinstance(report[key], float)
        low, high = report["intervals"][key]
        assert low <= high
    assert report["auroc"] is None
    assert report["other_accepted"] is None
    assert report["intervals"]["auroc"] == [None, None]
    assert report["threshold"] == 0.8
    assert [row["threshold"] for row in report["thresholds"]] == [round(0.5 + i / 100, 2) for i in range(50)]
    assert report["classes"]["bicycle"]["photos"] == 2
    assert (report["unreadable"], report["unreadable_files"]) == (1, ["a/b.jpg"])
