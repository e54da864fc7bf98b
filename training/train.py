"""The training job, in SageMaker's script mode: features, head, calibration, threshold, report.

Channels: `training` (see training.dataset), whose frozen holdout is left alone; optionally `snapshot` and `labelled`,
the photos that people labelled (see training.labels); optionally `features`, what an earlier job computed (see
training.features); optionally `test`, on which the report is then made instead of on cross-fitted predictions.
Hyperparameters are the options below, as plain strings. Writes to SM_MODEL_DIR what model.tar.gz holds (see
training.artifact) with evaluation.json and the model card, and to SM_OUTPUT_DATA_DIR the features.
"""

import argparse
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from training import dataset
from training.artifact import write_model
from training.backbone import Backbone, load_backbone
from training.calibrate import as_rows
from training.card import write_card
from training.classifier import DRAWN, Recipe, learn
from training.dataset import Dataset, targets
from training.evaluation import FIGURES, evaluate
from training.features import FeatureCache
from training.holdout import split_off
from training.inference import model_fn, probabilities_of
from training.initial import load_initial
from training.labels import load_labelled
from training.policy import Policy, configured_policy
from training.vehicles import VEHICLES_FILE, configured_vehicles, imagenet_classes

GENERATED = "generated"
"""The source, in about.json of the data, of pictures that were drawn and not photographed."""


def train(
    base: Dataset,
    labelled: Dataset,
    vehicles: tuple[str, ...],
    out: Path,
    *,
    test: Dataset | None = None,
    recipe: Recipe | None = None,
    seed: int = 0,
    version: str = "untracked",
    source: str = "unknown",
    groups: dict[str, tuple[int, ...]] | None = None,
    policy: Policy | None = None,
    kept: Path | None = None,
    features_out: Path | None = None,
    backbone: Backbone | None = None,
) -> dict[str, object]:
    """Train on `base` and `labelled`, write the model's files to `out` and return its evaluation report.

    `source` says where the base data comes from; `kept` holds features of an earlier job, `features_out` gets this
    one's. Raises ValueError when a vehicle has too few photos to train and validate on.
    """
    backbone = backbone or load_backbone(threads=_idle_cores())
    policy = policy or Policy()
    recipe = recipe or (DRAWN if source == GENERATED else Recipe())
    initial = load_initial(vehicles, groups if groups is not None else imagenet_classes())
    print(f"base data: {_counted(base, vehicles)}; labelled: {_counted(labelled, vehicles)}", flush=True)
    cache = FeatureCache(backbone, kept)
    learned = learn(base, labelled, initial.head, backbone, cache, policy, recipe, seed, done=_Progress())
    print(f"features: {learned.computed} computed, {learned.fitting - learned.computed} kept", flush=True)
    if features_out is not None:
        cache.save(features_out)

    # How sure a model may be of photos cannot be learned from drawn pictures.
    drawn = source == GENERATED
    calibration = initial.calibration if drawn else learned.calibration
    about: dict[str, Any] = {
        "version": version,
        "temperature": calibration.temperature,
        "other_offset": calibration.other_offset,
        "threshold": initial.threshold if drawn else learned.point.threshold,
        "policy": policy.__dict__,
        "side": backbone.side,
        "backbone": backbone.digest,
        "source": source,
        "seed": seed,
        "training_images": learned.fitting,
        "labelled_images": len(labelled),
        "validation_images": len(learned.truth),
        "cpu_s": round(learned.cpu_s, 1),
    }
    write_model(out, learned.head, about)
    about["classes"] = list(learned.head.classes)
    model = model_fn(out)
    judged = test if test is not None else learned.honest
    if test is not None:
        probabilities = probabilities_of(model, test.pictures)
    else:
        probabilities = calibration.probabilities(learned.cross_fitted)
    truth = targets(judged, vehicles)
    report: dict[str, Any] = {
        **evaluate(probabilities, truth, model.threshold, judged.labels),
        "data": "test channel" if test is not None else "cross-fitted predictions",
        "model_version": version,
        "operating_points": as_rows(learned.points),
    }
    (out / "evaluation.json").write_text(json.dumps(report, indent=2) + "\n")
    write_card(out, about, report, judged.pictures, probabilities, truth, judged.labels)
    return report


