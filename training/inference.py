"""Serving, by the contract of the SageMaker PyTorch inference toolkit: photo bytes in, one JSON answer out.

Imports nothing heavier than NumPy, Pillow and ONNX Runtime, so that an endpoint starts fast and stays small.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from training.backbone import Backbone, load_backbone
from training.calibration import Calibration
from training.head import Head
from training.images import PhotoError, Pixels, prepare, squares
from training.metrics import Floats

CONTENT_TYPES = ("application/x-image", "application/octet-stream", "image/jpeg", "image/png", "image/webp")
ACCEPT = "application/json"
BATCH = 32
BACKBONE, HEAD, ABOUT = "backbone.onnx", "head.npz", "model.json"


class Model(Protocol):
    """A model: `classes` are the vehicles in output order, followed by `other`; it sees squares of `side` pixels."""

    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def side(self) -> int: ...
    @property
    def threshold(self) -> float: ...
    @property
    def version(self) -> str: ...

    def probabilities(self, images: NDArray[np.uint8]) -> Floats:
        """Return calibrated probabilities (N, len(classes)) of images (N, side, side, 3); rows sum to 1."""
        ...


class AnchoredModel:
    """A frozen backbone with its calibrated head."""

    def __init__(
        self, backbone: Backbone, head: Head, calibration: Calibration, threshold: float, version: str
    ) -> None:
        self.backbone, self.head, self.calibration = backbone, head, calibration
        self.classes, self.side, self.threshold, self.version = head.classes, backbone.side, threshold, version

    def probabilities(self, images: NDArray[np.uint8]) -> Floats:
        """Return calibrated probabilities (N, len(classes)) of images (N, side, side, 3); rows sum to 1."""
        return self.answers(*self.backbone.features(images))

    def answers(self, features: NDArray[np.float32], imagenet: NDArray[np.float32]) -> Floats:
        """Return the same from what the backbone gave."""
        return self.calibration.probabilities(self.head.logits(features, imagenet))


class WholeNetworkModel:
    """A model of the format before the frozen backbone: one ONNX graph from pixels to calibrated probabilities."""

    def __init__(self, session: onnxruntime.InferenceSession, classes: tuple[str, ...], threshold: float, version: str):
        self._session = session
        self.classes, self.threshold, self.version = classes, threshold, version
        self.side = int(session.get_inputs()[0].shape[1])

    def probabilities(self, images: NDArray[np.uint8]) -> Floats:
        """Return calibrated probabilities (N, len(classes)) of images (N, side, side, 3); rows sum to 1."""
        answer: NDArray[np.float32] = self._session.run(["probabilities"], {"photos": images})[0]
        return answer.astype(np.float64)


def model_fn(model_dir: str | os.PathLike[str], context: object = None) -> Model:
    """Load the model from the folder that model.tar.gz was unpacked to."""
    folder = Path(model_dir)
    about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    classes, threshold, version = tuple(about["classes"]), float(about["threshold"]), str(about["version"])
    if not (folder / HEAD).is_file():
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
        return WholeNetworkModel(session, classes, threshold, version)
    with np.load(folder / HEAD, allow_pickle=False) as arrays:
        groups = tuple(tuple(about["imagenet"].get(name, ())) for name in classes[:-1])
        head = Head(classes, groups, arrays["weights"].astype(np.float64), arrays["bias"].astype(np.float64))
    calibration = Calibration(float(about["temperature"]), float(about["other_offset"]))
    return AnchoredModel(load_backbone(folder / BACKBONE), head, calibration, threshold, version)


def probabilities_of(model: Model, pictures: list[Pixels]) -> Floats:
    """Return the probabilities (N, len(classes)) of pictures of any sizes, a few at a time."""
    parts = [
        model.probabilities(squares(pictures[start : start + BATCH], model.side))
        for start in range(0, len(pictures), BATCH)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, len(model.classes)))


def input_fn(body: bytes, content_type: str = CONTENT_TYPES[0], context: object = None) -> bytes:
    """Return the photo's bytes; `predict_fn` decodes them to the size that the model sees.

    Raises ValueError for a content type that is no image.
    """
    if content_type.partition(";")[0].strip().lower() not in CONTENT_TYPES:
        raise ValueError(f"content type {content_type!r} is not one of {', '.join(CONTENT_TYPES)}")
    return bytes(body)


def predict_fn(photo: bytes, model: Model, context: object = None) -> dict[str, Any]:
    """Return the answer: the most probable class with the probability of each, or the photo's error by name.

    A photo's own fault is an answer, not a failure: the endpoint is healthy, and the caller must not retry.
    """
    try:
        image = prepare(photo, model.side)
    except PhotoError as error:
        return {"error": type(error).__name__, "message": str(error)}
    probabilities = model.probabilities(image[np.newaxis])[0]
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
