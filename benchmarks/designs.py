"""The designs that are compared: each starts an execution for a photo that is uploaded under its prefix."""

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

import boto3

from benchmarks.stack import Baseline
from deploy.outputs import Deployed
from operate.uploads import Source

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Far below the limit of uploads per driver and minute.
PHOTOS_PER_DRIVER = 5

OURS, CHAIN, EMPTY = "ours", "chain", "empty"


@dataclass(frozen=True)
class Design:
    """A state machine, and the bucket and the prefix of the photos that start it."""

    name: str
    state_machine: str
    bucket: str
    prefix: str


def designs(deployed: Deployed, baseline: Baseline, run: str) -> list[Design]:
    """Return the three designs; `run` begins the names of the drivers whose photos start ours."""
    return [
        Design(EMPTY, baseline.empty_arn, baseline.bucket, "empty/"),
        Design(CHAIN, baseline.chain_arn, baseline.bucket, "chain/"),
        Design(OURS, deployed.classify_photo_arn, deployed.uploads_bucket, f"uploads/{run}-"),
    ]


class Uploader:
    """Uploads photos under keys that are used once."""

    def __init__(self) -> None:
        """Create the S3 client."""
        self._s3: S3Client = boto3.client("s3")
        self._numbers = count()

    def put(self, design: Design, photo: Source) -> str:
        """Upload a photo to a design; returns its key."""
        key = self.next_key(design, photo)
        self.put_key(design, key, photo)
        return key

    def next_key(self, design: Design, photo: Source) -> str:
        """Return a new key for a photo."""
        number = next(self._numbers)
        return f"{design.prefix}{number // PHOTOS_PER_DRIVER:04}/{number:05}-{photo.name}"

    def put_key(self, design: Design, key: str, photo: Source) -> None:
        """Upload a photo under this key."""
        self._s3.put_object(Bucket=design.bucket, Key=key, Body=photo.content, ContentType=photo.media_type)
