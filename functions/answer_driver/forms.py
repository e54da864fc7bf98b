"""Upload forms: presigned POST requests to S3 for one photo each."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from functions.shared.times import timestamp
from functions.shared.uploads import LARGEST_PHOTO_BYTES

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

VALID_FOR = timedelta(minutes=5)


def signing_client() -> "S3Client":
    """Return a client that signs forms: with Signature Version 4, for the host of the bucket's region.

    For the global host, which is boto3's default, S3 redirects the first uploads to a new bucket, and an app would have
    to send the photo twice.
    """
    return boto3.client("s3", config=Config(signature_version="s3v4", s3={"addressing_style": "virtual"}))


def upload_key(driver_id: str, upload_id: str) -> str:
    """Return the key of the photo of an upload."""
    return f"uploads/{driver_id}/{upload_id}"


@dataclass(frozen=True)
class Form:
    """A form: where to send it, its fields, its upload id (32 hexadecimal digits), and when it expires (ISO 8601)."""

    upload_id: str
    url: str
    fields: Mapping[str, str]
    expires_at: str


def create_form(s3: "S3Client", bucket: str, driver_id: str, at: datetime) -> Form:
    """Return a form that uploads one photo of a driver, of at most LARGEST_PHOTO_BYTES, within VALID_FOR from `at`.

    The upload id is random, so that no form replaces the photo of another one. The form is computed here: S3 is not
    called, and checks signature, key, size and expiry when the form is sent ("POST policy", Amazon S3 API Reference).
    """
    upload_id = secrets.token_hex(16)
    signed = s3.generate_presigned_post(
        bucket,
        upload_key(driver_id, upload_id),
        Conditions=[["content-length-range", 1, LARGEST_PHOTO_BYTES]],
        ExpiresIn=int(VALID_FOR.total_seconds()),
    )
    return Form(upload_id, signed["url"], signed["fields"], timestamp(at + VALID_FOR))
