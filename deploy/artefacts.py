"""The bucket of the artefacts, which CloudFormation and Lambda read: written once, and checked before reuse."""

import base64
import hashlib
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from deploy.errors import DeployError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_MISSING = ("404", "NoSuchKey")


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
