"""The metrics, on small examples."""

import math

import numpy as np
import pytest

from tests.support.training import PROBABILITIES, TRUTH
from training import metrics


def test_accuracy_leaves_other_out():
    assert metrics.accuracy(PROBABILITIES, TRUTH) == 3 / 4
    assert metrics.accuracy_with_other(PROBABILITIES, TRUTH) == 3 / 6


def test_a_threshold_has_coverage_error_and_accepted_others():
    low = metrics.at_threshold(PROBABILITIES, TRUTH, 0.5)
    assert (low.coverage, low.error_accepted, low.other_accepted) == (3 / 4, 1 / 3, 1 / 2)
    high = metrics.at_threshold(PROBABILITIES, TRUTH, 0.8)
    assert (high.coverage, high.error_accepted, high.other_accepted) == (1 / 2, 0.0, 0.0)


def test_auroc_is_the_fraction_of_pairs_in_the_right_order():
    # Scores of vehicles .95 .90 .95 .30, of others .10 .80: of 8 pairs one is in the wrong order.
    assert metrics.auroc(PROBABILITIES, TRUTH) == 7 / 8


def test_auroc_distinguishes_probabilities_near_one():
    tiny = np.array([[1 - 1e-12, 0, 1e-12], [1 - 1e-9, 0, 1e-9]])
    assert metrics.auroc(tiny, np.array([0, 2])) == 1.0


def test_ece_is_the_gap_between_confidence_and_accuracy():
    sure = np.array([[0.99, 0.005, 0.005]] * 4)
    assert metrics.ece(sure, np.array([0, 0, 1, 1])) == pytest.approx(0.49)
    assert metrics.ece(sure, np.array([0, 0, 0, 0])) == pytest.approx(0.01)


def test_metrics_without_photos_are_nan():
    assert math.isnan(metrics.auroc(PROBABILITIES[:4], TRUTH[:4]))
    assert math.isnan(metrics.ece(PROBABILITIES[4:], TRUTH[4:]))
