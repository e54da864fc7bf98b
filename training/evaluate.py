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

from training.evaluation import FIGURES, evaluate
from training.images import PhotoError, prepare
from training.inference import Model, model_fn

BATCH = 128
NOT_PHOTOS = (".txt", ".md", ".json", ".csv", ".html")
"""Files that explain a folder of photos rather than belong to it; skipped without a word, as hidden files are."""


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

    Raises EvaluationError when there is not one readable photo.
    """
    if not photos.is_dir():
        raise EvaluationError(f"{photos} is not a folder of class folders")
    paths = [
        path
        for path in sorted(photos.glob("*/**/*"))
        if path.is_file() and not path.name.startswith(".") and path.suffix.lower() not in NOT_PHOTOS
    ]
    images, folders, unreadable = [], [], []
    for i, path in enumerate(paths, start=1):
        folder = path.relative_to(photos).parts[0]
        try:
            images.append(prepare(path.read_bytes()))
            folders.append(folder)
        except (PhotoError, OSError):
            unreadable.append(str(path.relative_to(photos)))
        if progress and (i % 50 == 0 or i == len(paths)):
            print(
                f"\rreading photos {i}/{len(paths)}", end="\n" if i == len(paths) else "", file=sys.stderr, flush=True
            )
    if not images:
        raise EvaluationError(f"{photos} holds no readable photo in class folders such as {model.classes[0]}/")
    stacked = np.stack(images)
    probabilities = np.concatenate(
        [model.probabilities(stacked[start : start + BATCH]) for start in range(0, len(stacked), BATCH)]
    ).astype(np.float64)
    vehicles = model.classes[:-1]
    place = {name: i for i, name in enumerate(vehicles)}
    truth = np.array([place.get(name, len(vehicles)) for name in folders], dtype=np.intp)
    report = evaluate(probabilities, truth, model.threshold, np.array(folders), unreadable)
    return {"model_version": model.version, **report}


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
    lines += [f"unreadable: {name}" for name in report["unreadable_files"]]
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
