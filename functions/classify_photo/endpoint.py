"""The model behind its SageMaker endpoint: image bytes in, a classification out."""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from functions.shared.aws import Client, error_code
from functions.shared.errors import ModelAnswerInvalid, ModelUnavailable, PhotoFault, PhotoTooLarge, UnreadablePhoto
from functions.shared.vehicles import OTHER, Vehicles

# How far rounding may move the sum of the probabilities, or the confidence from its probability.
TOLERANCE = 0.01

_PHOTO_FAULTS: dict[str, type[PhotoFault]] = {"UnreadablePhoto": UnreadablePhoto, "PhotoTooLarge": PhotoTooLarge}


@dataclass(frozen=True)
class Classification:
    """What the model sees: `confidence` in [0, 1] is the probability of `vehicle`, which may be `other`."""

    vehicle: str
    confidence: float
    probabilities: Mapping[str, float]
    model_version: str

    def as_state(self) -> dict[str, Any]:
        """The classification as it travels through the workflow."""
        return {
            "vehicle": self.vehicle,
            "confidence": self.confidence,
            "probabilities": dict(self.probabilities),
            "model_version": self.model_version,
        }


@dataclass(frozen=True)
class Answer:
    """One answer of the endpoint: the classification, the model's own threshold, and how long it took."""

    classification: Classification
    threshold: float
    latency_ms: float


class Endpoint:
    """The champion model."""

    def __init__(self, name: str, runtime: Client, vehicles: Vehicles) -> None:
        self.name = name
        self._runtime = runtime
        self._vehicles = vehicles

    def classify(self, image: bytes) -> Answer:
        """Ask the model about one photo, as its file's bytes.

        Raises UnreadablePhoto or PhotoTooLarge when the endpoint says so, ModelUnavailable when it gives no
        answer, ModelAnswerInvalid when its answer breaks the contract.
        """
        started = time.perf_counter()
        try:
            response = self._runtime.invoke_endpoint(
                EndpointName=self.name, ContentType="application/x-image", Accept="application/json", Body=image
            )
            body: bytes = response["Body"].read()
        except (ClientError, BotoCoreError) as error:
            raise ModelUnavailable(f"endpoint {self.name} gave no answer ({error_code(error)}): {error}") from error
        latency_ms = (time.perf_counter() - started) * 1000
        answer = _json_object(body)
        if "error" in answer:
            raise _photo_fault(answer)
        return Answer(_classification(answer, self._vehicles), _fraction(answer, "threshold"), latency_ms)


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError as error:
        raise ModelAnswerInvalid(f"the endpoint's answer of {len(body)} bytes is not JSON: {error}") from error
    if not isinstance(answer, dict):
        raise ModelAnswerInvalid(f"the endpoint answered {type(answer).__name__} where a JSON object belongs")
    return answer


def _photo_fault(answer: dict[str, Any]) -> Exception:
    fault = _PHOTO_FAULTS.get(str(answer["error"]))
    if fault is None:
        return ModelAnswerInvalid(f"the endpoint answered the unknown error {answer['error']!r}")
    return fault(str(answer.get("message") or "the model could not read the photo"))


def _classification(answer: dict[str, Any], vehicles: Vehicles) -> Classification:
    vehicle, model_version, given = (answer.get(name) for name in ("vehicle", "model_version", "probabilities"))
    if not isinstance(model_version, str) or not model_version:
        raise ModelAnswerInvalid(f"the answer's model_version is {model_version!r}")
    if not isinstance(given, dict) or OTHER not in given:
        raise ModelAnswerInvalid(f"the answer of {model_version} has no probabilities with {OTHER!r} among them")
    # A class that was configured after this model was trained may be missing; one that is not configured has no bay.
    if unknown := sorted(name for name in given if name != OTHER and name not in vehicles):
        raise ModelAnswerInvalid(
            f"{model_version} answers for {', '.join(unknown)}, not in vehicles.toml; retrain, or configure them"
        )
    probabilities = {name: _fraction(given, name) for name in given}
    if abs(sum(probabilities.values()) - 1) > TOLERANCE:
        raise ModelAnswerInvalid(f"the probabilities of {model_version} sum to {sum(probabilities.values()):.4f}")
    if not isinstance(vehicle, str) or probabilities.get(vehicle) != max(probabilities.values()):
        raise ModelAnswerInvalid(f"{model_version} says {vehicle!r}, which is not its most probable class")
    confidence = _fraction(answer, "confidence")
    if abs(confidence - probabilities[vehicle]) > TOLERANCE:
        raise ModelAnswerInvalid(
            f"the confidence of {model_version} is {confidence:.4f}, its probability {probabilities[vehicle]:.4f}"
        )
    return Classification(vehicle, confidence, probabilities, model_version)


def _fraction(answer: dict[str, Any], name: str) -> float:
    value = answer.get(name)
    # JSON has no NaN, Python's parser accepts it all the same; true is a number to Python.
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not 0 <= value <= 1:
        raise ModelAnswerInvalid(f"the answer's {name} is {value!r} where a number in [0, 1] belongs")
    return float(value)
