"""PrepareBatch: the input of classify-batch is checked before anything is read."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.functions.stack import UPLOADS, Function

EXECUTION = "arn:aws:states:eu-west-1:123456789012:execution:scones-test-classify-batch:of-friday"


@pytest.fixture
def prepare(function: Callable[[str], Function], monkeypatch: pytest.MonkeyPatch) -> Function:
    numbers = {"BATCH_CONCURRENCY": "3", "BATCH_TOLERATED_FAILURES": "5", "BATCH_REVIEWS": "7"}
    for name, value in {"UPLOADS_BUCKET": UPLOADS, **numbers}.items():
        monkeypatch.setenv(name, value)
    return function("prepare_batch")


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"prefix": f"s3://{UPLOADS}/batches/a/"}, {"kind": "prefix", "prefix": "batches/a/", "key": None}),
        ({"csv": f"s3://{UPLOADS}/lists/a"}, {"kind": "csv", "key": "lists/a", "prefix": None}),
        ({"jsonl": f"s3://{UPLOADS}/a.jsonl", "id": "yard_1"}, {"kind": "jsonl", "id": "yard_1"}),
        ({"inventory": f"s3://{UPLOADS}/i/manifest.json"}, {"kind": "inventory", "key": "i/manifest.json"}),
        (
            {"prefix": f"s3://{UPLOADS}/a/", "tolerated_failure_percentage": 100},
            {"tolerated_failure_percentage": 100},
        ),
        ({"prefix": f"s3://{UPLOADS}/a/", "review_unsure": True}, {"reviews": 7}),
        ({"prefix": f"s3://{UPLOADS}/a/", "review_unsure": False}, {"reviews": 0}),
        (
            {"prefix": f"s3://{UPLOADS}/a/", "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID": "arn:of:another:team"},
            {"kind": "prefix"},
        ),
    ],
)
def test_an_input_names_the_photos(prepare: Function, request_: dict[str, Any], expected: dict[str, Any]) -> None:
    settings = {"id": "of-friday", "bucket": UPLOADS, "concurrency": 3, "tolerated_failure_percentage": 5, "reviews": 0}
    answer = prepare(execution=EXECUTION, request=request_)
    assert {**settings, **expected}.items() <= answer.items()


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({}, "no photos; pass exactly one of prefix, csv, jsonl, inventory"),
        ({"prefix": f"s3://{UPLOADS}/a/", "csv": f"s3://{UPLOADS}/a"}, "prefix and csv; pass exactly one"),
        ({"prefix": "s3://another/a/"}, "is in bucket another"),
        ({"prefix": f"s3://{UPLOADS}/a"}, "does not end in a slash"),
        ({"prefix": f"s3://{UPLOADS}/"}, "a whole bucket"),
        ({"csv": f"s3://{UPLOADS}/a/"}, "is a folder"),
        ({"inventory": f"s3://{UPLOADS}/a.csv"}, "is not a manifest.json"),
        ({"prefix": "/home/photos/"}, "pass an s3:// address"),
        ({"prefix": f"s3://{UPLOADS}/a/", "id": "../labels"}, "input.id is '../labels'"),
        ({"prefix": f"s3://{UPLOADS}/a/", "photos": 3}, "has 'photos'; leave it out"),
        ({"prefix": f"s3://{UPLOADS}/a/", "tolerated_failure_percentage": 101}, "pass a number from 0 to 100"),
        ({"prefix": f"s3://{UPLOADS}/a/", "review_unsure": "yes"}, "pass true or false"),
        (None, "pass an object"),
    ],
)
def test_a_mistake_is_named(prepare: Function, request_: Any, message: str) -> None:
    with pytest.raises(Exception, match=message) as caught:
        prepare(execution=EXECUTION, request=request_)
    assert type(caught.value).__name__ == "InvalidInput"


def test_the_name_of_an_execution_may_be_no_id(prepare: Function) -> None:
    with pytest.raises(Exception, match="id is 'a b'"):
        prepare(execution=EXECUTION.replace("of-friday", "a b"), request={"prefix": f"s3://{UPLOADS}/a/"})
