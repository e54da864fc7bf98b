"""The stores that keep something about a photo, in the order in which it is deleted: the record is the last one.

A deletion that is interrupted is found again through the records, so nothing else may outlive them.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

import boto3
from botocore.exceptions import ClientError

from console.failed_messages import parse_review_letter, parse_unrouted
from console.held_messages import HeldMessages
from deploy.cleanup import ObjectVersion, delete_versions, list_versions
from deploy.outputs import Deployed
from functions.shared.aws import error_code
from functions.shared.dynamodb import serialize
from functions.shared.errors import InvalidInput
from functions.shared.photo import Photo
from functions.shared.photo_reader import PhotoReader
from functions.shared.photo_record import IN_REVIEW, PhotoRecord
from functions.shared.running import PHOTO_FORGOTTEN
from functions.shared.s3 import list_objects, read_json
from operate.forget_batches import BatchStore

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient

THREADS = 16
# MessageRetentionPeriod of the queues.
MESSAGES_KEPT = timedelta(days=14)


@dataclass(frozen=True)
class Found:
    """A photo to forget: its id, and its object and its record where they exist."""

    photo_id: str
    photo: Photo | None = None
    record: PhotoRecord | None = None

    def had_review_since(self, time: datetime) -> bool:
        """Whether a review of the photo may have been requested since a time: unknown without a record."""
        if self.record is None:
            return True
        return any(datetime.fromisoformat(one["requested_at"]) > time for one in self.record.review_requests)


Photos = Mapping[str, Found]
"""The photos to forget, by photo id."""


@dataclass
class Stores:
    """The stores of a stage. `is_ours` tells a photo to forget by its key, also before it has an etag or a record.

    `prefix` is the folder of a driver's uploads, empty for one photo; `reports` the folder of reports on this machine.
    `stopped` are the executions that were stopped, `models` those that may have learned from one of the photos.

    Every method looks for what a store keeps about photos and returns how much that is; with `delete` it is gone then.
    """

    deployed: Deployed
    is_ours: Callable[[Photo], bool]
    prefix: str
    reports: Path
    stopped: set[str] = field(default_factory=set)
    models: set[str] = field(default_factory=set)
    _described: dict[str, bool] = field(default_factory=dict)
    _manifests: dict[str, str] = field(default_factory=dict)
    _searched: set[str] | None = None
    _hidden: int = 0

    def __post_init__(self) -> None:
        """Create the clients."""
        self.s3: S3Client = boto3.client("s3")
        self.sqs: SQSClient = boto3.client("sqs")
        self.states: SFNClient = boto3.client("stepfunctions")
        self.dynamodb: DynamoDBClient = boto3.client("dynamodb")
        self.reader = PhotoReader(self.deployed.photo_table, self.dynamodb)
        driver_id = Photo("", f"{self.prefix}1").driver_id if self.prefix else ""
        self.batches = BatchStore(self.deployed, self.is_ours, driver_id)

    def running_executions(self, photos: Photos, *, delete: bool) -> int:
        """Executions of classify-photo that run: they would write again, so they are stopped first."""
        arns = [arn for arn in list_running(self.states, self.deployed.classify_photo_arn) if self._works_on(arn)]
        if delete:
            for arn in arns:
                self.states.stop_execution(
                    executionArn=arn, error=PHOTO_FORGOTTEN, cause="Its photo is deleted by make forget."
                )
            self.stopped.update(arns)
        return len(arns)

    def _works_on(self, execution: str) -> bool:
        if execution not in self._described:
            ours = False
            with suppress(InvalidInput, ValueError, AttributeError):  # started by hand, with another input
                described = self.states.describe_execution(executionArn=execution)
                ours = self.is_ours(Photo.from_state(json.loads(described["input"]).get("photo")))
            self._described[execution] = ours
        return self._described[execution]

    def review_requests(self, photos: Photos, *, delete: bool) -> int:
        """Messages of the review queue and of the audit queue.

        SQS counts how often a message is received, and the fifth time leads to the dead-letter queue. So the queue is
        read once, also without a photo, because a console may have held a message when the records were deleted; again
        only for further photos that may have a message; and a dry run does not read it at all.
        """
        since = datetime.now(UTC) - MESSAGES_KEPT
        may_have_one = {photo_id for photo_id, found in photos.items() if found.had_review_since(since)}
        if not delete:
            records = [found.record for found in photos.values() if found.record]
            return sum(
                (record.status == IN_REVIEW)
                + bool(record.label_sent and not record.label_answer)
                + bool(record.second_sent and not record.second_answer)
                for record in records
            )
        if self._searched is not None and may_have_one <= self._searched:
            return 0
        self._searched = may_have_one | (self._searched or set())
        self.count_hidden()
        return sum(self._messages(url, parse_review_letter, photos, delete=True) for url in self._review_queues)

    @property
    def _review_queues(self) -> tuple[str, str]:
        return self.deployed.review_queue_url, self.deployed.audit_queue_url

    def count_hidden(self) -> int:
        """Return how many messages of the two queues other consumers hold, or held when the queues were read."""
        name: Literal["ApproximateNumberOfMessagesNotVisible"] = "ApproximateNumberOfMessagesNotVisible"
        answers = [self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name]) for url in self._review_queues]
        self._hidden = max(self._hidden, sum(int(answer["Attributes"][name]) for answer in answers))
        return self._hidden

    def failed_requests(self, photos: Photos, *, delete: bool) -> int:
        """Messages of the review dead-letter queue and of the unrouted queue."""
        return self._messages(
            self.deployed.review_dead_letter_queue_url, parse_review_letter, photos, delete=delete
        ) + self._messages(self.deployed.unrouted_queue_url, parse_unrouted, photos, delete=delete)

    def _messages(self, url: str, parse: Callable[..., Any], photos: Photos, *, delete: bool) -> int:
        count = 0
        with HeldMessages(self.sqs, url) as messages:
            for message in messages:
                photo = parse(message, self.deployed).photo
                known = photo is not None and photo.etag is not None and photo.photo_id in photos
                if photo is not None and (known or self.is_ours(photo)):
                    count += 1
                    if delete:
                        messages.delete(message)
        return count

    def labels(self, photos: Photos, *, delete: bool) -> int:
        """Labels, and the pictures that their reviewers saw."""
        return self._under(self.deployed.ml_bucket, (f"labels/{photo_id}/" for photo_id in photos), delete=delete)

    def reviews(self, photos: Photos, *, delete: bool) -> int:
        """The delivery state of answers, at the day of each review request."""
        prefixes = {
            f"reviews/{request['requested_at'][:10].replace('-', '/')}/{photo_id}"
            for photo_id, found in photos.items()
            for request in (found.record.review_requests if found.record else ())
        }
        return self._under(self.deployed.ml_bucket, prefixes, delete=delete)

    def training_copies(self, photos: Photos, *, delete: bool) -> int:
        """The copies of labelled photos that models are trained on."""
        prefixes = (f"datasets/photos/{photo_id}." for photo_id in photos)
        return self._under(self.deployed.ml_bucket, prefixes, delete=delete)

    def feature_caches(self, photos: Photos, *, delete: bool) -> int:
        """The features of trainings since the first snapshot with one of the photos; a training computes them again.

        The models of these trainings stay: `models` are their names.
        """
        reviewed = {photo_id for photo_id, found in photos.items() if not found.record or found.record.review_requests}
        bucket = self.deployed.ml_bucket
        times = [
            listed["LastModified"]
            for listed in list_objects(self.s3, bucket, "datasets/snapshots/")
            if reviewed and any(photo_id in self._manifest(listed["Key"]) for photo_id in reviewed)
        ]
        if not times:
            return 0
        trained = [one for one in list_objects(self.s3, bucket, "models/") if one["LastModified"] >= min(times)]
        self.models |= {one["Key"].split("/")[1] for one in trained if one["Key"].endswith("/model.tar.gz")}
        caches = [one["Key"] for one in trained if one["Key"].endswith("/output/output.tar.gz")]
        return self._under(bucket, caches, delete=delete)

    def uploads(self, photos: Photos, *, delete: bool) -> int:
        """The photos themselves, in every version, with their EXIF data."""
        bucket = self.deployed.uploads_bucket
        versions = [
            version
            for key in {found.photo.key for found in photos.values() if found.photo}
            for version in list_versions(self.s3, bucket, key)
            if version["Key"] == key and self._is_one_of(photos, version)
        ]
        if delete:
            delete_versions(self.s3, bucket, versions)
        return len(versions)

    def unfinished_uploads(self, photos: Photos, *, delete: bool) -> int:
        """Multipart uploads that were not completed: S3 keeps their parts, and lists them among no objects."""
        bucket = self.deployed.uploads_bucket
        keys = {found.photo.key for found in photos.values() if found.photo}
        pages = self.s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=self.prefix)
        uploads = [
            upload
            for page in pages
            for upload in page.get("Uploads", ())
            if upload["Key"] in keys or self.is_ours(Photo(bucket, upload["Key"]))
        ]
        for upload in uploads if delete else ():
            with suppress(self.s3.exceptions.NoSuchUpload):  # completed or aborted meanwhile
                self.s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
        return len(uploads)

    def _is_one_of(self, photos: Photos, version: ObjectVersion) -> bool:
        photo = Photo(self.deployed.uploads_bucket, version["Key"], version["ETag"])
        return photo.photo_id in photos or self.is_ours(photo)

    def local_reports(self, photos: Photos, *, delete: bool) -> int:
        """Reports of other commands on this machine that name a photo, its key or its driver."""
        keys = {self.prefix, *(found.photo.key for found in photos.values() if found.photo)} - {""}
        names = {*photos, *keys, *map(quote, keys), *(json.dumps(key)[1:-1] for key in keys)}
        files = [
            file
            for file in sorted(self.reports.rglob("*"))
            if file.is_file() and file.name != "forget.json" and _contains(file, names)
        ]
        for file in files if delete else ():
            file.unlink()
        return len(files)

    def upload_counts(self, photos: Photos, *, delete: bool) -> int:
        """The counts of the driver's uploads per minute. Those of one photo's driver are kept until they expire."""
        if not self.prefix:
            return 0
        table, driver_id = self.deployed.upload_count_table, Photo("", f"{self.prefix}1").driver_id
        pages = self.dynamodb.get_paginator("query").paginate(
            TableName=table,
            KeyConditionExpression="driver_id = :driver",
            ExpressionAttributeValues=serialize({":driver": driver_id}),
            ProjectionExpression="driver_id, #minute",
            ExpressionAttributeNames={"#minute": "minute"},
            ConsistentRead=True,
        )
        keys = [item for page in pages for item in page["Items"]]
        for key in keys if delete else ():
            self.dynamodb.delete_item(TableName=table, Key=key)
        return len(keys)

    def records(self, photos: Photos, *, delete: bool) -> int:
        """The records of the photos."""
        existing = sorted(self.reader.find_statuses(photos))
        for photo_id in existing if delete else ():
            self.dynamodb.delete_item(TableName=self.deployed.photo_table, Key=serialize({"photo_id": photo_id}))
        return len(existing)

    def _under(self, bucket: str, prefixes: Iterable[str], *, delete: bool) -> int:
        with ThreadPoolExecutor(THREADS) as pool:
            versions = [
                one
                for found in pool.map(lambda prefix: list_versions(self.s3, bucket, prefix), prefixes)
                for one in found
            ]
        if delete:
            delete_versions(self.s3, bucket, versions)
        return len(versions)

    def _manifest(self, key: str) -> str:
        """Return the text of a manifest, which is named by its content and does not change."""
        if key not in self._manifests:
            self._manifests[key] = json.dumps(read_json(self.s3, f"s3://{self.deployed.ml_bucket}/{key}"))
        return self._manifests[key]


def list_running(states: "SFNClient", machine: str) -> list[str]:
    """Return the ARNs of the running executions of a state machine."""
    pages = states.get_paginator("list_executions").paginate(stateMachineArn=machine, statusFilter="RUNNING")
    return [found["executionArn"] for page in pages for found in page["executions"]]


def find_ended(states: "SFNClient", executions: Iterable[str]) -> dict[str, datetime | None]:
    """Return when each of these executions ended, None for one that runs; those that do not exist are left out."""
    ended: dict[str, datetime | None] = {}
    for execution in executions:
        try:
            ended[execution] = states.describe_execution(executionArn=execution).get("stopDate")
        except ClientError as error:
            if error_code(error) not in ("ExecutionDoesNotExist", "InvalidArn"):
                raise
    return ended


def _contains(file: Path, names: Iterable[str]) -> bool:
    content = file.read_bytes()
    return any(name.encode() in content for name in names)
