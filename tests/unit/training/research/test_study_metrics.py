"""The metrics of the study."""

import numpy as np
import pytest

from training.research.study_metrics import max_coverage, vehicle_ece


def test_max_coverage_accepts_predictions_in_order_of_confidence():
    probabilities = np.array([[0.99, 0.005, 0.005]] * 150 + [[0.9, 0.05, 0.05]] * 50)
    truth = np.array([0] * 150 + [1] + [0] * 49)
    assert max_coverage(probabilities, truth, 0.01) == 1.0
    truth[150:153] = 1
    assert max_coverage(probabilities, truth, 0.01) == pytest.approx(151 / 200)


def test_vehicle_calibration_error_ignores_other():
    probabilities = np.array([[0.2, 0.2, 0.6], [0.4, 0.0, 0.6]])
    assert vehicle_ece(probabilities, np.array([0, 0])) == pytest.approx(0.25)
