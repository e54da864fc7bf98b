"""Photos with markers, planted in every store of a stage, and a search for the markers."""

import io
import json
import tarfile
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3
from PIL import Image

from deploy.outputs import Deployed
from functions.shared.audit import AUDITED
from functions.shared.batch_results import BatchResults
from functions.shared.label_requests import LABEL, LabelRequests, new_request
from functions.shared.photo import UNKNOWN_DRIVER, Photo
from functions.shared.photo_table import PhotoTable
from functions.shared.times import timestamp

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

GPS_MARKER = "GPS-52.517312N-13.403918E"
_GPS_IFD, _GPS_PROCESSING_METHOD, _GPS_LATITUDE, _MAKE = 0x8825, 27, 2, 0x010F


def photo_with_gps(size: int = 96, shade: int = 90) -> bytes:
    """A JPEG with GPS coordinates in its EXIF data, with GPS_MARKER among them."""
    image = Image.effect_noise((size, size), 40).convert("RGB").point(lambda value: (value + shade) % 256)
    exif = Image.Exif()
    exif[_MAKE] = "camera of the driver"
    exif.get_ifd(_GPS_IFD).update({_GPS_LATITUDE: (52.0, 31.0, 2.325), _GPS_PROCESSING_METHOD: GPS_MARKER})
    file = io.BytesIO()
    image.save(file, "JPEG", exif=exif)
    assert GPS_MARKER.encode() in file.getvalue()
    return file.getvalue()


def archive_with(name: str, content: bytes) -> bytes:
    """A .tar.gz with one file."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return file.getvalue()


@dataclass(frozen=True)
class Planter:
    """Writes what the system keeps about a reviewed photo, as its parts do."""

    deployed: Deployed

    def __post_init__(self) -> None:
        """Create the clients."""
        object.__setattr__(self, "s3", boto3.client("s3"))
        object.__setattr__(self, "sqs", boto3.client("sqs"))

    if TYPE_CHECKING:
        s3: S3Client
        sqs: SQSClient

    def upload(self, key: str, content: bytes) -> Photo:
        """Put a photo into the uploads bucket."""
        etag = self.s3.put_object(Bucket=self.deployed.uploads_bucket, Key=key, Body=content)["ETag"]
        return Photo(self.deployed.uploads_bucket, key, etag.strip('"'), len(content))

    def review_request(self, photo: Photo, execution: str = "arn:aws:states:eu-west-1:1:execution:classify:1") -> None:
        """Record a review request, so that the photo has a record and `review_requests`."""
        table = PhotoTable(self.deployed.photo_table, boto3.client("dynamodb"))
        now = datetime.now(UTC)
        review = {"reason": "LowConfidence", "requested_at": timestamp(now), "expires_at": timestamp(now)}
        table.claim_review(photo, execution, now, review={**review, "token_hash": "0" * 64})

    def audit(self, photo: Photo) -> None:
        """Record that a request for a label was sent, which nobody has answered."""
        requests = LabelRequests(self.deployed.photo_table, boto3.client("dynamodb"))
        now, record = datetime.now(UTC), requests.get(photo.photo_id)
        if record is None:
            raise AssertionError("record the review request first")
        request = new_request(record.photo, AUDITED, now)
        requests.add(record, LABEL, request, now)
        requests.mark_sent(photo.photo_id, LABEL, request["token_hash"])

    def label(self, photo: Photo, reviewer: str) -> None:
        """Write a label, its picture, and the delivery state of the answer."""
        folder = f"labels/{photo.photo_id}/{reviewer}"
        self.put(f"{folder}/1.jpg", b"a picture without metadata")
        self.put(f"{folder}/1.json", json.dumps({"photo": photo.as_state(), "driver_id": photo.driver_id}).encode())
        day = f"{datetime.now(UTC):%Y/%m/%d}"
        self.put(f"reviews/{day}/{photo.photo_id}-{'0' * 16}.answer.json", b"{}")

    def training(self, *photos: Photo, model: str) -> None:
        """Write copies, a snapshot, and the artefacts of a model that was trained on them."""
        for photo in photos:
            self.put(f"datasets/photos/{photo.photo_id}.jpg", b"a picture without metadata")
        entries = [{"photo_id": photo.photo_id, "label": "bicycle"} for photo in photos]
        self.put(f"datasets/snapshots/{model}/manifest.json", json.dumps({"photos": entries}).encode())
        self.put(f"models/{model}/output/model.tar.gz", archive_with("model.json", b"{}"))
        self.put(f"models/{model}/output/output.tar.gz", archive_with("features.npz", b"features"))

    def batch(self, photo: Photo) -> None:
        """Write what a batch keeps about a photo: its result, its line, and the input of a child that failed."""
        table = BatchResults(self.deployed.batch_result_table, boto3.client("dynamodb"))
        driver = None if photo.driver_id == UNKNOWN_DRIVER else photo.driver_id
        table.add("yard", photo.photo_id, driver, {"photo": photo.as_state()}, datetime.now(UTC))
        folder = f"batches/{photo.photo_id[:8]}"
        stranger = Photo(photo.bucket, "batches/yard/1.jpg", "0")
        lines = [json.dumps({"photo": one.as_state()}) + "\n" for one in (stranger, photo)]
        self.put(f"{folder}/results.jsonl", "".join([*lines, '{"photo": null}\n']).encode())
        child = {"Input": json.dumps({"Items": [{"Key": photo.key}, "odd", {"key": 3}]})}
        self.put(f"{folder}/map-runs/1/FAILED_0.json", json.dumps([child]).encode())

    def messages(self, photo: Photo) -> None:
        """Send a message about a photo to each queue, in the format of its sender."""
        state = {"photo": photo.as_state(), "driver_id": photo.driver_id, "task_token": "none"}
        unrouted = {"photo": photo.as_state(), "error": {"Error": "x", "Cause": "y"}, "execution": "z"}
        audit = {
            "photo": photo.as_state(),
            "reason": "Audit",
            "token_hash": "0" * 64,
            "requested_at": "2026-11-27T10:00:00Z",
        }
        for url, body in (
            (self.deployed.review_queue_url, state),
            (self.deployed.audit_queue_url, audit),
            (self.deployed.review_dead_letter_queue_url, state),
            (self.deployed.unrouted_queue_url, unrouted),
        ):
            self.sqs.send_message(QueueUrl=url, MessageBody=json.dumps(body, ensure_ascii=False))

    def put(self, key: str, content: bytes) -> None:
        """Put an object into the ML bucket; one that is written once as its writer does."""
        is_once = key.startswith(("labels/", "reviews/", "datasets/snapshots/"))
        once: dict[str, Any] = {"IfNoneMatch": "*"} if is_once else {}
        self.s3.put_object(Bucket=self.deployed.ml_bucket, Key=key, Body=content, **once)
