"""The training job: features, head, calibration, threshold, report.

Channels: `training` (see training.dataset), whose holdout is not used; optionally `snapshot` and `labelled`, the photos
that people labelled (see training.labels); optionally `features`, the cache of an earlier job (see training.features);
optionally `test`, on which the report is then made instead of on cross-fitted predictions. Hyperparameters are the
options below, as plain strings. No output shows a labelled photo, unless `driver-photos-on-card` is set. Writes the
content of model.tar.gz (see training.artifact) with evaluation.json and the model card to --model-dir, and the feature
cache to --features-out.
"""

import argparse
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from training import dataset
from training.artifact import write_model
from training.backbone import Backbone, load_backbone
from training.baseline import build_baseline
from training.calibrate import as_rows, mixture_weights
from training.card import Predictions, write_card
from training.classifier import SYNTHETIC_RECIPE, Classifier, Recipe, fit_classifier
from training.dataset import Dataset, targets
from training.digests import write_digests
from training.evaluation import METRICS, evaluate
from training.features import FeatureCache
from training.holdout import split_holdout, subsample_others
from training.inference import load_model, predict_probabilities
from training.initial_head import load_initial_head
from training.labels import TRAIN, Label, LabelledPhotos, read_labelled
from training.policy import Policy, configured_policy
from training.vehicles import VEHICLES_FILE, configured_vehicles, imagenet_classes

GENERATED = "generated"
"""The `source` in about.json of a data set of synthetic images."""


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
    source_sha256: str | None = None,
    labels: Sequence[Label] = (),
    left_out: Mapping[str, int] | None = None,
    driver_photos_on_card: bool = False,
    groups: dict[str, tuple[int, ...]] | None = None,
    policy: Policy | None = None,
    cached_features: Path | None = None,
    features_out: Path | None = None,
    backbone: Backbone | None = None,
) -> dict[str, object]:
    """Train on `base` and `labelled`, write the model's files to `out` and return its evaluation report.

    `test` is reported on instead of cross-fitted predictions. `recipe` defaults to the one for `source`, the origin of
    the base data; `source_sha256` is its SHA-256, when it is known. `labels` tell where the label of each labelled
    photo comes from, `left_out` how many other labelled photos were left out, by reason. The model card shows no
    labelled photo, only base data, unless `driver_photos_on_card` is set. `groups` are the ImageNet classes of each
    vehicle, by default those in vehicles.toml. `cached_features` is the folder of an earlier job's feature cache; this
    job's is written to `features_out`. Raises ValueError when a vehicle has too few images.
    """
    backbone = backbone or load_backbone(threads=_choose_threads())
    policy = policy or Policy()
    recipe = recipe or _default_recipe(source)
    initial = load_initial_head(vehicles, groups if groups is not None else imagenet_classes())
    print(
        f"base data: {_describe_counts(base, vehicles)}; labelled: {_describe_counts(labelled, vehicles)}", flush=True
    )
    cache = FeatureCache(backbone, cached_features)
    fitted = fit_classifier(
        base,
        labelled,
        initial.head,
        backbone,
        cache,
        policy,
        recipe,
        seed,
        on_progress=_ProgressPrinter(),
        reviewers=[label.reviewer for label in labels],
    )
    if len(labelled):
        print(
            f"{fitted.suspected.sum()} of {len(labelled)} labels contradict the model; {fitted.used.sum()} are used",
            flush=True,
        )
    for errors in fitted.reviewers:
        if errors.is_worse:
            counts = f"{errors.suspected} of {errors.labels}"
            print(f"labels of reviewer {errors.reviewer} contradict the model: {counts}; not trained on", flush=True)
    print(f"features: {fitted.n_computed} computed, {fitted.n_cached} cached", flush=True)
    if features_out is not None:
        cache.save(features_out)

    # A calibration on synthetic images does not apply to photos: keep the initial one.
    is_synthetic = source == GENERATED
    calibration = initial.calibration if is_synthetic else fitted.calibration
    metadata: dict[str, Any] = {
        "version": version,
        "temperature": calibration.temperature,
        "other_offset": calibration.other_offset,
        "threshold": initial.threshold if is_synthetic else fitted.operating_point.threshold,
        "policy": policy.__dict__,
        "side": backbone.side,
        "backbone": backbone.digest,
        "source": source,
        "source_sha256": source_sha256,
        "seed": seed,
        "training_images": fitted.n_training,
        "labelled_images": int(fitted.used.sum()),
        "driver_photos_on_card": driver_photos_on_card,
        "validation_images": len(fitted.truth),
        "cpu_s": round(fitted.cpu_s, 1),
    }
    validated = calibration.probabilities(fitted.cross_fitted_logits)
    baseline = build_baseline(
        validated,
        mixture_weights(fitted.truth, len(vehicles), policy.others_share),
        metadata["threshold"],
        fitted.head.classes,
        fitted.calibration_set.images,
        backbone.side,
    )
    write_model(out, fitted.head, metadata, baseline)
    metadata["classes"] = list(fitted.head.classes)
    model = load_model(out)
    if test is not None:
        evaluated, probabilities = test, predict_probabilities(model, test.images)
        may_be_shown = np.ones(len(test), dtype=bool)
    else:
        evaluated, probabilities = fitted.calibration_set, validated
        may_be_shown = ~fitted.is_labelled | driver_photos_on_card
    truth = targets(evaluated, vehicles)
    report: dict[str, Any] = {
        **evaluate(probabilities, truth, model.threshold, evaluated.labels),
        "data": "test channel" if test is not None else "cross-fitted predictions",
        "model_version": version,
        "operating_points": as_rows(fitted.operating_points),
        "labels": _report_labels(fitted, labelled, labels, left_out or {}),
    }
    (out / "evaluation.json").write_text(json.dumps(report, indent=2) + "\n")
    write_card(
        out, metadata, report, Predictions(evaluated.images, probabilities, truth, evaluated.labels, may_be_shown)
    )
    write_digests(out)
    return report


