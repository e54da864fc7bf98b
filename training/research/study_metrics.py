"""The metrics that the study states about each experiment."""

from typing import Any

import numpy as np

from training import metrics
from training.metrics import Floats, Ints

Figures = dict[str, Any]
"""Metrics by name; NaN for a metric that cannot be computed."""


def measure(probabilities: Floats, truth: Ints, threshold: float) -> Figures:
    """Return the metrics of probabilities (N, V + 1) for true classes (N,), and what `threshold` accepts."""
    at_threshold = metrics.at_threshold(probabilities, truth, threshold)
    return {
        "photos": len(truth),
        "accuracy": metrics.accuracy(probabilities, truth),
        "auroc": metrics.auroc(probabilities, truth),
        "ece": vehicle_ece(probabilities, truth),
        "threshold": threshold,
        "decided": at_threshold.coverage,
        "wrong": at_threshold.error_accepted,
        "others_accepted": at_threshold.other_accepted,
        "decided_at_1_percent": max_coverage(probabilities, truth, 0.01),
    }


def vehicle_ece(probabilities: Floats, truth: Ints) -> float:
    """Return the expected calibration error of the vehicle photos when `other` is not among the classes."""
    rows = truth < probabilities.shape[1] - 1
    vehicles = probabilities[rows][:, :-1]
    vehicles = vehicles / vehicles.sum(axis=1, keepdims=True)
    padded = np.concatenate([vehicles, np.zeros((len(vehicles), 1))], axis=1)
    return metrics.ece(padded, truth[rows])


def max_coverage(probabilities: Floats, truth: Ints, max_error: float) -> float:
    """Return the largest fraction of vehicle photos that any threshold accepts with an error rate up to `max_error`."""
    rows = truth < probabilities.shape[1] - 1
    best = probabilities[rows].argmax(axis=1)
    confidence = np.where(best < probabilities.shape[1] - 1, probabilities[rows].max(axis=1), 0.0)
    order = np.argsort(-confidence, kind="stable")
    error_rate = np.cumsum((best != truth[rows])[order]) / np.arange(1, len(order) + 1)
    allowed = np.flatnonzero((error_rate <= max_error) & (confidence[order] > 0))
    return float((allowed[-1] + 1) / len(order)) if len(allowed) else 0.0
