"""Evaluate a model on labelled photos: `python -m operate.evaluate --model model.tar.gz --photos <folder>`.

The folder holds class folders. The photos in a folder named after a vehicle of the model show that vehicle; the photos
in any other folder count as `other`.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from operate.photo_folders import (
    LeftOut,
    PhotoFolderError,
    describe_left_out,
    printable,
    read_class_folders,
    read_each,
)
from training.artifact import ModelArchiveError, unpack_model
from training.dataset import targets
from training.evaluation import METRICS, evaluate
from training.images import preprocess
from training.inference import Model, load_model, predict_probabilities
from training.photo_errors import PhotoError


class EvaluationError(Exception):
    """No photo can be evaluated; the message contains the reason and what to do."""


def evaluate_photos(model: Model, photos: Path, show_progress: bool = False) -> dict[str, Any]:
    """Return the report (see training.evaluation) on every photo in the class folders of `photos`.

    `left_out` in the report lists the files that were not used, each with the reason. Raises EvaluationError when no
    photo can be decoded, and when the name of a class folder is similar to a vehicle's but not equal.
    """
    try:
        found = read_class_folders(photos, model.classes[:-1])
    except PhotoFolderError as error:
        raise EvaluationError(str(error)) from error

    def print_progress(number: int, total: int) -> None:
        if show_progress and (number % 50 == 0 or number + 1 == total):
            end = "\n" if number + 1 == total else ""
            print(f"\rreading photos {number + 1}/{total}", end=end, file=sys.stderr, flush=True)

    images, folders, left_out = [], [], list(found.left_out)
    for photo, content in read_each(found.photos, left_out, print_progress):
        try:
            images.append(preprocess(content, model.side))
        except PhotoError as error:
            left_out.append(LeftOut(photo.name, str(error)))
            continue
        folders.append(str(photo.class_name))
    if not images:
        raise EvaluationError(
            f"{printable(photos)} holds no readable photo in class folders such as {model.classes[0]}/"
        )
    probabilities = predict_probabilities(model, images)
    truth = targets(np.array(folders), model.classes[:-1])
    unreadable = [one.name for one in left_out[len(found.left_out) :]]
    report = evaluate(probabilities, truth, model.threshold, np.array(folders), unreadable)
    return {
        "model_version": model.version,
        **report,
        "left_out": [{"name": one.name, "reason": one.reason} for one in left_out],
    }


def format_report(report: dict[str, Any]) -> str:
    """Return the report as text for the terminal."""
    lines = [
        f"model {report['model_version']}: {report['vehicles']} vehicle photos, {report['others']} others, "
        f"{report['unreadable']} unreadable; threshold {report['threshold']:.3f}",
        f"{'':22}{'value':>9}   95% interval",
    ]
    for name in METRICS:
        low, high = report["intervals"][name]
        interval = "" if low is None or high is None else f"   {low:.3f} - {high:.3f}"
        lines.append(f"{name:22}{_format(report[name])}{interval}")
    lines.append(f"{'class':22}{'photos':>9}{'accuracy':>10}{'accepted':>10}{'wrong of those':>16}")
    for folder, row in report["classes"].items():
        accepted = row["coverage"] if row["coverage"] is not None else row["other_accepted"]
        lines.append(
            f"{folder[:21]:22}{row['photos']:>9}{_format(row['accuracy_with_other'], 10)}{_format(accepted, 10)}"
            f"{_format(row['error_accepted'], 16)}"
        )
    lines += describe_left_out(LeftOut(**one) for one in report["left_out"])
    return "\n".join(lines)


def _format(value: float | None, width: int = 9) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:>{width}.4f}"


def main() -> int:
    """Evaluate, write the report and print it; return the exit status."""
    parser = argparse.ArgumentParser(description="Evaluate a model on labelled photos.")
    parser.add_argument("--model", type=Path, required=True, help="model.tar.gz, or a folder with its content")
    parser.add_argument("--photos", type=Path, required=True, help="a folder of class folders")
    parser.add_argument("--out", type=Path, default=Path("build/reports/evaluation.json"))
    arguments = parser.parse_args()
    try:
        with unpack_model(arguments.model) as folder:
            report = evaluate_photos(load_model(folder), arguments.photos, show_progress=True)
    except (EvaluationError, ModelArchiveError) as error:
        print(f"evaluation failed: {error}", file=sys.stderr)
        return 1
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(report, indent=2) + "\n")
    print(format_report(report))
    print(f"written to {arguments.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
