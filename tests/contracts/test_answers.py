"""Whatever a Lambda is invoked with and reads, it returns an answer by its contract or raises an error of this project.

A malformed value must not end an execution with a KeyError, which names neither the field nor what to do.
"""

import json
from typing import Any
from unittest.mock import patch

import pytest
from botocore.client import BaseClient
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    IncompleteReadError,
    NoCredentialsError,
    ReadTimeoutError,
)
from hypothesis import given
from hypothesis import strategies as st

import events
from tests.contracts.answers import CONTRACTS, is_typed, mistakes
from tests.contracts.lambdas import FOLDERS, Lambdas
from tests.contracts.odd_json import ODD_TEXTS, from_schema, mutated
from tests.support.examples import examples
from tests.workflow.stage import classification

GARBAGE = (b"", b"\0", b"{", b"[" * 100_000, b"\xff\xfe{}", b'{"a": 1', b"NaN", b"1e999", b"9" * 5000, b"null", b"[1]")
READERS = (
    "build_dataset",
    "judge_challenger",
    "probe_endpoint",
    "record_retraining",
    "record_rollback",
    "summarize_batch",
)


def check(lambdas: Lambdas, folder: str, event: Any, *, must_answer: bool = False) -> None:
    """Invoke a Lambda; fail when it breaks its contract."""
    try:
        answer = lambdas.call(folder, event)
    except Exception as error:
        if not is_typed(error) or must_answer:
            raise
        return
    assert not mistakes(folder, answer), (mistakes(folder, answer), answer)


def prepare(lambdas: Lambdas, folder: str, event: Any, *, with_records: bool = False) -> None:
    """Restore the stage so that the valid form of `event` succeeds."""
    lambdas.reset()
    if not with_records:
        lambdas.without_records()
    if not isinstance(event, dict):
        return
    if folder.startswith("record_"):
        lambdas.lock(event.get("execution"))
    run = event.get("run")
    name = run.get("name") if isinstance(run, dict) else None
    lambdas.stage.respond = lambda image: {**classification(), "model_version": name or "model-1"}


def test_every_function_has_a_contract() -> None:
    assert set(FOLDERS) == set(CONTRACTS)


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_workflows_get_answers_by_the_contract(lambdas: Lambdas, folder: str) -> None:
    for event in lambdas.events[folder]:
        prepare(lambdas, folder, event, with_records=event.get("decided_by") == "recorded")
        check(lambdas, folder, event)


@pytest.mark.parametrize("folder", FOLDERS)
@examples(60)
@given(data=st.data())
def test_an_event_with_odd_values_is_answered_by_the_contract(lambdas: Lambdas, folder: str, data: Any) -> None:
    valid = data.draw(st.sampled_from(lambdas.events[folder]), "valid event")
    event = data.draw(mutated(valid), "event")
    prepare(lambdas, folder, valid, with_records=data.draw(st.booleans(), "with records"))
    check(lambdas, folder, event)


@pytest.mark.parametrize("folder", READERS)
@examples(30)
@given(data=st.data())
def test_an_odd_object_in_s3_is_answered_by_the_contract(lambdas: Lambdas, folder: str, data: Any) -> None:
    event = data.draw(st.sampled_from(lambdas.events[folder]), "event")
    prepare(lambdas, folder, event)
    keys = data.draw(st.lists(st.sampled_from(sorted(lambdas.documents)), min_size=1, max_size=3, unique=True), "keys")
    try:
        for key in keys:
            odd = mutated(json.loads(lambdas.documents[key])).map(lambda value: json.dumps(value).encode())
            lambdas.put(key, data.draw(odd | st.sampled_from(GARBAGE), key))
        check(lambdas, folder, event)
    finally:
        for key in keys:
            lambdas.restore(key)


@pytest.mark.parametrize("folder", ["classify_photo", "classify_batch", "probe_endpoint"])
@examples(60)
@given(data=st.data())
def test_an_odd_answer_of_the_endpoint_is_answered_by_the_contract(lambdas: Lambdas, folder: str, data: Any) -> None:
    event = data.draw(st.sampled_from(lambdas.events[folder]), "event")
    prepare(lambdas, folder, event)
    odd = data.draw(mutated(lambdas.stage.respond(b"")) | st.sampled_from([{"error": text} for text in ODD_TEXTS]))
    lambdas.stage.respond = lambda image: odd
    check(lambdas, folder, event)


