"""A deployed stage: executions that request reviews, and reads of labels, decisions and events."""

import hashlib
import io
import json
import random
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import boto3
from PIL import Image, ImageDraw

from console.answers import choices
from console.aws import Aws
from console.desk import Desk
from console.identity import Reviewer, find_reviewer
from console.permissions import policy
from deploy.outputs import Deployed
from deploy.stack import Stack
from functions.shared.photo_record import ROUTED
from functions.shared.photo_table import PhotoTable
from tests.support.roles import create_role
from tests.support.waiting import eventually
from tests.unit.model_stage import POLICY, operating_points

MODEL = "vehicles-test-20261123-010203"


@dataclass(frozen=True)
class Requested:
    """A photo whose execution waits for a reviewer."""

    photo_id: str
    key: str
    execution: str


class ReviewerAws(Aws):
    """The AWS clients of an IAM user with an access key."""

    def __init__(self, key: Mapping[str, str]) -> None:
        super().__init__()
        self.environment = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
        self._session = boto3.session.Session(key["AccessKeyId"], key["SecretAccessKey"])


class Stage:
    """One stage of the system."""

    def __init__(self, deployed: Deployed, aws: Aws) -> None:
        self.deployed = deployed
        self.aws = aws
        self._state_machine = self._create_state_machine()
        self._events = self._create_event_queue()
        self._received: list[dict[str, Any]] = []
        self._count = 0
        self._reviewers: dict[str, ReviewerAws] = {}
        self.uploads_start_executions(False)

    def uploads_start_executions(self, enabled: bool) -> None:
        """Enable or disable the rule for uploaded photos. Most tests start their own executions."""
        rule = f"scones-{self.deployed.stage}-photo-uploaded"
        if enabled:
            self.aws.events.enable_rule(Name=rule)
        else:
            self.aws.events.disable_rule(Name=rule)

    def desk(self, name: str = "ada", **options: Any) -> Desk:
        """Return a desk of this stage with the AWS identity of a reviewer; the caller closes it."""
        return Desk(self.deployed, self.aws_of(name), choices(), **options)

    def reviewer(self, name: str) -> Reviewer:
        """Return the reviewer with a name, who has an IAM user."""
        return find_reviewer(self.aws_of(name).sts, name)

    def aws_of(self, name: str) -> "ReviewerAws":
        """Return the clients of the reviewer with a name, whose IAM user is created at the first call."""
        if name not in self._reviewers:
            iam: Any = boto3.client("iam")
            iam.create_user(UserName=name)
            iam.put_user_policy(UserName=name, PolicyName="reviewer", PolicyDocument=json.dumps(policy(self.deployed)))
            # The executions of these tests are those of a copy of the state machine.
            history = {
                "Effect": "Allow",
                "Action": ["states:DescribeExecution", "states:GetExecutionHistory"],
                "Resource": self._state_machine.replace(":stateMachine:", ":execution:") + ":*",
            }
            document = json.dumps({"Version": "2012-10-17", "Statement": [history]})
            iam.put_user_policy(UserName=name, PolicyName="history", PolicyDocument=document)
            self._reviewers[name] = ReviewerAws(iam.create_access_key(UserName=name)["AccessKey"])
        return self._reviewers[name]

    def request_reviews(
        self,
        number: int = 1,
        *,
        timeout_s: float = 900,
        vehicle: str | None = "bicycle",
        name: str = "photo",
        photo: Callable[[int], bytes] | None = None,
    ) -> list[Requested]:
        """Start executions that request reviews of `number` new photos, as if their confidence were low."""
        photo = photo or draw_photo
        requested = []
        for _ in range(number):
            self._count += 1
            key = f"uploads/driver-{self._count % 7}/{name}-{self._count:04}.jpg"
            put = self.aws.s3.put_object(
                Bucket=self.deployed.uploads_bucket, Key=key, Body=photo(self._count), ContentType="image/jpeg"
            )
            requested.append(self.request_review(key, put["ETag"].strip('"'), timeout_s=timeout_s, vehicle=vehicle))
        return requested

    def request_review(
        self, key: str, etag: str, *, timeout_s: float = 900, vehicle: str | None = "bicycle"
    ) -> Requested:
        """Start an execution that requests a review of an uploaded photo; `vehicle` None: the model was unavailable."""
        bucket = self.deployed.uploads_bucket
        size = self.aws.s3.head_object(Bucket=bucket, Key=key)["ContentLength"]
        photo_id = hashlib.sha256(f"{bucket}\0{key}\0{etag}".encode()).hexdigest()[:32]
        photo = {"bucket": bucket, "key": key, "etag": etag, "size": size, "photo_id": photo_id}
        confidence = 0.5 + int(photo_id[:2], 16) / 640
        classification = vehicle and {
            "vehicle": vehicle,
            "confidence": confidence,
            "probabilities": {
                "bicycle": confidence if vehicle == "bicycle" else (1 - confidence) * 0.7,
                "motorcycle": confidence if vehicle == "motorcycle" else (1 - confidence) * 0.7,
                "other": (1 - confidence) * 0.3,
            },
            "model_version": MODEL,
        }
        review = {
            "photo": photo,
            "classification": classification,
            "threshold": 0.93 if vehicle else None,
            "reason": "LowConfidence" if vehicle else "ModelUnavailable",
            "model_version": MODEL if vehicle else None,
            "timeout_s": timeout_s,
        }
        started = self.aws.stepfunctions.start_execution(
            stateMachineArn=self._state_machine, input=json.dumps({"photo": photo, "review": review})
        )
        return Requested(photo_id, key, started["executionArn"])

    def queue_length(self) -> int:
        """Return the number of messages in the review queue, leased or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.aws.sqs.get_queue_attributes(QueueUrl=self.deployed.review_queue_url, AttributeNames=names)
        return sum(int(value) for value in found["Attributes"].values())

    def wait_for_requests(self, number: int, timeout_s: float = 60) -> None:
        """Wait until the review queue has `number` messages."""
        eventually(self.queue_length, lambda found: found >= number, what=f"{number} requests", timeout_s=timeout_s)

    def decisions(self) -> dict[str, dict[str, Any]]:
        """Return all decisions by the id of their photo; `announced` is whether its event was published."""
        records = PhotoTable(self.deployed.photo_table, self.aws.dynamodb).list_by_status(ROUTED)
        return {record.photo.photo_id: {**(record.outcome or {}), "announced": record.announced} for record in records}

    def labels(self) -> dict[str, dict[str, Any]]:
        """Return all labels by their key."""
        s3, bucket = self.aws.s3, self.deployed.ml_bucket
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="labels/")
        keys = [item["Key"] for page in pages for item in page.get("Contents", []) if item["Key"].endswith(".json")]
        bodies = [json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read()) for key in keys]
        return dict(zip(keys, bodies, strict=True))

    def label(self, photo: Requested) -> dict[str, Any] | None:
        """Return a label of a photo, or None."""
        return next(iter(self.labels_of(photo)), None)

    def labels_of(self, photo: Requested) -> list[dict[str, Any]]:
        """Return all labels of a photo."""
        return [body for key, body in self.labels().items() if key.startswith(f"labels/{photo.photo_id}/")]

    def events(self, detail_type: str) -> list[dict[str, Any]]:
        """Return every event of a type so far; `at` is when SQS received it, in epoch seconds."""
        while True:
            answer = self.aws.sqs.receive_message(
                QueueUrl=self._events, MaxNumberOfMessages=10, AttributeNames=["SentTimestamp"]
            )
            if not answer.get("Messages"):
                return [event for event in self._received if event["detail-type"] == detail_type]
            for message in answer["Messages"]:
                at = int(message["Attributes"]["SentTimestamp"]) / 1000
                self._received.append({**json.loads(message["Body"]), "at": at})
                self.aws.sqs.delete_message(QueueUrl=self._events, ReceiptHandle=message["ReceiptHandle"])

    def events_about(self, detail_type: str, photo: Requested) -> list[dict[str, Any]]:
        """Return every event of a type about a photo."""
        return [e for e in self.events(detail_type) if e["detail"]["photo"]["photo_id"] == photo.photo_id]

    def purge_queues(self) -> None:
        """Delete every request, so that a test finds only its own."""
        for queue in ("review_queue_url", "audit_queue_url", "review_dead_letter_queue_url", "unrouted_queue_url"):
            self.aws.sqs.purge_queue(QueueUrl=getattr(self.deployed, queue))

    def dead_letter(self, body: str) -> None:
        """Put a message in the dead-letter queue."""
        self.aws.sqs.send_message(QueueUrl=self.deployed.review_dead_letter_queue_url, MessageBody=body)

    def create_endpoint(self) -> None:
        """Create an endpoint whose model artifact has the files of a training job, unless there is one."""
        if self.aws.sagemaker.list_endpoints(NameContains=self.deployed.endpoint_name)["Endpoints"]:
            return
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
        artifact = io.BytesIO()
        with tarfile.open(fileobj=artifact, mode="w:gz") as archive:
            for name, content in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        name = f"vehicles-{self.deployed.stage}-20261123-010203"
        key = f"models/{name}/output/model.tar.gz"
        self.aws.s3.put_object(Bucket=self.deployed.ml_bucket, Key=key, Body=artifact.getvalue())
        role = Stack(f"{self.deployed.app_name}-data").outputs()["EndpointRoleArn"]
        sagemaker = self.aws.sagemaker
        container = {"Image": self.deployed.image, "ModelDataUrl": f"s3://{self.deployed.ml_bucket}/{key}"}
        variant = {"VariantName": "AllTraffic", "ModelName": name, "InstanceType": "ml.m5.large"}
        # Both stay when a test deletes the endpoint, or when it cannot be created.
        if not sagemaker.list_models(NameContains=name)["Models"]:
            sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer=container)
        if not sagemaker.list_endpoint_configs(NameContains=name)["EndpointConfigs"]:
            sagemaker.create_endpoint_config(
                EndpointConfigName=name, ProductionVariants=[{**variant, "InitialInstanceCount": 1}]
            )
        sagemaker.create_endpoint(EndpointName=self.deployed.endpoint_name, EndpointConfigName=name)

    def _create_state_machine(self) -> str:
        """Create a copy of the deployed state machine that starts at RequestReview."""
        stepfunctions = self.aws.stepfunctions
        deployed = stepfunctions.describe_state_machine(stateMachineArn=self.deployed.classify_photo_arn)
        definition = json.loads(deployed["definition"])
        for retry in definition["States"]["ClassifyPhoto"]["Retry"]:
            if retry["ErrorEquals"] == ["ModelUnavailable"]:
                # This stage has no endpoint: do not wait half a minute for it.
                retry.update(IntervalSeconds=1, MaxAttempts=1)
        stepfunctions.update_state_machine(
            stateMachineArn=self.deployed.classify_photo_arn, definition=json.dumps(definition)
        )
        definition["StartAt"] = "RequestReview"
        # The role of the deployed state machine may be assumed for that one only.
        prefix = f"arn:aws:lambda:eu-west-1:000000000000:function:{self.deployed.app_name}"
        functions = [f"{prefix}-{name}" for name in ("request-review", "assign-bay", "reject-photo")]
        invoke = {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": functions}
        created = stepfunctions.create_state_machine(
            name="requests-reviews",
            definition=json.dumps(definition),
            roleArn=create_role("requests-reviews", "states.amazonaws.com", invoke),
        )
        return str(created["stateMachineArn"])

    def _create_event_queue(self) -> str:
        """Create a queue that receives every event of the stage."""
        send = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [{**send, "Resource": "*"}]})
        url = self.aws.sqs.create_queue(QueueName="events", Attributes={"Policy": policy})["QueueUrl"]
        arn = self.aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        rule, bus = "events", self.deployed.event_bus
        self.aws.events.put_rule(Name=rule, EventBusName=bus, EventPattern=json.dumps({"source": ["scones.vehicles"]}))
        self.aws.events.put_targets(Rule=rule, EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])
        return str(url)


def draw_photo(number: int) -> bytes:
    """Return a small JPEG that differs for each number."""
    generator = random.Random(number)  # noqa: S311  # a picture, not a secret
    image = Image.new("RGB", (320, 240), (generator.randrange(120, 255), generator.randrange(120, 255), 220))
    pen = ImageDraw.Draw(image)
    for x in (90, 230):
        pen.ellipse((x - 50, 110, x + 50, 210), outline=(20, 20, 20), width=6)
    pen.line((90, 160, 140, 90, 210, 90, 230, 160), fill=(generator.randrange(200), 30, 60), width=7)
    pen.text((10, 10), f"no. {number}", fill=(0, 0, 0))
    out = io.BytesIO()
    image.save(out, "JPEG")
    return out.getvalue()


def _png() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (200, 120), (230, 240, 235)).save(out, "PNG")
    return out.getvalue()