def _counted(data: Dataset, vehicles: tuple[str, ...]) -> str:
    counts = data.counts()
    others = len(data) - sum(counts.get(name, 0) for name in vehicles)
    return ", ".join([*(f"{counts.get(name, 0)} {name}" for name in vehicles), f"{others} other"])


class _Progress:
    """Prints how far the features are, a dozen times in all."""

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, done: int, total: int) -> None:
        if total and done / total >= self._next:
            self._next = done / total + 1 / 12
            print(f"features {done}/{total}", flush=True)


def _chosen(configured: tuple[str, ...], classes: str) -> tuple[str, ...]:
    """Return the vehicles that `classes` names, all when it is empty. Raises ValueError for an unknown one."""
    asked = [name.strip() for name in classes.split(",") if name.strip()]
    if unknown := sorted(set(asked) - set(configured)):
        raise ValueError(f"classes names {', '.join(unknown)}; vehicles.toml configures {', '.join(configured)}")
    return tuple(name for name in configured if name in asked) if asked else configured


def _source(folder: Path) -> str:
    """Return where the base data in `folder` comes from, as staging noted it."""
    for path in sorted(folder.rglob("about.json")):
        return str(json.loads(path.read_text(encoding="utf-8")).get("source", "unknown"))
    return "unknown"


def _idle_cores() -> int:
    """Return how many threads to compute with, 1 or 2: on a busy machine, threads that wait for each other lose."""
    named = os.environ.get("OMP_NUM_THREADS", "")
    if named.isdigit() and int(named) > 0:
        return int(named)
    idle = (os.cpu_count() or 1) - os.getloadavg()[0]
    return 2 if idle >= 1.5 else 1


def _arguments() -> argparse.Namespace:
    default = Recipe()
    parser = argparse.ArgumentParser(description="Train the vehicle classifier (SageMaker script mode).")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--penalty", type=float, default=0.0, help="0: the default for the kind of data")
    parser.add_argument("--others-each", type=int, default=default.others_each)
    parser.add_argument("--vehicles", type=Path, default=VEHICLES_FILE)
    parser.add_argument("--training", type=Path, default=os.environ.get("SM_CHANNEL_TRAINING"))
    parser.add_argument(
        "--classes", default="", help="vehicles to tell apart, comma-separated; all of --vehicles if empty"
    )
    for channel in ("snapshot", "labelled", "features", "test"):
        parser.add_argument(f"--{channel}", type=Path, default=os.environ.get(f"SM_CHANNEL_{channel.upper()}"))
    parser.add_argument("--model-dir", type=Path, default=os.environ.get("SM_MODEL_DIR"))
    parser.add_argument("--features-out", type=Path, default=os.environ.get("SM_OUTPUT_DATA_DIR"))
    arguments, _ = parser.parse_known_args()  # SageMaker passes its own hyperparameters along
    if not arguments.training or not arguments.model_dir:
        parser.error(
            "--training and --model-dir, or SM_CHANNEL_TRAINING and SM_MODEL_DIR, say where data and model are"
        )
    return arguments


def main() -> int:
    """Run as a training job; return the exit status."""
    arguments = _arguments()
    start = time.monotonic()
    try:
        base, holdout = split_off(dataset.load(Path(arguments.training)))
        print(f"{len(holdout)} pictures are the holdout that models are compared on; they are not learned", flush=True)
        labelled = dataset.empty()
        if arguments.snapshot and arguments.labelled:
            labelled = load_labelled(Path(arguments.snapshot), Path(arguments.labelled), use="train")
        source = _source(Path(arguments.training))
        default = DRAWN if source == GENERATED else Recipe()
        report = train(
            base,
            labelled,
            _chosen(configured_vehicles(arguments.vehicles), arguments.classes),
            Path(arguments.model_dir),
            test=dataset.load(Path(arguments.test)) if arguments.test else None,
            recipe=replace(default, penalty=arguments.penalty or default.penalty, others_each=arguments.others_each),
            seed=arguments.seed,
            version=os.environ.get("TRAINING_JOB_NAME", "untracked"),
            source=source,
            groups=imagenet_classes(arguments.vehicles),
            policy=configured_policy(arguments.vehicles),
            kept=Path(arguments.features) if arguments.features else None,
            features_out=Path(arguments.features_out) if arguments.features_out else None,
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