@pytest.mark.parametrize("threshold", [*ODD_TEXTS, "0.5", "model", "inf", "-1", "1e-400"])
def test_an_odd_threshold_is_answered_by_the_contract(lambdas: Lambdas, threshold: str) -> None:
    event = lambdas.events["classify_photo"][0]
    prepare(lambdas, "classify_photo", event)
    parameters = lambdas.globals("classify_photo")["parameters"]
    with patch.object(parameters, "find", lambda name: threshold):
        check(lambdas, "classify_photo", event)


@examples(60)
@given(report=from_schema(events.contract("evaluation_report")), data=st.data())
def test_every_report_by_its_contract_is_judged(lambdas: Lambdas, report: dict[str, Any], data: Any) -> None:
    event = data.draw(st.sampled_from(lambdas.events["judge_challenger"]), "event")
    key = event["evaluation"].removeprefix("s3://scones-ml/")
    if report["reference"]:
        version = event["prepared"]["reference"]["model_version"]
        report = {**report, "reference": {**report["reference"], "model_version": version}}
    lambdas.put(key, json.dumps(report).encode())
    try:
        # A comparison with a champion is refused without the reference model.
        check(lambdas, "judge_challenger", event, must_answer=not report["champion"] or bool(report["reference"]))
    finally:
        lambdas.restore(key)


@examples(30)
@given(manifest=from_schema(events.contract("dataset_manifest")), data=st.data())
def test_every_manifest_by_its_contract_is_read(lambdas: Lambdas, manifest: dict[str, Any], data: Any) -> None:
    event = lambdas.events["build_dataset"][1]
    prepare(lambdas, "build_dataset", event)
    key = data.draw(st.sampled_from(sorted(key for key in lambdas.documents if key.endswith("/manifest.json"))))
    lambdas.put(key, json.dumps(manifest).encode())
    try:
        check(lambdas, "build_dataset", event, must_answer=True)
    finally:
        lambdas.restore(key)


@examples(60)
@given(request=from_schema(events.contract("review_request")))
def test_every_review_by_its_contract_is_requested(lambdas: Lambdas, request: dict[str, Any]) -> None:
    prepare(lambdas, "request_review", None)
    names = ("vehicle", "confidence", "probabilities", "model_version")
    classification = {name: request[name] for name in names}
    known = all(value is not None for value in classification.values())
    event = {
        **{name: request[name] for name in ("photo", "threshold", "reason", "task_token", "execution")},
        "classification": classification if known else None,
        "timeout_s": 900,
    }
    check(lambdas, "request_review", event, must_answer=True)


CODES = ("ThrottlingException", "AccessDenied", "AccessDeniedException", "InternalError", "ValidationException", "404")
FAILURES: tuple[Exception, ...] = (
    *(ClientError({"Error": {"Code": code, "Message": "on purpose"}}, "AnyCall") for code in CODES),
    ConnectTimeoutError(endpoint_url="https://aws"),
    ReadTimeoutError(endpoint_url="https://aws"),
    EndpointConnectionError(endpoint_url="https://aws"),
    NoCredentialsError(),
)


class BrokenBody:
    """The body of an object whose connection is lost."""

    def read(self, *_: Any) -> bytes:
        raise IncompleteReadError(actual_bytes=1, expected_bytes=2)

    def __enter__(self) -> "BrokenBody":
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("folder", FOLDERS)
@examples(40)
@given(data=st.data())
def test_a_call_of_aws_that_fails_is_an_error_of_this_project(lambdas: Lambdas, folder: str, data: Any) -> None:
    event = data.draw(st.sampled_from(lambdas.events[folder]), "event")
    prepare(lambdas, folder, event, with_records=data.draw(st.booleans(), "with records"))
    # The first calls fail more often: most functions make few.
    first = data.draw(st.integers(0, 12), "number of calls before the failure")
    failure = data.draw(st.sampled_from((*FAILURES, None)), "failure")
    count, after, lasting = iter(range(10_000)), data.draw(st.booleans(), "after the call"), data.draw(st.booleans())
    real = BaseClient._make_api_call

    def call(client: Any, operation: str, arguments: Any) -> Any:
        number = next(count)
        if number < first or (number > first and not lasting):
            return real(client, operation, arguments)
        answer = real(client, operation, arguments) if after or failure is None else None
        if failure is not None:
            raise failure
        return {**answer, "Body": BrokenBody()} if "Body" in answer else answer

    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(BaseClient, "_make_api_call", call)
        check(lambdas, folder, event)
