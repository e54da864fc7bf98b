"""The prediction job: what a model answers about each photo in a folder, as JSON Lines."""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from training.artifact import unpack_model
from training.compare import find_artifact
from training.images import preprocess
from training.inference import BATCH_SIZE, Model, load_model, predict_probabilities
from training.photo_errors import PhotoError

INPUTS = ("model", "photos")
"""The options that name an input folder of the job."""

PREDICTIONS = "predictions.jsonl"


def predict(model: Model, folder: Path) -> Iterator[dict[str, Any]]:
    """Yield a line for each file under `folder`, in the order of their paths.

    Each has `file`, its path in the folder; and `vehicle`, `confidence` in [0, 1] and `threshold` of the model, or
    `error`, the name of a PhotoError.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for start in range(0, len(files), BATCH_SIZE):
        names, images = [], []
        for path in files[start : start + BATCH_SIZE]:
            name = path.relative_to(folder).as_posix()
            try:
                images.append(preprocess(path.read_bytes(), model.side))
            except PhotoError as error:
                yield {"file": name, "error": type(error).__name__}
                continue
            names.append(name)
        for name, row in zip(names, predict_probabilities(model, images), strict=True):
            best = int(row.argmax())
            answer = {"vehicle": model.classes[best], "confidence": float(row[best]), "threshold": model.threshold}
            yield {"file": name, **answer}


def main(arguments: Sequence[str] | None = None) -> None:
    """Write PREDICTIONS to the folder --out.

    `arguments` are by default those of the process. Raises ComparisonError, ModelArchiveError, ValueError or OSError
    when the model cannot be read.
    """
    parser = argparse.ArgumentParser(description="Predict the vehicle on each photo of a folder.")
    for name in (*INPUTS, "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    with unpack_model(find_artifact(options.model)) as folder, (options.out / PREDICTIONS).open("w") as file:
        for line in predict(load_model(folder), options.photos):
            file.write(json.dumps(line) + "\n")
