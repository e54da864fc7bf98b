"""A deployed stage with photos that wait for a person, and what everyone else can see of it."""

import hashlib
import io
import json
import random
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageDraw

from console.answers import choices
from console.aws import Aws
from console.desk import Desk
from deploy.outputs import Deployed
from tests.unit.model_stage import POLICY, operating_points

MODEL = "vehicles-test-20261123-010203"


@dataclass(frozen=True)
class Asked:
    """A photo that an execution waits for a person about."""

    photo_id: str
    key: str
    execution: str


class Stage:
    """One stage of the system, seen from outside."""

    def __init__(self, resources: Deployed, aws: Aws) -> None:
        self.resources = resources
        self.aws = aws
        self._machine = self._machine_that_asks()
        self._events = self._event_queue()
        self.seen: list[dict[str, Any]] = []
        self._count = 0
        self.uploads_start_executions(False)

    def uploads_start_executions(self, wanted: bool) -> None:
        """Whether the bus does what it does in production. Not while tests start executions of their own."""
        rule = {"Name": f"scones-{self.resources.stage}-photo-uploaded"}
        (self.aws.events.enable_rule if wanted else self.aws.events.disable_rule)(**rule)

    def desk(self, **options: Any) -> Desk:
        return Desk(self.resources, self.aws, choices(), **options)

    def ask(
        self,
        number: int = 1,
        *,
        timeout_s: float = 900,
        vehicle: str | None = "bicycle",
        name: str = "photo",
        photo: Callable[[int], bytes] | None = None,
    ) -> list[Asked]:
        """Let the deployed workflow ask a person about `number` new photos, as if the model had been unsure."""
        photo = photo or drawn
        asked = []
        for _ in range(number):
            self._count += 1
            key = f"uploads/driver-{self._count % 7}/{name}-{self._count:04}.jpg"
            put = self.aws.s3.put_object(
                Bucket=self.resources.uploads_bucket, Key=key, Body=photo(self._count), ContentType="image/jpeg"
            )
            asked.append(self.ask_about(key, put["ETag"].strip('"'), timeout_s=timeout_s, vehicle=vehicle))
        return asked

    def ask_about(self, key: str, etag: str, *, timeout_s: float = 900, vehicle: str | None = "bicycle") -> Asked:
        bucket = self.resources.uploads_bucket
        size = self.aws.s3.head_object(Bucket=bucket, Key=key)["ContentLength"]
        photo_id = hashlib.sha256(f"{bucket}\0{key}\0{etag}".encode()).hexdigest()[:32]
        about = {"bucket": bucket, "key": key, "etag": etag, "size": size, "photo_id": photo_id}
        sure = 0.5 + int(photo_id[:2], 16) / 640
        classification = vehicle and {
            "vehicle": vehicle,
            "confidence": sure,
            "probabilities": {
                "bicycle": sure if vehicle == "bicycle" else (1 - sure) * 0.7,
                "motorcycle": sure if vehicle == "motorcycle" else (1 - sure) * 0.7,
                "other": (1 - sure) * 0.3,
            },
            "model_version": MODEL,
        }
        review = {
            "photo": about,
            "classification": classification,
            "threshold": 0.93 if vehicle else None,
            "reason": "LowConfidence" if vehicle else "ModelUnavailable",
            "model_version": MODEL if vehicle else None,
            "timeout_s": timeout_s,
        }
        started = self.aws.stepfunctions.start_execution(
            stateMachineArn=self._machine, input=json.dumps({"photo": about, "review": review})
        )
        return Asked(photo_id, key, started["executionArn"])

    def waiting(self) -> int:
        """Messages in the review queue, held or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.aws.sqs.get_queue_attributes(QueueUrl=self.resources.review_queue_url, AttributeNames=names)
        return sum(int(value) for value in found["Attributes"].values())

    def wait_for_requests(self, number: int, timeout_s: float = 60) -> None:
        eventually(self.waiting, lambda found: found >= number, timeout_s)

    def decisions(self) -> dict[str, dict[str, Any]]:
        from functions.shared.dynamodb import values

        pages = self.aws.dynamodb.get_paginator("scan").paginate(TableName=self.resources.decision_table)
        return {item["photo_id"]["S"]: values(item) for page in pages for item in page["Items"]}

    def labels(self) -> dict[str, dict[str, Any]]:
        s3, bucket = self.aws.s3, self.resources.ml_bucket
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="labels/")
        keys = [found["Key"] for page in pages for found in page.get("Contents", [])]
        bodies = [json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read()) for key in keys]
        return {f"{key}": body for key, body in zip(keys, bodies, strict=True)}

    def label(self, asked: Asked) -> dict[str, Any] | None:
        return next((body for key, body in self.labels().items() if key.endswith(f"{asked.photo_id}.json")), None)

    def events(self, detail_type: str) -> list[dict[str, Any]]:
        """Every event of a type so far; `at` is when it reached a listener's queue, in epoch seconds."""
        while True:
            answer = self.aws.sqs.receive_message(
                QueueUrl=self._events, MaxNumberOfMessages=10, AttributeNames=["SentTimestamp"]
            )
            if not answer.get("Messages"):
                return [event for event in self.seen if event["detail-type"] == detail_type]
            for message in answer["Messages"]:
                at = int(message["Attributes"]["SentTimestamp"]) / 1000
                self.seen.append({**json.loads(message["Body"]), "at": at})
                self.aws.sqs.delete_message(QueueUrl=self._events, ReceiptHandle=message["ReceiptHandle"])

    def events_about(self, detail_type: str, asked: Asked) -> list[dict[str, Any]]:
        return [e for e in self.events(detail_type) if e["detail"]["photo"]["photo_id"] == asked.photo_id]

    def empty(self) -> None:
        """Forget every request, so that a test finds only its own."""
        for url in (self.resources.review_queue_url, self.resources.review_dead_letter_queue_url):
            self.aws.sqs.purge_queue(QueueUrl=url)

    def dead_letter(self, body: str) -> None:
        self.aws.sqs.send_message(QueueUrl=self.resources.review_dead_letter_queue_url, MessageBody=body)

    def serve_a_model(self) -> None:
        """An endpoint whose model's artefact has what the training job puts in."""
        report = {
            "accuracy": 0.971,
            "auroc": 0.988,
            "ece": 0.021,
            "coverage": 0.93,
            "error_accepted": 0.006,
            "intervals": {"accuracy": [0.955, 0.985]},
            "threshold": 0.93,
            "operating_points": operating_points(),
        }
        about = {"threshold": 0.93, "classes": ["bicycle", "motorcycle", "other"], "policy": POLICY}
        files = {
            "model.json": json.dumps(about).encode(),
            "evaluation.json": json.dumps(report).encode(),
            "model-card.md": b"# A model\n\n| figure | value |\n|---|---|\n| accuracy | 0.971 |\n\n<b>not bold</b>\n",
            "model-card.png": _png(),
        }
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            for name, content in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        name = f"vehicles-{self.resources.stage}-20261123-010203"
        key = f"models/{name}/output/model.tar.gz"
        self.aws.s3.put_object(Bucket=self.resources.ml_bucket, Key=key, Body=packed.getvalue())
        role = "arn:aws:iam::000000000000:role/test"
        image = "763104351884.dkr.ecr.eu-west-1.amazonaws.com/pytorch-inference:2.6.0-cpu-py312"
        sagemaker = self.aws.sagemaker
        sagemaker.create_model(
            ModelName=name,
            ExecutionRoleArn=role,
            PrimaryContainer={"Image": image, "ModelDataUrl": f"s3://{self.resources.ml_bucket}/{key}"},
        )
        variant = {"VariantName": "AllTraffic", "ModelName": name, "InstanceType": "ml.m5.large"}
        sagemaker.create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=[{**variant, "InitialInstanceCount": 1}]
        )
        sagemaker.create_endpoint(EndpointName=self.resources.endpoint_name, EndpointConfigName=name)

    def _machine_that_asks(self) -> str:
        """The deployed workflow, entered where it asks a person: same states, same functions, same tokens."""
        states = self.aws.stepfunctions
        deployed = states.describe_state_machine(stateMachineArn=self.resources.classify_photo_arn)
        definition = json.loads(deployed["definition"])
        for retry in definition["States"]["ClassifyPhoto"]["Retry"]:
            if retry["ErrorEquals"] == ["ModelUnavailable"]:
                # Half a minute of waiting for an endpoint that this stage does not have proves nothing here.
                retry.update(IntervalSeconds=1, MaxAttempts=1)
        states.update_state_machine(
            stateMachineArn=self.resources.classify_photo_arn, definition=json.dumps(definition)
        )
        definition["StartAt"] = "RequestReview"
        made = states.create_state_machine(
            name="asks-a-person", definition=json.dumps(definition), roleArn=deployed["roleArn"]
        )
        return str(made["stateMachineArn"])

    def _event_queue(self) -> str:
        url = self.aws.sqs.create_queue(QueueName="listener")["QueueUrl"]
        arn = self.aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        rule = {"Name": "listener", "EventBusName": self.resources.event_bus}
        self.aws.events.put_rule(**rule, EventPattern=json.dumps({"source": ["scones.vehicles"]}))
        self.aws.events.put_targets(
            Rule="listener", EventBusName=self.resources.event_bus, Targets=[{"Id": "queue", "Arn": arn}]
        )
        return str(url)