def _report_labels(
    fitted: Classifier, labelled: Dataset, labels: Sequence[Label], left_out: Mapping[str, int]
) -> dict[str, Any]:
    """Return the report on the labelled photos: how many were used, and which labels contradict the model."""
    suspected = []
    for row in np.flatnonzero(fitted.suspected).tolist():
        probabilities = fitted.label_probabilities[row]
        suspected.append(
            {
                "photo_id": labels[row].photo_id if labels else None,
                "labelled_by": labels[row].reviewer if labels else None,
                "label": str(labelled.labels[row]),
                "predicted": fitted.head.classes[int(probabilities.argmax())],
                "probability": round(float(probabilities.max()), 4),
            }
        )
    return {
        "used": int(fitted.used.sum()),
        "left_out": {
            **left_out,
            "suspected": len(suspected),
            "reviewer": int((~fitted.used & ~fitted.suspected).sum()),
        },
        "suspected": suspected,
        "by_reviewer": [errors.as_row() for errors in fitted.reviewers],
    }


def _default_recipe(source: str) -> Recipe:
    return SYNTHETIC_RECIPE if source == GENERATED else Recipe()


def _describe_counts(data: Dataset, vehicles: tuple[str, ...]) -> str:
    counts = data.counts()
    others = len(data) - sum(counts.get(name, 0) for name in vehicles)
    return ", ".join([*(f"{counts.get(name, 0)} {name}" for name in vehicles), f"{others} other"])


class _ProgressPrinter:
    """Prints the progress of the feature extraction, about twelve times in all."""

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, done: int, total: int) -> None:
        if total and done / total >= self._next:
            self._next = done / total + 1 / 12
            print(f"features {done}/{total}", flush=True)


def _select_vehicles(configured: tuple[str, ...], classes: str) -> tuple[str, ...]:
    """Return the vehicles that `classes` names, or all when it is empty. Raises ValueError for an unknown one."""
    names = [name.strip() for name in classes.split(",") if name.strip()]
    if unknown := sorted(set(names) - set(configured)):
        raise ValueError(f"classes names {', '.join(unknown)}; vehicles.toml configures {', '.join(configured)}")
    return tuple(name for name in configured if name in names) if names else configured


