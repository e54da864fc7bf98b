"""`make reconcile`: the calls of the function, what became of restarted photos, the report and the exit status."""

import io
import json
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.response import StreamingBody
from moto import mock_aws

from deploy.outputs import Deployed
from functions.shared.photo import Photo
from functions.shared.photo_record import REJECTED, ROUTED
from functions.shared.photo_table import PhotoTable
from functions.shared.times import now, timestamp
from operate import reconcile
from operate.errors import CommandError
from operate.terminal import console
from tests.support.photo_table import create_photo_table

REGION = "eu-west-1"
COUNTS = {
    "uploads": 10, "with_outcome": 10, "without_outcome": 0, "too_young": 0, "waiting_for_review": 0,
    "in_progress": 0, "announced": 0, "restarted": 0, "unexplained": 0,
}  # fmt: skip


def answer(continuation: Any = None, **changes: Any) -> dict[str, Any]:
    """An answer of the function in which every upload has an outcome, but for `changes`."""
    lists: dict[str, Any] = {name: changes.get(name, []) for name in reconcile.LISTS}
    return {
        "complete": continuation is None,
        "continuation": continuation,
        "started_at": "2026-11-27T10:00:00.000Z",
        "since": None,
        "until": "2026-11-27T09:58:00.000Z",
        "counts": {**COUNTS, **{name: len(names) for name, names in lists.items()}, **changes.get("counts", {})},
        **lists,
    }


def name_of(photo: Photo, execution: str = "") -> dict[str, Any]:
    """The entry of a photo in a list of the answer."""
    return {
        "photo_id": photo.photo_id,
        "photo": photo.address,
        "driver_id": photo.driver_id,
        "execution": execution,
        "reason": "no execution was started for it",
    }


class FakeLambda:
    """The Lambda client: returns the answers in order and records the payloads."""

    def __init__(self) -> None:
        self.answers: list[Any] = []
        self.payloads: list[dict[str, Any]] = []

    def invoke(self, FunctionName: str, Payload: str) -> dict[str, Any]:  # names of boto3
        assert FunctionName == "scones-test-reconcile-photos"
        self.payloads.append(json.loads(Payload))
        found = self.answers.pop(0)
        if isinstance(found, Exception):
            raise found
        failed = {"FunctionError": "Unhandled"} if "errorType" in found else {}
        body = json.dumps(found).encode()
        return {"Payload": StreamingBody(io.BytesIO(body), len(body)), **failed}


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployed]:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": REGION,
    }.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        create_photo_table(boto3.client("dynamodb"), "photos")
        urls = {
            output: boto3.client("sqs").create_queue(QueueName=name)["QueueUrl"]
            for name, output in reconcile._QUEUES.items()
        }
        machine = boto3.client("stepfunctions").create_state_machine(
            name="classify-photo", definition="{}", roleArn="arn:aws:iam::123456789012:role/test"
        )["stateMachineArn"]
        outputs = Deployed(**{field.name: field.name for field in fields(Deployed)})
        yield replace(outputs, **urls, event_bus="scones-test", photo_table="photos", classify_photo_arn=machine)


