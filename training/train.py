"""The training job, in SageMaker's script mode: fine-tune, calibrate, choose the threshold, export, report.

Channels: `training` (see training.dataset), whose frozen holdout is left alone; optionally `snapshot` and `labelled`,
the photos that people labelled (see training.labels); optionally `test`, on which the report is then made instead of on
the validation photos. Hyperparameters are the options below, as plain strings. Writes to SM_MODEL_DIR what model.tar.gz
holds: model.onnx, model.json, evaluation.json, the model card, and code/ to serve it.
"""

import argparse
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from training import dataset
from training.backbone import load_backbone
from training.card import write_card
from training.classifier import learn
from training.dataset import Dataset, targets
from training.evaluation import FIGURES, evaluate
from training.export import export
from training.fit import Recipe
from training.holdout import split_off
from training.inference import model_fn
from training.labels import load_labelled
from training.vehicles import OTHER, VEHICLES_FILE, configured_vehicles

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
) -> dict[str, object]:
    """Train on `data`, write the model's files to `out` and return its evaluation report.

    Raises ValueError when a vehicle has too few photos to train and validate on.
    """
    recipe = recipe or Recipe()
    weights = load_backbone()
    if weights is None:
        print("no pretrained backbone beside the code: training from random weights", flush=True)
    print(f"training on {len(data)} images of {len(data.counts())} classes", flush=True)
    classifier = learn(data, vehicles, weights, recipe, seed, done=_say_epoch)

    out.mkdir(parents=True, exist_ok=True)
    export(classifier.network, len(vehicles), classifier.calibration, out / "model.onnx")
    about = {
        "classes": [*vehicles, OTHER],
        "temperature": classifier.calibration.temperature,
        "other_offset": classifier.calibration.other_offset,
        "threshold": classifier.threshold,
        "version": version,
        "seed": seed,
        "epochs": recipe.epochs,
        "training_images": classifier.fitting,
        "validation_images": len(classifier.validation),
        "fine_tuning_cpu_s": round(classifier.cpu_s, 1),
        "backbone": weights.about if weights else None,
    }
    (out / "model.json").write_text(json.dumps(about, indent=2) + "\n")
    _write_code(out / "code")

    judged = test if test is not None else classifier.validation
    model = model_fn(out)
    probabilities = np.concatenate(
        [model.probabilities(judged.images[i : i + 256]) for i in range(0, len(judged), 256)]
    ).astype(np.float64)
    report = evaluate(probabilities, targets(judged, vehicles), classifier.threshold, judged.labels)
    report["data"] = "test channel" if test is not None else "validation split"
    report["model_version"] = version
    (out / "evaluation.json").write_text(json.dumps(report, indent=2) + "\n")
    write_card(out, about, report, judged.images, probabilities, targets(judged, vehicles), judged.labels)
    return report


def _learnable(arguments: argparse.Namespace) -> Dataset:
    """Return everything that may be learned: the base data without its holdout, and people's labels for training."""
    base, holdout = split_off(dataset.load(Path(arguments.training)))
    print(f"{len(holdout)} images are the holdout that models are compared on; they are not learned", flush=True)
    if not (arguments.snapshot and arguments.labelled):
        return base
    labelled = load_labelled(Path(arguments.snapshot), Path(arguments.labelled), use="train")
    print(f"{len(labelled)} photos were labelled by people", flush=True)
    return dataset.concatenate([base, labelled]) if len(labelled) else base


def _chosen(configured: tuple[str, ...], classes: str) -> tuple[str, ...]:
    """Return the vehicles that `classes` names, all when it is empty. Raises ValueError for an unknown one."""
    asked = [name.strip() for name in classes.split(",") if name.strip()]
    if unknown := sorted(set(asked) - set(configured)):
        raise ValueError(f"classes names {', '.join(unknown)}; vehicles.toml configures {', '.join(configured)}")
    return tuple(name for name in configured if name in asked) if asked else configured


def _say_epoch(epoch: int, epochs: int, loss: float, accuracy: float) -> None:
    print(f"epoch {epoch}/{epochs} loss={loss:.4f} accuracy={accuracy:.4f}", flush=True)


def _write_code(folder: Path) -> None:
    (folder / "training").mkdir(parents=True, exist_ok=True)
    for name in _SERVED:
        (folder / "training" / name).write_bytes((Path(__file__).parent / name).read_bytes())
    (folder / "inference.py").write_text(_ENTRY)
    (folder / "requirements.txt").write_text(_SERVING_REQUIREMENTS)


def _idle_cores() -> int:
    """Return how many threads to train with, 1 or 2: on a busy machine, threads that wait for each other lose."""
    named = os.environ.get("OMP_NUM_THREADS", "")
    if named.isdigit() and int(named) > 0:
        return int(named)
    idle = (os.cpu_count() or 1) - os.getloadavg()[0]
    return 2 if idle >= 1.5 else 1


def main() -> int:
    """Run as a training job; return the exit status."""
    default = Recipe()
    parser = argparse.ArgumentParser(description="Train the vehicle classifier (SageMaker script mode).")
    parser.add_argument("--epochs", type=int, default=default.epochs)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0, help="0: OMP_NUM_THREADS, else what is idle, at most 2")
    parser.add_argument("--vehicles", type=Path, default=VEHICLES_FILE)
    parser.add_argument("--training", type=Path, default=os.environ.get("SM_CHANNEL_TRAINING"))
    parser.add_argument(
        "--classes", default="", help="vehicles to tell apart, comma-separated; all of --vehicles if empty"
    )
    parser.add_argument("--snapshot", type=Path, default=os.environ.get("SM_CHANNEL_SNAPSHOT"))
    parser.add_argument("--labelled", type=Path, default=os.environ.get("SM_CHANNEL_LABELLED"))
    parser.add_argument("--test", type=Path, default=os.environ.get("SM_CHANNEL_TEST"))
    parser.add_argument("--model-dir", type=Path, default=os.environ.get("SM_MODEL_DIR"))
    arguments, _ = parser.parse_known_args()  # SageMaker passes its own hyperparameters along
    if not arguments.training or not arguments.model_dir:
        parser.error(
            "--training and --model-dir, or SM_CHANNEL_TRAINING and SM_MODEL_DIR, say where data and model are"
        )
    torch.set_num_threads(arguments.threads or _idle_cores())
    start = time.monotonic()
    try:
        report = train(
            _learnable(arguments),
            _chosen(configured_vehicles(arguments.vehicles), arguments.classes),
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
    print(f"trained in {time.monotonic() - start:.0f} s, {time.process_time():.0f} CPU seconds", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
