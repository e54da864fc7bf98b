"""The report on one model over labelled photos: the content of the training job's evaluation.json."""

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training import metrics
from training.metrics import Floats, Ints, Metric, bootstrap_interval, nan_to_none

METRICS = ("accuracy", "accuracy_with_other", "ece", "auroc", "coverage", "error_accepted", "other_accepted")
"""The metrics that the report states with an interval."""

REPORTED_THRESHOLDS = tuple(round(0.5 + i / 100, 2) for i in range(50))
"""The thresholds from 0.50 to 0.99 that the report tabulates."""


def evaluate(
    probabilities: Floats,
    truth: Ints,
    threshold: float,
    folders: NDArray[np.str_],
    unreadable: list[str] | None = None,
    n_resamples: int = 300,
) -> dict[str, Any]:
    """Return the report; a metric that cannot be computed is None.

    `probabilities` (N, V + 1) and `truth` (N,) as in training.metrics; `folders` (N,) is the class folder of each
    photo; `unreadable` names the files that could not be decoded. `intervals` are 95% bootstrap intervals.
    """
    functions: dict[str, Metric] = {
        "accuracy": metrics.accuracy,
        "accuracy_with_other": metrics.accuracy_with_other,
        "ece": metrics.ece,
        "auroc": metrics.auroc,
        "coverage": lambda p, t: metrics.at_threshold(p, t, threshold).coverage,
        "error_accepted": lambda p, t: metrics.at_threshold(p, t, threshold).error_accepted,
        "other_accepted": lambda p, t: metrics.at_threshold(p, t, threshold).other_accepted,
    }
    unreadable = unreadable or []
    is_vehicle = truth < probabilities.shape[1] - 1
    report: dict[str, Any] = {
        "photos": len(truth),
        "vehicles": int(is_vehicle.sum()),
        "others": int((~is_vehicle).sum()),
        "unreadable": len(unreadable),
        "unreadable_files": sorted(unreadable),
        "threshold": threshold,
        **{name: nan_to_none(metric(probabilities, truth)) for name, metric in functions.items()},
        "thresholds": [
            {"threshold": step, **_at_threshold(probabilities, truth, step)} for step in REPORTED_THRESHOLDS
        ],
        "classes": {},
        "intervals": {name: _interval(metric, probabilities, truth, n_resamples) for name, metric in functions.items()},
    }
    for folder in sorted(set(folders.tolist())):
        rows = folders == folder
        subset = (probabilities[rows], truth[rows])
        report["classes"][folder] = {
            "photos": int(rows.sum()),
            "accuracy": nan_to_none(metrics.accuracy(*subset)),
            "accuracy_with_other": nan_to_none(metrics.accuracy_with_other(*subset)),
            **_at_threshold(*subset, threshold),
        }
    return report


def _at_threshold(probabilities: Floats, truth: Ints, threshold: float) -> dict[str, float | None]:
    values = asdict(metrics.at_threshold(probabilities, truth, threshold))
    return {name: nan_to_none(value) for name, value in values.items()}


def _interval(metric: Metric, probabilities: Floats, truth: Ints, n_resamples: int) -> list[float | None]:
    is_vehicle = truth < probabilities.shape[1] - 1
    low, high = bootstrap_interval(
        lambda rows: metric(probabilities[rows], truth[rows]), is_vehicle, n_resamples, correct_bias=True
    )
    # Each metric is a share; without the bias, an end may lie outside.
    return [nan_to_none(float(np.clip(end, 0, 1))) for end in (low, high)]
