"""The evaluation report of a training job."""

import numpy as np

from tests.support.training import PROBABILITIES, TRUTH
from training.evaluation import evaluate


def test_the_report_has_every_metric_and_none_for_those_that_cannot_be_computed():
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


def test_the_interval_of_a_perfectly_calibrated_model_contains_its_calibration_error():
    """Every resample is calibrated worse, so the quantiles of the resamples alone lie above the value."""
    probabilities = np.tile([0.95, 0.05, 0.0], (200, 1))
    truth = np.array([1] * 10 + [0] * 190)
    report = evaluate(probabilities, truth, 0.8, np.array(["bicycle"] * 200))
    for name in ("accuracy", "ece", "coverage", "error_accepted"):
        low, high = report["intervals"][name]
        assert 0 <= low <= report[name] <= high <= 1, name
