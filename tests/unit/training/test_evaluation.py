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
