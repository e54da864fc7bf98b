"""The initial model, which a new stage serves before it has any data: `python -m training.initial --out <folder>`.

Its head is what ImageNet knows, corrected by what `make pretrain` learned beside the backbone. It has no verdict: it
was compared with nothing.
"""

import argparse
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.artifact import write_model
from training.backbone import load_backbone
from training.calibration import Calibration
from training.head import Head
from training.vehicles import OTHER, VEHICLES_FILE, configured_vehicles, imagenet_classes

HEAD_FILE = Path(__file__).resolve().parent / "initial_head.npz"


@dataclass(frozen=True)
class Initial:
    """The head that comes with the backbone, with its calibration and threshold."""

    head: Head
    calibration: Calibration
    threshold: float


def load_initial(vehicles: Sequence[str], groups: Mapping[str, Sequence[int]], path: Path = HEAD_FILE) -> Initial:
    """Return the initial head for `vehicles`; one that it was not made for starts with what ImageNet knows of it."""
    with np.load(path, allow_pickle=False) as arrays:
        about = json.loads(str(arrays["about"]))
        known = Head(
            tuple(about["classes"]),
            tuple(tuple(group) for group in about["groups"]),
            arrays["weights"].astype(np.float64),
            arrays["bias"].astype(np.float64),
        )
    calibration = Calibration(float(about["temperature"]), float(about["other_offset"]))
    return Initial(known.for_classes([*vehicles, OTHER], groups), calibration, float(about["threshold"]))


def save_initial(path: Path, head: Head, calibration: Calibration, threshold: float) -> None:
    """Write what `load_initial` reads."""
    about = {
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
        about=np.array(json.dumps(about)),
    )


def write_initial_model(folder: Path, vehicles_file: Path = VEHICLES_FILE) -> None:
    """Write the initial model for the configured vehicles to `folder`."""
    groups = imagenet_classes(vehicles_file)
    initial = load_initial(configured_vehicles(vehicles_file), groups)
    backbone = load_backbone()
    write_model(
        folder,
        initial.head,
        {
            "version": f"initial-{hashlib.sha256(HEAD_FILE.read_bytes()).hexdigest()[:8]}",
            "temperature": initial.calibration.temperature,
            "other_offset": initial.calibration.other_offset,
            "threshold": initial.threshold,
            "side": backbone.side,
            "backbone": backbone.digest,
            "training_images": 0,
        },
    )


def main() -> int:
    """Write the initial model; return the exit status."""
    parser = argparse.ArgumentParser(description="Write the initial model.")
    parser.add_argument("--out", type=Path, required=True, help="the folder that becomes model.tar.gz")
    write_initial_model(parser.parse_args().out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
