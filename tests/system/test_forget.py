"""`make forget` on a deployed stage: afterwards no store has the driver's id, the photos' bytes or their GPS data."""

import base64
import gzip
import io
import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

import local
from console.held_messages import HeldMessages
from deploy import system
from deploy.outputs import Deployed
from deploy.stack import Stack
from deploy.target import Target
from functions.shared.photo import Photo
from functions.shared.photo_record import IN_REVIEW, REJECTED, ROUTED
from operate import forget
from operate.forget import Scope
from operate.terminal import console
from tests.support import embedded_aws as embedded
from tests.support.forgotten_photos import GPS_MARKER, Planter, photo_with_gps
from tests.support.network import free_port
from tests.support.people import signing_as
from tests.support.upload_stage import UploadStage
from tests.support.waiting import eventually

DRIVER = "Zoë Ångström-4815162342"
# The ids of these drivers contain the other one, or are contained in it.
OTHERS = (DRIVER[:-1], f"{DRIVER}3")
REVIEWER = "AIDAREVIEWER"
DOCUMENTED = (Path(__file__).resolve().parents[2] / "docs" / "retention.md").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Stage:
    """An embedded AWS of its own with photos of three drivers, and the folder with its state and the reports."""

    settings: local.Settings
    stage: UploadStage
    reports: Path
    contents: dict[str, bytes]
    photos: dict[str, Photo]
    others: list[Photo]

    @property
    def deployed(self) -> Deployed:
        """The outputs of the stage."""
        return self.stage.deployed

    def markers(self) -> dict[str, bytes]:
        """What may be left nowhere: the driver's id as it is written in texts, URLs and JSON; parts of the photos."""
        found = {
            "driver": DRIVER.encode(),
            "driver in JSON": json.dumps(DRIVER)[1:-1].encode(),
            "driver in a URL": b"4815162342/",
            "driver's number": b"4815162342",
            "GPS": GPS_MARKER.encode(),
        }
        for name, content in self.contents.items():
            middle = content[len(content) // 2 :][:48]
            found[f"bytes of {name}"] = middle
            # Base64 of the same bytes at each offset; the first and the last characters depend on their neighbours.
            for offset in range(3):
                found[f"base64 of {name} at {offset}"] = base64.b64encode(middle[offset : offset + 30])
        return found


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Without an endpoint: every readable photo goes to review, after some retries."""
    folder = tmp_path_factory.mktemp("forget")
    settings = local.Settings(port=free_port(), directory=folder / "aws", region="eu-west-1", save_interval_s=2)
    contents = {"waiting": photo_with_gps(96, 1), "reviewed": photo_with_gps(96, 2), "trained": photo_with_gps(96, 3)}
    contents["rejected"] = b"no photo, " + b"but it is as long as one: 31415926535 " * 8
    with embedded.started(settings) as server, embedded.used(server):
        deployed = Deployed.of(system.deploy(Target("local", "forget"), progress=lambda line: None))
        uploads = UploadStage(deployed, [])
        photos = {name: uploads.put(f"uploads/{DRIVER}/{name}.jpg", content) for name, content in contents.items()}
        others = [uploads.put(f"uploads/{driver}/1.jpg", photo_with_gps(64, 9)) for driver in OTHERS]
        for photo in (*others, *(photo for name, photo in photos.items() if name != "rejected")):
            eventually(lambda photo=photo: status(uploads, photo) == IN_REVIEW, what="a review", timeout_s=240)
        eventually(lambda: status(uploads, photos["rejected"]) == REJECTED, what="the rejection", timeout_s=60)
        yield Stage(settings, uploads, folder / "reports", contents, photos, others)


def status(stage: UploadStage, photo: Photo) -> str | None:
    record = stage.record(photo)
    return record.status if record else None


def plant(stage: Stage) -> None:
    """Answer a review, and write what reviewers, trainings and commands write about the photos."""
    planter = Planter(stage.deployed)
    sqs: Any = boto3.client("sqs")
    answered = stage.photos["reviewed"]
    for message in iter(
        lambda: sqs.receive_message(QueueUrl=stage.deployed.review_queue_url, VisibilityTimeout=5).get("Messages"), None
    ):
        request = json.loads(message[0]["Body"])
        if request["photo"]["photo_id"] == answered.photo_id:
            answer = {"vehicle": "bicycle", "reviewer": REVIEWER, "answered_at": request["requested_at"]}
            boto3.client("stepfunctions").send_task_success(taskToken=request["task_token"], output=json.dumps(answer))
            sqs.delete_message(QueueUrl=stage.deployed.review_queue_url, ReceiptHandle=message[0]["ReceiptHandle"])
            break
    eventually(lambda: status(stage.stage, answered) == ROUTED, what="the reviewer's decision")
    reviewer = boto3.client("sts").get_caller_identity()["UserId"]
    for photo in (stage.photos["reviewed"], stage.photos["trained"], *stage.others):
        planter.label(photo, reviewer)
    planter.training(stage.photos["trained"], stage.others[0], model="vehicles-forget-1")
    planter.messages(stage.photos["rejected"])
    planter.messages(stage.others[1])
    s3, named = boto3.client("s3"), {"Bucket": stage.deployed.uploads_bucket, "Key": f"uploads/{DRIVER}/unfinished.jpg"}
    upload = s3.create_multipart_upload(**named)["UploadId"]
    s3.upload_part(**named, UploadId=upload, PartNumber=1, Body=stage.contents["waiting"])
    stage.reports.mkdir()
    (stage.reports / "demo.json").write_text(json.dumps([photo.address for photo in stage.photos.values()]))
    (stage.reports / "other.json").write_text(json.dumps([photo.address for photo in stage.others]))


def everything(stage: Stage) -> Iterator[tuple[str, bytes]]:
    """Every store of the embedded AWS but the histories of executions: its name and its content."""
    yield from objects()
    yield from records_and_messages()
    yield from log_events()
    for file in stage.reports.rglob("*"):
        yield f"report {file.name}", file.read_bytes()


def objects() -> Iterator[tuple[str, bytes]]:
    s3: Any = boto3.client("s3")
    for bucket in s3.list_buckets()["Buckets"]:
        pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket["Name"])
        for item in (item for page in pages for item in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]):
            yield f"s3 {bucket['Name']}", item["Key"].encode()
        for item in (item for page in pages for item in page.get("Versions", [])):
            named = {"Bucket": bucket["Name"], "Key": item["Key"], "VersionId": item["VersionId"]}
            content = s3.get_object(**named)["Body"].read()
            yield f"s3 {item['Key']}", content
            if item["Key"].endswith(".tar.gz"):
                yield from unpacked(item["Key"], content)


def records_and_messages() -> Iterator[tuple[str, bytes]]:
    dynamodb, sqs = boto3.client("dynamodb"), boto3.client("sqs")
    for table in dynamodb.list_tables()["TableNames"]:
        for page in dynamodb.get_paginator("scan").paginate(TableName=table):
            yield f"dynamodb {table}", json.dumps(page["Items"], ensure_ascii=False).encode()
    for url in sqs.list_queues()["QueueUrls"]:
        # Without the name of the queue: after five receptions, a review request is in the dead-letter queue.
        with HeldMessages(sqs, url) as messages:
            yield from (("sqs", message["Body"].encode()) for message in messages)


def log_events() -> Iterator[tuple[str, bytes]]:
    logs: Any = boto3.client("logs")
    for page in logs.get_paginator("describe_log_groups").paginate():
        for group in page["logGroups"]:
            for events in logs.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"]):
                for event in events["events"]:
                    yield f"logs {group['logGroupName']}", event["message"].encode()


def unpacked(name: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        for member in tar:
            file = tar.extractfile(member)
            yield f"{name} {member.name}", file.read() if file else b""


def search(stage: Stage, stores: Iterator[tuple[str, bytes]], without: tuple[str, ...] = ()) -> set[tuple[str, str]]:
    """Where which marker is, unless it is part of the longer id of another driver."""
    found = set()
    longer = [OTHERS[1].encode(), json.dumps(OTHERS[1])[1:-1].encode()]
    for name, content in stores:
        # JSON in JSON, as in histories, has more backslashes.
        content = re.sub(rb"\\+u", rb"\\u", content)
        for other in longer:
            content = content.replace(other, b"")
        found |= {(name, what) for what, marker in stage.markers().items() if marker in content and what not in without}
    return found


def test_nothing_of_a_driver_is_left_but_the_histories_that_the_report_lists(stage: Stage) -> None:
    plant(stage)
    deployed, report_file = stage.deployed, stage.reports / "forget.json"
    before = search(stage, everything(stage))
    assert {name.split()[0] for name, _ in before} == {"s3", "dynamodb", "sqs", "report"}
    # EXIF and GPS data never leave the uploads bucket, and logs have photo ids only.
    assert {name for name, what in before if what == "GPS"} == {f"s3 {photo.key}" for photo in stage.photos.values() if
        photo != stage.photos["rejected"]} | {f"s3 {photo.key}" for photo in stage.others}  # fmt: skip
    with console.capture() as printed:
        forget.run(deployed, Scope.of_driver(DRIVER), report_file, delete=False)
    assert "Nothing was deleted" in printed.get()
    assert search(stage, everything(stage)) == before

    others = {photo: about(stage, photo) for photo in stage.others}
    server = local.running(stage.settings)
    assert server is not None
    arns = Stack(f"{deployed.app_name}-people").outputs()
    with (
        console.capture(),
        signing_as(server, "fred", arns["OperatorPolicyArn"], arns["ForgetPolicyArn"]),
    ):
        report = forget.run(deployed, Scope.of_driver(DRIVER), report_file, delete=True, settle_s=5)
    assert sorted(report["photos"]) == sorted(photo.photo_id for photo in stage.photos.values())
    assert search(stage, everything(stage), without=("GPS",)) == set()
    assert {name for name, what in search(stage, everything(stage)) if what == "GPS"} == {
        f"s3 {photo.key}" for photo in stage.others
    }
    assert not boto3.client("s3").list_multipart_uploads(Bucket=deployed.uploads_bucket).get("Uploads")
    assert {photo: about(stage, photo) for photo in stage.others} == {
        # Its features are computed again by the next training.
        photo: names - {"s3 models/vehicles-forget-1/output/output.tar.gz"}
        for photo, names in others.items()
    }
    assert {status(stage.stage, photo) for photo in stage.others} == {IN_REVIEW}
    for bucket, key in keys(deployed):
        assert bucket == deployed.uploads_bucket or f"`{documented(key)}`" in DOCUMENTED, f"{key} is in no row"

    histories = [one for one in report["kept"] if "histories" in one["what"]]
    assert histories[0]["names"] == sorted(executions_with_marker(stage))

    local.stop(stage.settings)
    blobs = list(state_files(stage.settings.directory))
    assert len(blobs) > 3
    left = search(stage, iter(blobs), without=("GPS",))
    assert {what for _, what in left if "bytes" in what or "base64" in what} == set()
    # An ended execution has a file of its own.
    files = {name for name, _ in left}
    assert {name.rpartition("/")[0] for name in files} == {"file state/blobs"}
    assert len(files) == len(histories[0]["names"])


def about(stage: Stage, photo: Photo) -> set[str]:
    return {name for name, content in everything(stage) if photo.photo_id.encode() in content + name.encode()}


def keys(deployed: Deployed) -> Iterator[tuple[str, str]]:
    s3: Any = boto3.client("s3")
    for bucket in (deployed.uploads_bucket, deployed.ml_bucket):
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            yield from ((bucket, item["Key"]) for item in page.get("Contents", ()))


def documented(key: str) -> str:
    first, second = key.split("/")[:2]
    return f"{first}/{second}/" if first == "datasets" else f"{first}/"


def executions_with_marker(stage: Stage) -> Iterator[str]:
    """The executions of all state machines whose history names the driver."""
    states: Any = boto3.client("stepfunctions")
    for machine in states.list_state_machines()["stateMachines"]:
        for page in states.get_paginator("list_executions").paginate(stateMachineArn=machine["stateMachineArn"]):
            for execution in page["executions"]:
                arn = execution["executionArn"]
                history = states.get_execution_history(executionArn=arn)["events"]
                texts = [("history", json.dumps(history, default=str, ensure_ascii=False).encode())]
                if search(stage, iter(texts)):
                    yield arn


def state_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for file in folder.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            yield f"file {file.relative_to(folder)}", content
            if content.startswith(b"\x1f\x8b"):
                yield f"file {file.relative_to(folder)}, unpacked", gzip.decompress(content)