def drawn(number: int) -> bytes:
    """A small JPEG, another one for each number."""
    chance = random.Random(number)  # noqa: S311  # a picture, not a secret
    image = Image.new("RGB", (320, 240), (chance.randrange(120, 255), chance.randrange(120, 255), 220))
    pen = ImageDraw.Draw(image)
    for x in (90, 230):
        pen.ellipse((x - 50, 110, x + 50, 210), outline=(20, 20, 20), width=6)
    pen.line((90, 160, 140, 90, 210, 90, 230, 160), fill=(chance.randrange(200), 30, 60), width=7)
    pen.text((10, 10), f"no. {number}", fill=(0, 0, 0))
    out = io.BytesIO()
    image.save(out, "JPEG")
    return out.getvalue()


def _png() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (200, 120), (230, 240, 235)).save(out, "PNG")
    return out.getvalue()


def eventually(look: Callable[[], Any], good: Callable[[Any], bool] = bool, timeout_s: float = 20) -> Any:
    """Look until what is seen is good and return it; fail with the last thing seen."""
    deadline = time.monotonic() + timeout_s
    while True:
        seen = look()
        if good(seen):
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:g} s; last seen: {seen}")
        time.sleep(0.03)


@contextmanager
def timed() -> Iterator[Callable[[], float]]:
    """Yield a function that tells the seconds since."""
    start = time.monotonic()
    yield lambda: time.monotonic() - start
