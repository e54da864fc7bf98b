"""Load a model, and classify with it: from the bytes of a photo to the answer of the endpoint.

Imports only NumPy, Pillow, pillow-heif and ONNX Runtime, so that an endpoint starts fast and needs little memory.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.backbone import Backbone, load_backbone
from training.calibration import Calibration
from training.digests import check_digests
from training.head import Head
from training.image_statistics import measure_image
from training.images import Pixels, preprocess_photo, resize_batch
from training.isolation import DecoderBusy
from training.metrics import Floats
from training.photo_errors import PhotoError

BATCH_SIZE = 32
BACKBONE_NAME, HEAD_NAME, METADATA_NAME = "backbone.onnx", "head.npz", "model.json"
"""The files of a model."""


class Model:
    """A frozen backbone with a calibrated head."""

    def __init__(
        self, backbone: Backbone, head: Head, calibration: Calibration, threshold: float, version: str
    ) -> None:
        """The classes are those of `head`, the input size is that of `backbone`."""
        self.backbone, self.head, self.calibration = backbone, head, calibration
        self.classes, self.side, self.threshold, self.version = head.classes, backbone.side, threshold, version

    def probabilities(self, images: NDArray[np.uint8]) -> Floats:
        """Return calibrated probabilities (N, len(classes)) of images (N, side, side, 3); rows sum to 1."""
        return self.probabilities_of_features(*self.backbone.extract_features(images))

    def probabilities_of_features(self, features: NDArray[np.float32], imagenet: NDArray[np.float32]) -> Floats:
        """Return calibrated probabilities of features (N, VIEWS, D) and ImageNet's logits (N, VIEWS, 1000)."""
        return self.calibration.probabilities(self.head.logits(features, imagenet))


def load_model(folder: Path) -> Model:
    """Load the model from the folder that holds the content of model.tar.gz.

    Raises DigestError before any file is parsed when the files are not those that training wrote.
    """
    check_digests(folder)
    metadata = json.loads((folder / METADATA_NAME).read_text(encoding="utf-8"))
    classes, threshold, version = tuple(metadata["classes"]), float(metadata["threshold"]), str(metadata["version"])
    with np.load(folder / HEAD_NAME, allow_pickle=False) as arrays:
        groups = tuple(tuple(metadata["imagenet"].get(name, ())) for name in classes[:-1])
        head = Head(classes, groups, arrays["weights"].astype(np.float64), arrays["bias"].astype(np.float64))
    calibration = Calibration(float(metadata["temperature"]), float(metadata["other_offset"]))
    return Model(load_backbone(folder / BACKBONE_NAME), head, calibration, threshold, version)


def predict_probabilities(model: Model, images: list[Pixels]) -> Floats:
    """Return the probabilities (N, len(classes)) of images of any sizes, computed in batches of BATCH_SIZE."""
    batches = [
        model.probabilities(resize_batch(images[start : start + BATCH_SIZE], model.side))
        for start in range(0, len(images), BATCH_SIZE)
    ]
    return np.concatenate(batches) if batches else np.zeros((0, len(model.classes)))


def classify(photo: bytes, model: Model) -> dict[str, Any]:
    """Return the most probable class, the probability of each and statistics of the image, or `error` and `message`.

    An unusable photo is not an HTTP error, because a retry would fail in the same way. An expensive photo does not wait
    for another one, because it would keep a worker from other photos: the error is DecoderBusy, and the client retries.
    """
    try:
        resized = preprocess_photo(photo, model.side, wait=False)
    except (PhotoError, DecoderBusy) as error:
        return {"error": type(error).__name__, "message": str(error)}
    probabilities = model.probabilities(resized.pixels[np.newaxis])[0]
    best = int(probabilities.argmax())
    return {
        "model_version": model.version,
        "vehicle": model.classes[best],
        "confidence": float(probabilities[best]),
        "probabilities": {name: float(p) for name, p in zip(model.classes, probabilities, strict=True)},
        "threshold": model.threshold,
        "image": measure_image(*resized),
    }
