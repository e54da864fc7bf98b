"""The endpoint's answers: errors, timeouts and the validation of the contract."""

import threading
from typing import Any

import pytest

from functions.shared.aws import client
from functions.shared.endpoint import Endpoint
from functions.shared.errors import (
    ModelAnswerInvalid,
    ModelBusy,
    ModelUnavailable,
    PhotoTooComplex,
    PhotoTooLarge,
    UnreadablePhoto,
)
from functions.shared.vehicles import load_vehicles
from tests.unit.functions.stack import (
    ENDPOINT,
    JPEG,
    Function,
    ModelServer,
    Stack,
)

IMAGE = {"brightness": 0.42, "sharpness": 0.031, "width": 4000, "height": 3000}


def answer(**changes: Any) -> dict[str, Any]:
    return {
        "model_version": "model-1",
        "vehicle": "bicycle",
        "confidence": 0.97,
        "probabilities": {"bicycle": 0.97, "motorcycle": 0.02, "other": 0.01},
        "threshold": 0.9,
    } | changes


@pytest.mark.parametrize("fault", [UnreadablePhoto, PhotoTooLarge, PhotoTooComplex])
def test_an_error_about_the_photo_keeps_its_name(
    stack: Stack, classify: Function, model: ModelServer, fault: type[Exception]
) -> None:
    model.set_answer({"error": fault.__name__, "message": "60 megapixels"})
    with pytest.raises(fault, match="60 megapixels"):
        classify(photo=stack.upload().as_state())


def test_an_endpoint_that_is_busy_with_an_expensive_photo_is_an_error_of_its_own(
    stack: Stack, classify: Function, model: ModelServer
) -> None:
    model.set_answer({"error": "DecoderBusy", "message": "another photo is being decoded"})
    with pytest.raises(ModelBusy, match="busy: another photo"):
        classify(photo=stack.upload().as_state())


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (424, "ModelError"),
        (503, "ServiceUnavailable"),
        (429, "ThrottlingException"),
        (400, "ValidationError"),
        (500, "InternalFailure"),
        (530, "InternalDependencyException"),
    ],
)
def test_an_endpoint_that_is_down_throttled_or_missing_is_unavailable(
    stack: Stack, classify: Function, model: ModelServer, status: int, code: str
) -> None:
    model.set_error(status, code)
    with pytest.raises(ModelUnavailable, match=code):
        classify(photo=stack.upload().as_state())
    assert len(model.received) == 1, "the workflow retries, not the SDK"


def test_an_endpoint_that_refuses_connections_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", "http://127.0.0.1:9")
    with pytest.raises(ModelUnavailable, match="EndpointConnectionError"):
        Endpoint(ENDPOINT, client("sagemaker-runtime", attempts=1), load_vehicles()).classify(JPEG)


def test_an_endpoint_that_does_not_answer_in_time_is_unavailable(model: ModelServer) -> None:
    model.delay = threading.Event()
    slow = Endpoint(ENDPOINT, client("sagemaker-runtime", read_timeout_s=0.2, attempts=1), load_vehicles())
    with pytest.raises(ModelUnavailable, match="ReadTimeoutError"):
        slow.classify(JPEG)
    assert len(model.received) == 1


def test_the_endpoint_has_two_seconds_to_connect_and_fifteen_to_answer(classify: Function) -> None:
    config = classify.module.classifier.assessor.endpoint._runtime.meta.config
    assert (config.connect_timeout, config.read_timeout) == (2, 15)


@pytest.mark.parametrize(
    ("invalid_answer", "message"),
    [
        (b"<html>502</html>", "not JSON"),
        (b"[]", "JSON object"),
        ({"error": "OutOfMemory"}, "OutOfMemory"),
        (answer(model_version=None), "model_version"),
        (answer(probabilities=None), "no probabilities"),
        (answer(probabilities={"bicycle": 0.97, "motorcycle": 0.03}), "'other'"),
        (answer(probabilities={"bicycle": 0.97, "tandem": 0.02, "other": 0.01}), "tandem"),
        (answer(probabilities={"bicycle": 0.97, "motorcycle": 0.01, "other": 0.0}), "sum to 0.98"),
        (answer(probabilities={"bicycle": 1.5, "motorcycle": -0.5, "other": 0.0}), "1.5"),
        (answer(vehicle="motorcycle", confidence=0.02), "not its most probable"),
        (answer(vehicle="tandem"), "tandem"),
        (answer(confidence=0.5), "confidence"),
        (answer(confidence=float("nan")), "nan"),
        (answer(confidence="0.97"), "'0.97'"),
        (answer(confidence=True), "True"),
        (answer(threshold=1.2), "threshold"),
        (answer(threshold=None), "threshold"),
        (answer(image=[]), "image"),
        (answer(image=IMAGE | {"brightness": 1.5}), "brightness"),
        (answer(image=IMAGE | {"width": 0}), "width"),
        (answer(image=IMAGE | {"sharpness": float("nan")}), "sharpness"),
        (answer(image=IMAGE | {"camera": "of a driver"}), "camera"),
    ],
)
def test_an_answer_that_breaks_the_contract_is_invalid(
    stack: Stack, classify: Function, model: ModelServer, invalid_answer: Any, message: str
) -> None:
    model.set_answer(invalid_answer)
    with pytest.raises(ModelAnswerInvalid, match=message):
        classify(photo=stack.upload().as_state())


def test_rounded_probabilities_are_valid(stack: Stack, classify: Function, model: ModelServer) -> None:
    model.set_answer(answer(confidence=0.9659, probabilities={"bicycle": 0.966, "motorcycle": 0.02, "other": 0.01}))
    assert classify(photo=stack.upload().as_state())["outcome"] == "decided"
