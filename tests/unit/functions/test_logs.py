"""Logs and errors contain no image bytes, task tokens, presigned URLs, and no key of a photo, which names a driver."""

import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import quote

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from functions.notify_failure.notice import hide_key
from functions.shared.aws import client
from functions.shared.errors import SconesError
from functions.shared.photo import Photo
from tests.unit.functions.reconciler import Reconciler
from tests.unit.functions.stack import ANOTHER_EXECUTION, JPEG, TASK_TOKEN, Function, FunctionOutput, ModelServer, Stack

SECRETS = {
    "a task token": TASK_TOKEN,
    "image bytes": "the rest of a photo",
    "a presigned URL": "X-Amz-Signature",
    "a token's query": "X-Amz-Security-Token",
    "the driver's id": "driver-17",
    "a photo's key": "uploads/",
    "a photo's key in a URL": "uploads%2F",
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


def test_no_secret_is_in_a_log_or_an_error(paths: Paths, output: Callable[[], FunctionOutput]) -> None:
    for name, run in paths.items():
        written = ""
        try:
            run()
        except Exception as error:
            # Lambda logs it, and Step Functions keeps it in the history and in notices.
            written = f"{type(error).__name__}: {error}"
        written += output().text
        assert written, f"{name}: nothing was written"
        for what, secret in SECRETS.items():
            assert secret not in written, f"{name}: {what} in {written}"


KEY_URL = "https://scones-test-uploads.s3.amazonaws.com/uploads/driver-17/bike.jpg"
LIST_URL = "https://scones-test-uploads.s3.amazonaws.com/?prefix=uploads%2F&start-after=uploads%2Fdriver-17%2Fbike.jpg"
REFUSED = (
    "is not authorized to perform: s3:GetObject on resource: arn:aws:s3:::scones-test-uploads/uploads/driver-17/bike"
)
S3_ERRORS = [
    EndpointConnectionError(endpoint_url=KEY_URL),
    EndpointConnectionError(endpoint_url=LIST_URL),
    ClientError({"Error": {"Code": "AccessDenied", "Message": REFUSED}}, "GetObject"),
]


@pytest.mark.parametrize("failure", S3_ERRORS, ids=["URL", "query", "ARN"])
@pytest.mark.parametrize("name", ["classify_photo", "request_review", "assign_bay", "reject_photo", "reconcile_photos"])
def test_an_error_of_s3_is_reported_without_the_key(
    name: str,
    failure: Exception,
    stack: Stack,
    function: Callable[[str], Function],
    reconcile: Reconciler,
    output: Callable[[], FunctionOutput],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise failure

    state = {name: value for name, value in stack.upload().as_state().items() if name in ("bucket", "key")}
    start = reconcile if name == "reconcile_photos" else partial(function(name), photo=state, task_token=TASK_TOKEN)
    for operation in ("get_object", "head_object", "list_objects_v2", "get_paginator"):
        monkeypatch.setattr(client("s3"), operation, fail)
        monkeypatch.setattr(client("s3", read_timeout_s=20), operation, fail)
    with pytest.raises(SconesError) as raised:
        start()
    written = f"{raised.value}{output().text}"
    assert not [what for what, secret in SECRETS.items() if secret in written], written


def test_the_cause_of_a_notice_does_not_quote_the_input() -> None:
    key = 'uploads/driver-17/the "fast" one/é.jpg'
    state = json.dumps({"photo": {"key": key}, "driver_id": "driver-17"})
    for cause in (f"no $.size in {state}", f"GET https://host/{quote(key)}", f"s3://bucket/{key} is missing"):
        hidden = hide_key(cause, {"photo": {"key": key}})
        assert not [name for name in ("driver-17", "fast") if name in hidden], hidden


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
    assert dimensions <= {"service", "stage", "reason", "loading_bay", "decided_by", "function_name"}


def test_a_cold_start_is_counted_once(
    stack: Stack, classify: Function, output: Callable[[], FunctionOutput], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aws_lambda_powertools.metrics.provider.cold_start.is_cold_start", True)
    classify(photo=stack.upload().as_state())
    classify(photo=stack.upload(JPEG + b"!").as_state())
    assert len(output().metrics("ColdStart")) == 1
