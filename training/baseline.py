"""The baseline of a model: how its answers to the validation images, and these images, are distributed.

It travels with the model as baseline.json (events/contracts/model_baseline.json), and the drift watch compares the
photos in production with it. The validation images are those of the calibration, each predicted by a head that was
fitted without it, weighted as the policy expects uploads; test images and the holdout are not among them. The
statistic `size` is left out: images of a data set are reduced to 256 pixels.
"""

from typing import Any

import numpy as np

from training.image_statistics import measure_images
from training.images import Pixels
from training.metrics import Floats, accepted

BASELINE_NAME = "baseline.json"
BINS = 10
ASPECT_EDGES = (0.6, 0.7, 0.9, 1.1, 1.4, 1.6)
"""Between the usual formats: 9:16, 2:3, 3:4, 1:1, 4:3, 3:2 and 16:9."""


def build_baseline(
    probabilities: Floats, weights: Floats, threshold: float, classes: tuple[str, ...], images: list[Pixels], side: int
) -> dict[str, Any]:
    """Return the baseline of N images with probabilities (N, len(classes)) and weights (N,), which sum to 1.

    `classes` end with `other`; `side` is the width and height of the model's input. `photos` is the number of equally
    weighted images that determine the shares as precisely (Kish, "Survey Sampling", 1965).
    """
    predicted = probabilities.argmax(axis=1)
    is_reviewed = ~accepted(probabilities, threshold)
    measured = measure_images(images, side)
    statistics: dict[str, Any] = {
        "confidence": _numeric(probabilities.max(axis=1), weights),
        "vehicle": {
            "categories": list(classes),
            "shares": [_share(weights[predicted == index]) for index in range(len(classes))],
        },
        "other": _binary(predicted == len(classes) - 1, weights),
        "review": _binary(is_reviewed, weights),
        "brightness": _numeric(measured["brightness"], weights),
        "sharpness": _numeric(measured["sharpness"], weights),
        "aspect": _numeric(measured["aspect"], weights, ASPECT_EDGES),
    }
    return {
        "photos": round(float(weights.sum() ** 2 / (weights**2).sum()), 1),
        "threshold": threshold,
        "statistics": statistics,
    }


def _numeric(values: Floats, weights: Floats, edges: tuple[float, ...] = ()) -> dict[str, list[float]]:
    """Return the shares in BINS bins of equal weight, or in those between `edges`; an edge belongs to the upper bin."""
    inner = list(edges) or _weighted_quantiles(values, weights)
    bins = np.searchsorted(inner, values, side="right")
    return {"edges": inner, "shares": [_share(weights[bins == index]) for index in range(len(inner) + 1)]}


def _weighted_quantiles(values: Floats, weights: Floats) -> list[float]:
    """Return the inner edges of BINS bins; fewer where many values are equal."""
    order = np.argsort(values, kind="stable")
    ranks = np.cumsum(weights[order])
    positions = np.searchsorted(ranks, ranks[-1] * np.arange(1, BINS) / BINS)
    # Not rounded: most confidences are close to 1.
    return sorted({float(values[order[position]]) for position in positions})


def _binary(is_true: np.ndarray[Any, np.dtype[np.bool_]], weights: Floats) -> dict[str, list[Any]]:
    return {"categories": ["no", "yes"], "shares": [_share(weights[~is_true]), _share(weights[is_true])]}


def _share(weights: Floats) -> float:
    return round(float(weights.sum()), 6)
