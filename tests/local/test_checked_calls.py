"""Calls of Lambda functions that AWS would refuse, although botocore sends them, are written down for tests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import local
from local.checked_calls import violations
from tests.local.aws import Aws
from tests.support import embedded_aws
from tests.support.network import free_port

CODE = """
import boto3
def handler(event, context):
    sqs = boto3.client("sqs")
    url = sqs.create_queue(QueueName="queue")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="secret-text")
    names = {"AttributeNames": ["ApproximateReceiveCount"]} if event["wrong"] else {}
    return sqs.receive_message(QueueUrl=url, **names)["Messages"][0]["Body"]
"""


def test_a_call_of_a_function_that_violates_the_model_is_written_without_its_values(tmp_path: Path) -> None:
    settings = local.Settings(
        port=free_port(), directory=tmp_path / "aws", calls=tmp_path / "calls.jsonl", authorization=False
    )
    assert settings.violations
    with embedded_aws.started(settings) as server:
        aws = Aws(server)
        name = aws.create_function(CODE)
        assert aws.invoke(name, {"wrong": False}) == ("secret-text", False)
        assert not settings.violations.exists()
        assert aws.invoke(name, {"wrong": True}) == ("secret-text", False)
    text = settings.violations.read_text()
    (found,) = map(json.loads, text.splitlines())
    assert found.pop("constraint").startswith("Member must satisfy enum value set: [All, ")
    assert found == {
        "where": "app.py:8", "service": "sqs", "operation": "ReceiveMessage", "what": "request",
        "path": "attributeNames.1.member",
    }  # fmt: skip
    assert "secret-text" not in text


@pytest.mark.parametrize(
    ("value", "path", "constraint"),
    [
        ({"VersionId": "1"}, "", None),
        ({"VersionId": 1}, "versionId", "Member must be a string"),
        ({"ContentLength": True}, "contentLength", "Member must be a long"),
        ({"LastModified": {"$time": "2026-11-28T10:00:00+00:00"}}, "", None),
        ({"LastModified": "2026-11-28"}, "lastModified", "Member must be a timestamp"),
        ({"Body": {"$bytes": 3}}, "", None),
        ({"StorageClass": "CHEAP"}, "storageClass", "Member must satisfy enum value set: [STANDARD, "),
        ({"Metadata": {"name": 3}}, "metadata.name.member", "Member must be a string"),
    ],
)
def test_a_response_has_the_types_and_the_enumerations_of_the_model(
    value: object, path: str, constraint: str | None
) -> None:
    call = {"service": "s3", "operation": "GetObject", "what": "response", "value": value, "where": "app.py:1"}
    found = [(one["path"], one["constraint"].startswith(constraint or "-")) for one in violations(call)]
    assert found == ([] if constraint is None else [(path, True)])


def test_a_response_has_the_required_members() -> None:
    call = {"service": "sagemaker", "operation": "DescribeModel", "what": "response", "where": "app.py:1"}
    paths = [one["path"] for one in violations({**call, "value": {"ModelName": "model"}})]
    assert paths == ["creationTime", "modelArn"]
