"""boto3 clients for one embedded AWS, with the calls that most tests make."""

from __future__ import annotations

import io
import json
import textwrap
import uuid
import zipfile
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

import local
from tests.support.waiting import eventually

ROLE = "arn:aws:iam::000000000000:role/test"


class Aws:
    """Clients for one embedded AWS, and the calls that most tests make."""

    def __init__(self, server: local.ServerInfo) -> None:
        self.server = server
        self.key = server.access_key()
        self._clients: dict[str, Any] = {}

    def client(self, name: str) -> Any:
        """Return the client of a service; one per service."""
        if name not in self._clients:
            self._clients[name] = boto3.client(
                name,
                endpoint_url=self.server.url,
                region_name=self.server.region,
                aws_access_key_id=self.key.access_key_id,
                aws_secret_access_key=self.key.secret_access_key,
                config=Config(retries={"max_attempts": 0}, read_timeout=60),
            )
        return self._clients[name]

    def create_bucket(self) -> str:
        """Create a bucket; returns its name."""
        name = f"bucket-{uuid.uuid4().hex[:12]}"
        self.client("s3").create_bucket(
            Bucket=name, CreateBucketConfiguration={"LocationConstraint": self.server.region}
        )
        return name

    def create_function(self, code: str | dict[str, str], handler: str = "app.handler", **options: Any) -> str:
        """Create a Lambda function from the source of app.py, or from {path: source}; returns its name."""
        name = f"function-{uuid.uuid4().hex[:12]}"
        self.client("lambda").create_function(
            FunctionName=name,
            Runtime="python3.12",
            Handler=handler,
            Code={"ZipFile": zip_file(code)},
            **{"Role": ROLE, "Timeout": 20, **options},
        )
        return name

    def invoke(self, name: str, event: Any = None) -> tuple[Any, bool]:
        """Invoke a function; returns the payload and whether it is an error."""
        answer = self.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event))
        return json.loads(answer["Payload"].read()), "FunctionError" in answer

    def log_messages(self, group: str, **filters: Any) -> list[str]:
        """Return the messages of a log group."""
        events = self.client("logs").filter_log_events(logGroupName=group, **filters)["events"]
        return [event["message"] for event in events]

    def create_state_machine(self, definition: dict[str, Any]) -> str:
        """Create a state machine; returns its ARN."""
        answer = self.client("stepfunctions").create_state_machine(
            name=f"machine-{uuid.uuid4().hex[:12]}", roleArn=ROLE, definition=json.dumps(definition)
        )
        return str(answer["stateMachineArn"])

    def run_to_end(
        self, definition: dict[str, Any], execution_input: Any = None, timeout_s: float = 30
    ) -> dict[str, Any]:
        """Run a definition to its end; returns the description of the execution, its output decoded."""
        started = self.client("stepfunctions").start_execution(
            stateMachineArn=self.create_state_machine(definition), input=json.dumps(execution_input or {})
        )
        return self.wait_for_execution(started["executionArn"], timeout_s)

    def wait_for_execution(self, arn: str, timeout_s: float = 30) -> dict[str, Any]:
        """Wait for the end of an execution; returns its description, its output decoded."""
        states = self.client("stepfunctions")
        described = eventually(
            lambda: states.describe_execution(executionArn=arn),
            lambda found: found["status"] != "RUNNING",
            timeout_s=timeout_s,
        )
        return {**described, "output": json.loads(described.get("output") or "null")}


def zip_file(code: str | dict[str, str]) -> bytes:
    """Return a zip file of the source of app.py, or of {path: source}."""
    files = {"app.py": code} if isinstance(code, str) else code
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, source in files.items():
            archive.writestr(path, textwrap.dedent(source))
    return buffer.getvalue()


def call_refused(call: Any, **request: Any) -> tuple[str, str]:
    """Call an operation that must fail with ClientError; returns error code and message."""
    with pytest.raises(ClientError) as caught:
        call(**request)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]
