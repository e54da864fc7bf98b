"""The initial head: the start of each training, and the model of a new stage that has no data.

`make pretrain` fits it together with the backbone (training.research.pretrain).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training.calibration import Calibration
from training.head import Head
from training.vehicles import OTHER

INITIAL_HEAD_FILE = Path(__file__).resolve().parent / "initial_head.npz"
INITIAL_BASELINE_FILE = INITIAL_HEAD_FILE.with_name("initial_baseline.json")


@dataclass(frozen=True)
class InitialHead:
    """The head that belongs to the backbone, with its calibration and its threshold in [0, 1]."""

    head: Head
    calibration: Calibration
    threshold: float


def load_initial_head(
    vehicles: Sequence[str], groups: Mapping[str, Sequence[int]], path: Path = INITIAL_HEAD_FILE
) -> InitialHead:
    """Return the initial head for `vehicles` and their ImageNet classes `groups`.

    A vehicle that is not in the file has no correction: its logit is ImageNet's log-probability.
    """
    with np.load(path, allow_pickle=False) as arrays:
        metadata = json.loads(str(arrays["about"]))
        head = Head(
            tuple(metadata["classes"]),
            tuple(tuple(group) for group in metadata["groups"]),
            arrays["weights"].astype(np.float64),
            arrays["bias"].astype(np.float64),
        )
    calibration = Calibration(float(metadata["temperature"]), float(metadata["other_offset"]))
    return InitialHead(head.for_classes([*vehicles, OTHER], groups), calibration, float(metadata["threshold"]))


def load_initial_baseline(
    classes: Sequence[str], threshold: float, path: Path = INITIAL_BASELINE_FILE
) -> dict[str, Any] | None:
    """Return the baseline (training.baseline) of the initial head; None for other classes or another threshold."""
    baseline: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    known = baseline["statistics"]["vehicle"]["categories"]
    return baseline if (known, baseline["threshold"]) == ([*classes], threshold) else None


def save_initial_head(path: Path, head: Head, calibration: Calibration, threshold: float) -> None:
    """Write the file that `load_initial_head` reads."""
    metadata = {
        "classes": head.classes,
        "groups": head.groups,
        "temperature": calibration.temperature,
        "other_offset": calibration.other_offset,
        "threshold": threshold,
    }
    np.savez(
        path,
        weights=head.weights.astype(np.float16),
        bias=head.bias.astype(np.float32),
        about=np.array(json.dumps(metadata)),
    )
