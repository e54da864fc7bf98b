"""Logs contain no image bytes, task tokens or presigned URLs."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from functions.shared.aws import client
from functions.shared.photo import Photo
from tests.unit.functions.stack import ANOTHER_EXECUTION, JPEG, TASK_TOKEN, Function, FunctionOutput, ModelServer, Stack

SECRETS = {
    "a task token": TASK_TOKEN,
    "image bytes": "the rest of a photo",
    "a presigned URL": "X-Amz-Signature",
    "a token's query": "X-Amz-Security-Token",
}

Paths = dict[str, Callable[[], Any]]


@pytest.fixture
def paths(
    stack: Stack,
    classify: Function,
    request_review: Function,
    assign_bay: Function,
    reject_photo: Function,
    model: ModelServer,
    fail_call: Any,
) -> Paths:
    photo = stack.upload()
    state = photo.as_state()
    review = {"photo": state, "reason": "LowConfidence", "task_token": TASK_TOKEN, "timeout_s": 900}

    def with_failing_call(service: str, operation: str, call: Callable[[], Any]) -> Callable[[], Any]:
        def run() -> Any:
            restore = fail_call(client(service), operation)
            try:
                return call()
            finally:
                restore()

        return run

    def with_model(prepare: Callable[[], None]) -> Callable[[], Any]:
        def run() -> Any:
            prepare()
            return classify(photo=state)

        return run

    return {
        "confident": lambda: classify(photo=state),
        "unsure": with_model(lambda: model.set_probabilities(bicycle=0.6, motorcycle=0.3, other=0.1)),
        "answer is the photo": with_model(lambda: model.set_answer(JPEG)),
        "unavailable": with_model(lambda: model.set_error(503, "ServiceUnavailable")),
        "missing": lambda: classify(photo=Photo(photo.bucket, "uploads/d/none.jpg", "0").as_state()),
        "unreadable": lambda: classify(photo=stack.upload(b"the rest of a photo", "uploads/d/text.jpg").as_state()),
        "S3 fails": with_failing_call("s3", "get_object", lambda: classify(photo=state)),
        "no photo": lambda: classify(photo=None),
        "SQS fails": with_failing_call("sqs", "send_message", lambda: request_review(**review)),
        "EventBridge fails": with_failing_call("events", "put_events", lambda: request_review(**review)),
        "invalid timeout": lambda: request_review(**(review | {"timeout_s": "soon"})),
        "no reason": lambda: request_review(**(review | {"reason": None})),
        "malformed photo": lambda: request_review(**(review | {"photo": {"bucket": 7}})),
        "review requested": lambda: request_review(**review),
        "review requested again": lambda: request_review(**review),
        "pending": lambda: request_review(execution=ANOTHER_EXECUTION, **review),
        "rejected": lambda: reject_photo(
            photo=state, error={"Error": "UnusablePhoto", "Cause": "rejected by a reviewer"}
        ),
        "rejected without an error": lambda: reject_photo(photo=state, error={}),
        "assigned": lambda: assign_bay(photo=state, vehicle="bicycle", decided_by="reviewer"),
        "assigned again": lambda: assign_bay(execution=ANOTHER_EXECUTION, photo=state, decided_by="fallback"),
        "decided": lambda: classify(photo=state),
    }


def test_no_secret_is_logged(paths: Paths, output: Callable[[], FunctionOutput]) -> None:
    for name, run in paths.items():
        with suppress(Exception):
            run()
        written = output().text
        assert written, f"{name}: nothing was written"
        for what, secret in SECRETS.items():
            assert secret not in written, f"{name}: {what} in {written}"


def test_every_line_is_json_and_names_its_execution(paths: Paths, output: Callable[[], FunctionOutput]) -> None:
    for name, run in paths.items():
        with suppress(Exception):
            run()
        log = output().log
        assert log, f"{name}: nothing was logged"
        assert all(line["correlation_id"].startswith("arn:aws:states:") for line in log), name


def test_no_metric_has_a_dimension_that_grows_with_photos_or_models(
    paths: Paths, output: Callable[[], FunctionOutput]
) -> None:
    for run in paths.values():
        with suppress(Exception):
            run()
    dimensions = {
        dimension
        for line in output().lines
        for definition in line.get("_aws", {}).get("CloudWatchMetrics", [])
        for names in definition["Dimensions"]
        for dimension in names
    }
    assert dimensions <= {"service", "reason", "loading_bay", "decided_by", "function_name"}


def test_a_cold_start_is_counted_once(
    stack: Stack, classify: Function, output: Callable[[], FunctionOutput], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aws_lambda_powertools.metrics.provider.cold_start.is_cold_start", True)
    classify(photo=stack.upload().as_state())
    classify(photo=stack.upload(JPEG + b"!").as_state())
    assert len(output().metrics("ColdStart")) == 1
