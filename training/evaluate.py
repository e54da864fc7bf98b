"""Judge a model on labelled photos: `python -m training.evaluate --model model.tar.gz --photos <folder>`.

The folder holds class folders: one named after a vehicle of the model holds photos of it, any other counts as `other`.
"""

import argparse
import json
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from training.dataset import targets
from training.evaluation import FIGURES, evaluate
from training.images import PhotoError, prepare
from training.inference import Model, model_fn, probabilities_of
from training.photo_folders import (
    LeftOut,
    PhotoFolderError,
    describe_left_out,
    printable,
    read_class_folders,
    read_each,
)


class EvaluationError(Exception):
    """Nothing to evaluate; the message says what to do."""


@contextmanager
def unpacked(model: Path) -> Iterator[Path]:
    """Give the folder of a model: `model` itself, or a temporary one with what model.tar.gz holds."""
    if model.is_dir():
        yield model
        return
    if not model.is_file():
        raise EvaluationError(f"there is no model at {model}; train one first")
    with tempfile.TemporaryDirectory(prefix="model-") as folder:
        try:
            with tarfile.open(model) as tar:
                tar.extraction_filter = getattr(tarfile, "data_filter", None)  # Python has it from 3.11.4 on
                tar.extractall(folder)  # noqa: S202
        except tarfile.TarError as error:
            raise EvaluationError(f"{model.name} is no model.tar.gz: {error}") from error
        yield Path(folder)


def evaluate_photos(model: Model, photos: Path, progress: bool = False) -> dict[str, Any]:
    """Return the report (see training.evaluation) on every photo in the class folders of `photos`.

    `left_out` of the report lists the files that were not read, each with the reason. Raises EvaluationError when there
    is not one readable photo, and when a class folder looks like a vehicle but is not named as it is.
    """
    try:
        found = read_class_folders(photos, model.classes[:-1])
    except PhotoFolderError as error:
        raise EvaluationError(str(error)) from error

    def report_progress(number: int, total: int) -> None:
        if progress and (number % 50 == 0 or number + 1 == total):
            end = "\n" if number + 1 == total else ""
            print(f"\rreading photos {number + 1}/{total}", end=end, file=sys.stderr, flush=True)

    images, folders, left_out = [], [], list(found.left_out)
    for photo, content in read_each(found.photos, left_out, report_progress):
        try:
            images.append(prepare(content, model.side))
        except PhotoError as error:
            left_out.append(LeftOut(photo.name, str(error)))
            continue
        folders.append(str(photo.class_name))
    if not images:
        raise EvaluationError(
            f"{printable(photos)} holds no readable photo in class folders such as {model.classes[0]}/"
        )
    probabilities = probabilities_of(model, images)
    vehicles = model.classes[:-1]
    truth = targets(np.array(folders), vehicles)
    unreadable = [one.name for one in left_out[len(found.left_out) :]]
    report = evaluate(probabilities, truth, model.threshold, np.array(folders), unreadable)
    return {
        "model_version": model.version,
        **report,
        "left_out": [{"name": one.name, "reason": one.reason} for one in left_out],
    }


def table(report: dict[str, Any]) -> str:
    """Return the report as text for the terminal."""
    lines = [
        f"model {report['model_version']}: {report['vehicles']} vehicle photos, {report['others']} others, "
        f"{report['unreadable']} unreadable; threshold {report['threshold']:.3f}",
        f"{'':22}{'value':>9}   95% interval",
    ]
    for name in FIGURES:
        low, high = report["intervals"][name]
        span = "" if low is None or high is None else f"   {low:.3f} - {high:.3f}"
        lines.append(f"{name:22}{_figure(report[name])}{span}")
    lines.append(f"{'class':22}{'photos':>9}{'accuracy':>10}{'accepted':>10}{'wrong of those':>16}")
    for folder, row in report["classes"].items():
        taken = row["coverage"] if row["coverage"] is not None else row["other_accepted"]
        lines.append(
            f"{folder[:21]:22}{row['photos']:>9}{_figure(row['accuracy_with_other'], 10)}{_figure(taken, 10)}"
            f"{_figure(row['error_accepted'], 16)}"
        )
    lines += describe_left_out(LeftOut(**one) for one in report["left_out"])
    return "\n".join(lines)


def _figure(value: float | None, width: int = 9) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:>{width}.4f}"


def main() -> int:
    """Evaluate, write the report and print it; return the exit status."""
    parser = argparse.ArgumentParser(description="Judge a model on labelled photos.")
    parser.add_argument("--model", type=Path, required=True, help="model.tar.gz, or the folder it was unpacked to")
    parser.add_argument("--photos", type=Path, required=True, help="a folder of class folders")
    parser.add_argument("--out", type=Path, default=Path("build/reports/evaluation.json"))
    arguments = parser.parse_args()
    try:
        with unpacked(arguments.model) as folder:
            report = evaluate_photos(model_fn(folder), arguments.photos, progress=True)
    except EvaluationError as error:
        print(f"evaluation failed: {error}", file=sys.stderr)
        return 1
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(report, indent=2) + "\n")
    print(table(report))
    print(f"written to {arguments.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