def _read_about(folder: Path) -> tuple[str, str | None]:
    """Return `source` and `sha256` in about.json of the base data in `folder`; "unknown" and None without them."""
    for path in sorted(folder.rglob("about.json")):
        about = json.loads(path.read_text(encoding="utf-8"))
        sha256 = about.get("sha256")
        return str(about.get("source", "unknown")), None if sha256 is None else str(sha256)
    return "unknown", None


def _choose_threads() -> int:
    """Return the number of threads: OMP_NUM_THREADS, or else 2 when two cores are idle, 1 on a busy machine."""
    configured = os.environ.get("OMP_NUM_THREADS", "")
    if configured.isdigit() and int(configured) > 0:
        return int(configured)
    idle = (os.cpu_count() or 1) - os.getloadavg()[0]
    return 2 if idle >= 1.5 else 1


class _Parser(argparse.ArgumentParser):
    """A parser that raises ValueError for an unknown or invalid option, instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"hyperparameters and channels: {message}")


def _parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    default = Recipe()
    parser = _Parser(description="Train the vehicle classifier.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--penalty", type=float, default=0.0, help="L2 penalty; 0: the default for the source of the data"
    )
    parser.add_argument(
        "--others-each", type=int, default=default.max_per_other_class, help="images of each other class"
    )
    parser.add_argument("--vehicles", type=Path, default=VEHICLES_FILE)
    parser.add_argument(
        "--classes", default="", help="the vehicles to train on, comma-separated; all of --vehicles if empty"
    )
    parser.add_argument(
        "--driver-photos-on-card",
        choices=("no", "yes"),
        default="no",
        help="show labelled photos among the worst errors on the model card",
    )
    parser.add_argument("--training", type=Path, required=True)
    for channel in ("snapshot", "labelled", "features", "test"):
        parser.add_argument(f"--{channel}", type=Path)
    parser.add_argument("--model-dir", type=Path, required=True)
    parser.add_argument("--features-out", type=Path)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train with the options in `arguments`, by default those of the process.

    Raises ValueError or OSError with the reason when the model cannot be trained.
    """
    options = _parse_arguments(arguments)
    start = time.monotonic()
    base, holdout = split_holdout(dataset.load(options.training))
    print(f"{len(holdout)} images are the holdout, which no model is trained on", flush=True)
    labelled = LabelledPhotos(dataset.empty(), (), {})
    if options.snapshot and options.labelled:
        compared = subsample_others(holdout, configured_vehicles(options.vehicles)).images
        labelled = read_labelled(options.snapshot, options.labelled, TRAIN, holdout=compared)
    source, source_sha256 = _read_about(options.training)
    default = _default_recipe(source)
    report = train(
        base,
        labelled.photos,
        _select_vehicles(configured_vehicles(options.vehicles), options.classes),
        options.model_dir,
        test=dataset.load(options.test) if options.test else None,
        recipe=replace(
            default,
            l2_penalty=options.penalty or default.l2_penalty,
            max_per_other_class=options.others_each,
        ),
        seed=options.seed,
        version=os.environ.get("TRAINING_JOB_NAME", "untracked"),
        source=source,
        source_sha256=source_sha256,
        labels=labelled.labels,
        left_out=labelled.left_out,
        driver_photos_on_card=options.driver_photos_on_card == "yes",
        groups=imagenet_classes(options.vehicles),
        policy=configured_policy(options.vehicles),
        cached_features=options.features,
        features_out=options.features_out,
    )
    names = (*METRICS, "threshold")
    print(" ".join(f"validation:{name}={report[name]:.4f};" for name in names if report[name] is not None), flush=True)
    print(f"trained in {time.monotonic() - start:.0f} s, {time.process_time():.0f} CPU seconds", flush=True)
