"""Serving, by the contract of the SageMaker PyTorch inference toolkit: photo bytes in, one JSON answer out.

Imports nothing heavier than NumPy, Pillow and ONNX Runtime, so that an endpoint starts fast and stays small.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from training.images import PhotoError, prepare

CONTENT_TYPES = ("application/x-image", "application/octet-stream", "image/jpeg", "image/png", "image/webp")
ACCEPT = "application/json"


@dataclass(frozen=True)
class Model:
    """A loaded model: `classes` are the vehicles in output order, followed by `other`."""

    session: onnxruntime.InferenceSession
    classes: tuple[str, ...]
    threshold: float
    version: str

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return calibrated probabilities (N, len(classes)) of prepared images (N, SIDE, SIDE, 3); rows sum to 1."""
        answer: NDArray[np.float32] = self.session.run(["probabilities"], {"photos": images})[0]
        return answer

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the uncalibrated logits (N, len(classes)) of prepared images (N, SIDE, SIDE, 3)."""
        answer: NDArray[np.float32] = self.session.run(["logits"], {"photos": images})[0]
        return answer


def model_fn(model_dir: str | os.PathLike[str], context: object = None) -> Model:
    """Load `model.onnx` and `model.json` from the folder that model.tar.gz was unpacked to."""
    about = json.loads((Path(model_dir) / "model.json").read_text())
    options = onnxruntime.SessionOptions()
    # One thread per request: the model takes a few ms, and threads spinning between requests cost more than they gain.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(Path(model_dir) / "model.onnx"), options, providers=["CPUExecutionProvider"]
    )
    return Model(session, tuple(about["classes"]), float(about["threshold"]), str(about["version"]))


def input_fn(
    body: bytes, content_type: str = CONTENT_TYPES[0], context: object = None
) -> NDArray[np.uint8] | PhotoError:
    """Return the prepared image (SIDE, SIDE, 3), or the error when the photo itself is at fault.

    A photo's own fault is an answer, not a failure: the endpoint is healthy, and the caller must not retry.
    Raises ValueError for a content type that is no image.
    """
    if content_type.partition(";")[0].strip().lower() not in CONTENT_TYPES:
        raise ValueError(f"content type {content_type!r} is not one of {', '.join(CONTENT_TYPES)}")
    try:
        return prepare(bytes(body))
    except PhotoError as error:
        return error


def predict_fn(photo: NDArray[np.uint8] | PhotoError, model: Model, context: object = None) -> dict[str, Any]:
    """Return the answer: the most probable class with the probability of each, or the photo's error by name."""
    if isinstance(photo, PhotoError):
        return {"error": type(photo).__name__, "message": str(photo)}
    probabilities = model.probabilities(photo[np.newaxis])[0]
    best = int(probabilities.argmax())
    return {
        "model_version": model.version,
        "vehicle": model.classes[best],
        "confidence": float(probabilities[best]),
        "probabilities": {name: float(p) for name, p in zip(model.classes, probabilities, strict=True)},
        "threshold": model.threshold,
    }


def output_fn(answer: Mapping[str, Any], accept: str = ACCEPT, context: object = None) -> str:
    """Return the answer as JSON text."""
    return json.dumps(answer)
