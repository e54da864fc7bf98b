"""The bucket of the artefacts, which CloudFormation and Lambda read: written once, checked before reuse, cleaned up."""

import base64
import hashlib
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from deploy.errors import DeployError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_MISSING = ("404", "NoSuchKey")
KEPT = timedelta(days=90)


def upload_once(s3: "S3Client", bucket: str, key: str, content: bytes) -> bool:
    """Write an artefact, whose key names its content; return False when it is there already.

    Raises DeployError when the object of this key has another content: S3 computes the SHA-256 that is compared.
    """
    digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
    try:
        found = s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    except ClientError as error:
        if error.response["Error"]["Code"] not in _MISSING:
            raise
        # The bucket's policy demands IfNoneMatch, so no deployment writes over the artefact of another one.
        s3.put_object(Bucket=bucket, Key=key, Body=content, ChecksumAlgorithm="SHA256", IfNoneMatch="*")
        return True
    if found.get("ChecksumSHA256") != digest:
        raise DeployError(
            f"s3://{bucket}/{key} is not what was built: its SHA-256 is {found.get('ChecksumSHA256', 'not recorded')}, "
            f"expected {digest}. Nothing was deployed from it. Find out in CloudTrail who wrote it, delete all its "
            "versions, and run `make deploy` again."
        )
    return False


def remove_unused(s3: "S3Client", bucket: str, used: Collection[str], *, now: datetime | None = None) -> int:
    """Delete the artefacts that are older than KEPT and not `used`; return their number.

    A rule of S3 cannot know which ones the deployed stack uses: without them, CloudFormation could not roll back the
    next update. Versioning keeps a deleted one for some days more; a later deployment of it uploads it again.
    """
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    oldest = (now or datetime.now(UTC)) - KEPT
    unused = [
        found["Key"]
        for page in pages
        for found in page.get("Contents", ())
        if found["Key"] not in used and found["LastModified"] < oldest
    ]
    for key in unused:
        s3.delete_object(Bucket=bucket, Key=key)
    return len(unused)
