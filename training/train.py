"""The training job, in SageMaker's script mode: fine-tune, calibrate, choose the threshold, export, report.

Channels: `training` (see training.dataset), and optionally `test`, on which the report is then made instead of on the
validation photos. Hyperparameters are the options below, as plain strings. Writes to SM_MODEL_DIR what model.tar.gz
holds: model.onnx, model.json, evaluation.json, the model card, and code/ to serve it.
"""

import argparse
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from training import dataset, metrics
from training.backbone import load_backbone
from training.calibrate import choose_threshold, fit_temperature
from training.card import write_card
from training.dataset import Dataset, concatenate
from training.evaluation import FIGURES, evaluate
from training.export import export
from training.fit import Recipe, fine_tune, predict, targets
from training.inference import model_fn
from training.vehicles import VEHICLES_FILE, configured_vehicles

VALIDATION_SHARE = 0.15
OTHERS_VALIDATED = 12
"""Validation photos taken of each other class, at most: enough to see what is accepted, cheap to predict."""

_SERVED = ("__init__.py", "images.py", "inference.py")
_ENTRY = '''"""What the SageMaker PyTorch inference toolkit calls."""

from training.inference import input_fn, model_fn, output_fn, predict_fn

__all__ = ["input_fn", "model_fn", "output_fn", "predict_fn"]
'''
_SERVING_REQUIREMENTS = "numpy\npillow>=11\nonnxruntime>=1.20\n"


def train(
    data: Dataset,
    vehicles: tuple[str, ...],
    out: Path,
    test: Dataset | None = None,
    recipe: Recipe | None = None,
    seed: int = 0,
    version: str = "untracked",
    backbone: Path | None = None,
) -> dict[str, object]:
    """Train on `data`, write the model's files to `out` and return its evaluation report.

    Raises ValueError when a vehicle has too few photos to train and validate on.
    """
    recipe = recipe or Recipe()
    counts = data.counts()
    poor = [f"{name} ({counts.get(name, 0)})" for name in vehicles if counts.get(name, 0) < 8]
    if poor:
        raise ValueError(f"too few training photos of {', '.join(poor)}; at least 8 of each vehicle are needed")
    start = resources()
    fitting, validation = hold_out(data, vehicles, seed)
    print(f"training on {len(fitting)} images of {len(counts)} classes, validating on {len(validation)}", flush=True)
    weights = load_backbone(backbone) if backbone else load_backbone()
    if weights is None:
        print("no pretrained backbone beside the code: training from random weights", flush=True)
    network = fine_tune(fitting, vehicles, weights, recipe, seed, done=_say_epoch)
    fitted = resources()

    truth = targets(validation, vehicles)
    logits = predict(network, validation.images, len(vehicles))
    temperature = fit_temperature(logits, truth)
    threshold = choose_threshold(metrics.softmax(logits, temperature), truth)

    out.mkdir(parents=True, exist_ok=True)
    export(network, len(vehicles), temperature, out / "model.onnx")
    about: dict[str, Any] = {
        "classes": [*vehicles, "other"],
        "temperature": temperature,
        "threshold": threshold,
        "version": version,
        "seed": seed,
        "epochs": recipe.epochs,
        "training_images": len(fitting),
        "validation_images": len(validation),
        "fine_tuning_cpu_s": round(fitted - start, 1),
        "backbone": weights.about if weights else None,
    }
    (out / "model.json").write_text(json.dumps(about, indent=2) + "\n")
    _write_code(out / "code")

    judged = test if test is not None else validation
    model = model_fn(out)
    probabilities = np.concatenate(
        [model.probabilities(judged.images[i : i + 256]) for i in range(0, len(judged), 256)]
    ).astype(np.float64)
    report = evaluate(probabilities, targets(judged, vehicles), threshold, judged.labels)
    report["data"] = "test channel" if test is not None else "validation split"
    report["model_version"] = version
    (out / "evaluation.json").write_text(json.dumps(report, indent=2) + "\n")
    write_card(out, about, report, judged.images, probabilities, targets(judged, vehicles), judged.labels)
    return report


def hold_out(data: Dataset, vehicles: tuple[str, ...], seed: int) -> tuple[Dataset, Dataset]:
    """Return (fitting, validation): VALIDATION_SHARE of each vehicle, and a few photos of each other class."""
    fitting, validation = dataset.split(data.of(vehicles), VALIDATION_SHARE, seed)
    others = data.without(vehicles)
    parts = [dataset.split(others.of([name]), VALIDATION_SHARE, seed) for name in np.unique(others.labels)]
    parts = [
        (
            concatenate([rest, held[np.arange(OTHERS_VALIDATED, len(held))]]),
            held[np.arange(len(held)) < OTHERS_VALIDATED],
        )
        for rest, held in parts
    ]
    return (
        concatenate([fitting, *(rest for rest, _ in parts)]),
        concatenate([validation, *(held for _, held in parts)]),
    )


def resources() -> float:
    """Return the CPU seconds this process has used, all threads together."""
    return time.process_time()


def _say_epoch(epoch: int, epochs: int, loss: float, accuracy: float) -> None:
    print(f"epoch {epoch}/{epochs} loss={loss:.4f} accuracy={accuracy:.4f}", flush=True)


def _write_code(folder: Path) -> None:
    (folder / "training").mkdir(parents=True, exist_ok=True)
    for name in _SERVED:
        (folder / "training" / name).write_bytes((Path(__file__).parent / name).read_bytes())
    (folder / "inference.py").write_text(_ENTRY)
    (folder / "requirements.txt").write_text(_SERVING_REQUIREMENTS)


def main() -> int:
    """Run as a training job; return the exit status."""
    default = Recipe()
    parser = argparse.ArgumentParser(description="Train the vehicle classifier (SageMaker script mode).")
    parser.add_argument("--epochs", type=int, default=default.epochs)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0, help="0: as many as the machine has, at most 2")
    parser.add_argument("--vehicles", type=Path, default=VEHICLES_FILE)
    parser.add_argument("--training", type=Path, default=os.environ.get("SM_CHANNEL_TRAINING"))
    parser.add_argument("--test", type=Path, default=os.environ.get("SM_CHANNEL_TEST"))
    parser.add_argument("--model-dir", type=Path, default=os.environ.get("SM_MODEL_DIR"))
    arguments, _ = parser.parse_known_args()  # SageMaker passes its own hyperparameters along
    if not arguments.training or not arguments.model_dir:
        parser.error(
            "--training and --model-dir, or SM_CHANNEL_TRAINING and SM_MODEL_DIR, say where data and model are"
        )
    torch.set_num_threads(arguments.threads or min(2, os.cpu_count() or 1))
    start = time.monotonic()
    try:
        report = train(
            dataset.load(Path(arguments.training)),
            configured_vehicles(arguments.vehicles),
            Path(arguments.model_dir),
            test=dataset.load(Path(arguments.test)) if arguments.test else None,
            recipe=replace(default, epochs=arguments.epochs),
            seed=arguments.seed,
            version=os.environ.get("TRAINING_JOB_NAME", "untracked"),
        )
    except (ValueError, OSError) as error:
        print(f"training failed: {error}", file=sys.stderr, flush=True)
        failure = Path("/opt/ml/output/failure")
        if failure.parent.is_dir():  # SageMaker shows this file's text as the job's FailureReason
            failure.write_text(str(error))
        return 1
    names = (*FIGURES, "threshold")
    print(" ".join(f"validation:{name}={report[name]:.4f};" for name in names if report[name] is not None), flush=True)
    print(f"trained in {time.monotonic() - start:.0f} s, {resources():.0f} CPU seconds", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