@pytest.fixture
def function(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> FakeLambda:
    fake, real = FakeLambda(), boto3.client
    monkeypatch.setattr(boto3, "client", lambda name, **kw: fake if name == "lambda" else real(name, **kw))
    monkeypatch.setattr(reconcile, "POLL_S", 0.01)
    return fake


def run(deployed: Deployed, folder: Path, **options: Any) -> tuple[int, dict[str, Any], str]:
    """Return the exit status, the report and the output."""
    file = folder / "reports" / "reconcile.json"
    with console.capture() as capture:
        status = reconcile.run(deployed, file, **{"wait_s": 0.2, **options})
    return status, json.loads(file.read_text()), capture.get()


def test_with_an_outcome_for_every_upload_the_status_is_0(
    deployed: Deployed, function: FakeLambda, tmp_path: Path
) -> None:
    function.answers = [answer()]
    boto3.client("sqs").send_message(QueueUrl=deployed.unrouted_queue_url, MessageBody="{}")
    status, report, output = run(deployed, tmp_path)
    assert (status, report["explained"]) == (0, True)
    assert function.payloads == [{"grace_s": 120.0, "force": False, "continuation": None}]
    assert set(report) == {
        "complete", "started_at", "since", "until", "counts", "announced", "restarted", "unexplained",
        "names_left_out", "queues", "results", "explained", "duration_s",
    }  # fmt: skip
    assert report["counts"] == COUNTS
    assert report["queues"] == {"review": 0, "review_dead_letter": 0, "unrouted": 1}
    assert "make redrive" in output


def test_the_function_is_called_until_it_is_complete(deployed: Deployed, function: FakeLambda, tmp_path: Path) -> None:
    photos = [Photo("uploads", f"uploads/driver-1/{number}.jpg", "e", 1) for number in range(2)]
    position = {"started_at": "2026-11-27T10:00:00.000Z", "phase": "uploads", "after": "m", "unaccounted": 0}
    function.answers = [answer(position, announced=[name_of(photos[0])]), answer(announced=[name_of(photos[1])])]
    status, report, output = run(deployed, tmp_path, hours=24, grace_s=5, force=True)
    assert [payload["continuation"] for payload in function.payloads] == [None, position]
    assert {payload["hours"] for payload in function.payloads} == {24}
    assert (report["counts"]["uploads"], report["counts"]["announced"]) == (20, 2)
    assert [entry["photo"] for entry in report["announced"]] == [photo.address for photo in photos]
    assert status == 0
    assert "10 uploads examined; the function continues" in output


def test_a_call_without_progress_ends_the_command(deployed: Deployed, function: FakeLambda, tmp_path: Path) -> None:
    function.answers = [answer({"phase": "uploads"}), answer({"phase": "uploads"})]
    with pytest.raises(CommandError, match="no progress"):
        run(deployed, tmp_path)


def test_restarted_photos_are_followed_to_their_results(
    deployed: Deployed, function: FakeLambda, tmp_path: Path
) -> None:
    table, states = PhotoTable("photos", boto3.client("dynamodb")), boto3.client("stepfunctions")
    photos = {
        name: Photo("uploads", f"uploads/driver-1/{name}.jpg", "e", 1)
        for name in ("routed", "rejected", "in_review", "running", "failed", "gone")
    }
    executions = {
        name: states.start_execution(stateMachineArn=deployed.classify_photo_arn, name=name)["executionArn"]
        for name in photos
    } | {"gone": f"{deployed.classify_photo_arn.replace('stateMachine', 'execution')}:never-started"}
    for name, status in (("routed", ROUTED), ("rejected", REJECTED)):
        outcome = {"execution": executions[name], "rejected": {"reason": "UnreadablePhoto"}}
        table.record_outcome(photos[name], status, executions[name], now(), outcome=outcome)
    review = {"reason": "LowConfidence", "expires_at": timestamp(now()), "token_hash": "abc"}
    table.claim_review(photos["in_review"], executions["in_review"], now(), review=review)
    states.stop_execution(executionArn=executions["failed"])
    function.answers = [answer(restarted=[name_of(photo, executions[name]) for name, photo in photos.items()])]
    status, report, output = run(deployed, tmp_path)
    results = {entry["photo"].rpartition("/")[2]: entry["result"] for entry in report["restarted"]}
    assert results == {
        "routed.jpg": "routed", "rejected.jpg": "rejected", "in_review.jpg": "in_review", "running.jpg": "running",
        "failed.jpg": "failed", "gone.jpg": "failed",
    }  # fmt: skip
    assert report["results"] == {"routed": 1, "rejected": 1, "in_review": 1, "running": 1, "failed": 2}
    assert (status, report["explained"]) == (1, False)
    assert "2 restarted executions ended without an outcome" in output
    assert "make reconcile FORCE=yes" in output


def test_an_unexplained_photo_is_named_and_the_status_is_1(
    deployed: Deployed, function: FakeLambda, tmp_path: Path
) -> None:
    photo = Photo("uploads", "uploads/driver-1/[bold]\n.jpg", "e", 1)
    function.answers = [answer(unexplained=[name_of(photo)], counts={"unexplained": 1200})]
    status, report, output = run(deployed, tmp_path)
    assert status == 1
    assert f"{photo.photo_id}  s3://uploads/uploads/driver-1/[bold]\\n.jpg" in output
    assert "1,199 more were unexplained" in output
    assert "1,200 photos are unexplained" in output
    assert report["names_left_out"]["unexplained"] == 1199


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"errorType": "RecordUnavailable", "errorMessage": "slow down"}, "RecordUnavailable: slow down.*safe to run"),
        (ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "Invoke"), "make deploy"),
    ],
)
def test_a_function_that_fails_is_an_error_with_its_reason(
    deployed: Deployed, function: FakeLambda, tmp_path: Path, given: Any, message: str
) -> None:
    function.answers = [given]
    with pytest.raises(CommandError, match=message):
        run(deployed, tmp_path)
