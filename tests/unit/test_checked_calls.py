"""A test fails when the application makes a call, or gets a response, that the model of the service does not allow."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from tests.support.checked_calls import ROOT, called, take_problems

CODE = """
def receive(sqs, url, **more):
    return sqs.receive_message(QueueUrl=url, **more)
"""


def code(folder: str) -> Any:
    """Return the function of CODE as if it stood in a folder of this repository."""
    namespace: dict[str, Any] = {}
    file = str(Path(ROOT, folder, "example.py"))
    exec(compile(CODE, file, "exec"), namespace)  # noqa: S102 (the code above)
    return namespace["receive"]


@pytest.fixture
def sqs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield boto3.client("sqs", region_name="eu-west-1")


@pytest.fixture
def url(sqs: Any) -> str:
    return str(sqs.create_queue(QueueName="queue")["QueueUrl"])


@pytest.mark.parametrize(
    ("folder", "prefix"), [("console", "console/example.py:3: sqs ReceiveMessage, request"), ("tests", None)]
)
def test_a_value_that_the_enumeration_lacks_is_a_problem_of_the_application_only(
    sqs: Any, url: str, folder: str, prefix: str | None
) -> None:
    code(folder)(sqs, url, AttributeNames=["ApproximateReceiveCount"])
    found = take_problems()
    assert [one.split(", attributeNames")[0] for one in found] == ([] if prefix is None else [prefix])
    assert (("sqs", "ReceiveMessage", "console/example.py", 3) in called) == (folder == "console")
    called.discard(("sqs", "ReceiveMessage", "console/example.py", 3))


def test_a_valid_call_is_no_problem(sqs: Any, url: str) -> None:
    code("functions")(sqs, url, MessageSystemAttributeNames=["ApproximateReceiveCount"])
    assert take_problems() == []
    called.discard(("sqs", "ReceiveMessage", "functions/example.py", 3))


def test_a_response_of_another_type_is_a_problem_without_its_value(sqs: Any, url: str) -> None:
    answer: dict[str, Any] = {"Messages": [{"MessageId": 17, "Body": "secret-text"}]}
    sqs.meta.events.register("before-call.sqs.ReceiveMessage", lambda **_: (SimpleNamespace(status_code=200), answer))
    code("operate")(sqs, url)
    assert take_problems() == [
        "operate/example.py:3: sqs ReceiveMessage, response, messages.1.member.messageId: Member must be a string"
    ]
    called.discard(("sqs", "ReceiveMessage", "operate/example.py", 3))
