"""Invoke the SageMaker endpoint with a photo and validate its answer."""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from functions.shared.aws import error_code
from functions.shared.errors import (
    InvalidInput,
    ModelAnswerInvalid,
    ModelBusy,
    ModelUnavailable,
    PhotoFault,
    PhotoTooComplex,
    PhotoTooLarge,
    UnreadablePhoto,
)
from functions.shared.shapes import is_text, number, object_with, shown
from functions.shared.vehicles import OTHER, Vehicles

if TYPE_CHECKING:
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient

# Rounding error of the sum of the probabilities, and of the confidence against its probability.
TOLERANCE = 0.01

# The endpoint decodes one expensive photo at a time and refuses a second one; the workflow retries ModelBusy longer.
_BUSY = "DecoderBusy"

_PHOTO_FAULTS: dict[str, type[PhotoFault]] = {
    fault.__name__: fault for fault in (UnreadablePhoto, PhotoTooLarge, PhotoTooComplex)
}


_PIXELS = number(1, 1_000_000)
_IMAGE = object_with(
    {"brightness": number(0, 1), "sharpness": number(0, 10), "width": _PIXELS, "height": _PIXELS}, closed=True
)


@dataclass(frozen=True)
class Classification:
    """The model's classification. `confidence` in [0, 1] is the probability of `vehicle`, which may be `other`."""

    vehicle: str
    confidence: float
    probabilities: Mapping[str, float]
    model_version: str

    def as_state(self) -> dict[str, Any]:
        """Return the classification as JSON, as the workflow's state contains it."""
        return {
            "vehicle": self.vehicle,
            "confidence": self.confidence,
            "probabilities": dict(self.probabilities),
            "model_version": self.model_version,
        }


@dataclass(frozen=True)
class Answer:
    """One answer of the endpoint: the classification, the model's own threshold in [0, 1], and the latency.

    `image` has the statistics of the photo that the drift watch compares, `brightness`, `sharpness`, `width` and
    `height`; None from an image of the container that does not measure them.
    """

    classification: Classification
    threshold: float
    latency_ms: float
    image: Mapping[str, float] | None = None


class Endpoint:
    """The endpoint that serves the champion."""

    def __init__(self, name: str, runtime: "SageMakerRuntimeClient", vehicles: Vehicles) -> None:
        """`name` is the endpoint's name; `vehicles` are the classes that an answer may contain, beside `other`."""
        self.name = name
        self._runtime = runtime
        self._vehicles = vehicles

    def classify(self, image: bytes) -> Answer:
        """Classify one photo, given the content of its file.

        Raises UnreadablePhoto, PhotoTooLarge or PhotoTooComplex when the endpoint answers with that error,
        ModelBusy when it refuses an expensive photo for now, ModelUnavailable when it does not answer,
        ModelAnswerInvalid when its answer violates the contract.
        """
        started = time.perf_counter()
        try:
            response = self._runtime.invoke_endpoint(
                EndpointName=self.name, ContentType="application/x-image", Accept="application/json", Body=image
            )
            body: bytes = response["Body"].read()
        except (ClientError, BotoCoreError) as error:
            raise ModelUnavailable(f"endpoint {self.name} did not answer ({error_code(error)}): {error}") from error
        latency_ms = (time.perf_counter() - started) * 1000
        answer = _parse_object(body)
        if "error" in answer:
            raise _read_error(answer)
        return Answer(
            _read_classification(answer, self._vehicles),
            _read_fraction(answer, "threshold"),
            latency_ms,
            _read_image(answer.get("image")),
        )


def _parse_object(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ModelAnswerInvalid(f"the endpoint's answer of {len(body)} bytes is not JSON: {error}") from error
    if not isinstance(answer, dict):
        raise ModelAnswerInvalid(f"the endpoint answered {type(answer).__name__}, not a JSON object")
    return answer


def _read_error(answer: dict[str, Any]) -> Exception:
    if answer["error"] == _BUSY:
        return ModelBusy(f"the endpoint is busy: {answer.get('message')}")
    fault = _PHOTO_FAULTS.get(str(answer["error"]))
    if fault is None:
        return ModelAnswerInvalid(f"the endpoint answered the unknown error {shown(answer['error'])}")
    return fault(str(answer.get("message") or "the model could not read the photo"))


def _read_classification(answer: dict[str, Any], vehicles: Vehicles) -> Classification:
    vehicle, model_version, given = (answer.get(name) for name in ("vehicle", "model_version", "probabilities"))
    if not isinstance(model_version, str) or not is_text(model_version) or not model_version.strip():
        raise ModelAnswerInvalid(f"the answer's model_version is {shown(model_version)}")
    if not isinstance(given, dict) or OTHER not in given:
        raise ModelAnswerInvalid(f"the answer of {model_version} has no probabilities with {OTHER!r} among them")
    # A class that was configured after the training may be missing; one that is not configured has no bay.
    if unknown := sorted(name for name in given if name != OTHER and name not in vehicles):
        raise ModelAnswerInvalid(
            f"{model_version} has the classes {', '.join(unknown)}, not in vehicles.toml; retrain, or configure them"
        )
    probabilities = {name: _read_fraction(given, name) for name in given}
    if abs(sum(probabilities.values()) - 1) > TOLERANCE:
        raise ModelAnswerInvalid(f"the probabilities of {model_version} sum to {sum(probabilities.values()):.4f}")
    if not isinstance(vehicle, str) or probabilities.get(vehicle) != max(probabilities.values()):
        raise ModelAnswerInvalid(f"{model_version} answers {shown(vehicle)}, which is not its most probable class")
    confidence = _read_fraction(answer, "confidence")
    if abs(confidence - probabilities[vehicle]) > TOLERANCE:
        raise ModelAnswerInvalid(
            f"the confidence of {model_version} is {confidence:.4f}, its probability {probabilities[vehicle]:.4f}"
        )
    return Classification(vehicle, confidence, probabilities, model_version)


def _read_image(image: Any) -> dict[str, float] | None:
    if image is None:
        return None
    try:
        _IMAGE(image, "image")
    except InvalidInput as error:
        raise ModelAnswerInvalid(f"the answer's {error}") from error
    return {name: image[name] for name in ("brightness", "sharpness", "width", "height")}


def _read_fraction(answer: dict[str, Any], name: str) -> float:
    value = answer.get(name)
    # Python's JSON parser accepts NaN, and `true` is an int.
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not 0 <= value <= 1:
        raise ModelAnswerInvalid(f"the answer's {name} is {shown(value)}, not a number in [0, 1]")
    return float(value)
