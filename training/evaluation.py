"""The report on one model over labelled photos: what `evaluation.json` holds."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training import metrics
from training.metrics import Floats, Ints

FIGURES = ("accuracy", "accuracy_with_other", "ece", "auroc", "coverage", "error_accepted", "other_accepted")
"""The headline figures, each with an interval."""

STEPS = tuple(round(0.5 + i / 100, 2) for i in range(50))
"""The thresholds from 0.50 to 0.99 that are tabulated."""


def evaluate(
    probabilities: Floats,
    truth: Ints,
    threshold: float,
    folders: NDArray[np.str_],
    unreadable: list[str] | None = None,
    rounds: int = 300,
) -> dict[str, Any]:
    """Return the report; a figure that cannot be computed is None.

    `probabilities` (N, V + 1) and `truth` (N,) as in training.metrics; `folders` (N,) is each photo's class folder;
    `unreadable` names the files that are no photos. `intervals` are 95% by bootstrap over `rounds`.
    """
    figures: dict[str, Callable[[Floats, Ints], float]] = {
        "accuracy": metrics.accuracy,
        "accuracy_with_other": metrics.accuracy_with_other,
        "ece": metrics.ece,
        "auroc": metrics.auroc,
        "coverage": lambda p, t: metrics.at_threshold(p, t, threshold).coverage,
        "error_accepted": lambda p, t: metrics.at_threshold(p, t, threshold).error_accepted,
        "other_accepted": lambda p, t: metrics.at_threshold(p, t, threshold).other_accepted,
    }
    unreadable = unreadable or []
    vehicles = probabilities.shape[1] - 1
    report: dict[str, Any] = {
        "photos": len(truth),
        "vehicles": int((truth < vehicles).sum()),
        "others": int((truth == vehicles).sum()),
        "unreadable": len(unreadable),
        "unreadable_files": sorted(unreadable),
        "threshold": threshold,
        **{name: _plain(figure(probabilities, truth)) for name, figure in figures.items()},
        "thresholds": [
            {"threshold": step, **_plain_all(asdict(metrics.at_threshold(probabilities, truth, step)))}
            for step in STEPS
        ],
        "classes": {},
        "intervals": {
            name: [_plain(end) for end in metrics.interval(figure, probabilities, truth, rounds)]
            for name, figure in figures.items()
        },
    }
    for folder in sorted(set(folders.tolist())):
        rows = folders == folder
        those = (probabilities[rows], truth[rows])
        report["classes"][folder] = {
            "photos": int(rows.sum()),
            "accuracy": _plain(metrics.accuracy(*those)),
            "accuracy_with_other": _plain(metrics.accuracy_with_other(*those)),
            **_plain_all(asdict(metrics.at_threshold(*those, threshold))),
        }
    return report


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _plain_all(values: dict[str, float]) -> dict[str, float | None]:
    return {name: _plain(value) for name, value in values.items()}
