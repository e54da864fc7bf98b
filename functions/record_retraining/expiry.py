"""Let the files of a rejected model expire."""

from typing import TYPE_CHECKING

from functions.shared.s3 import list_objects, parse_uri

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

OUTCOME, REJECTED = "outcome", "rejected"
"""The tag of the objects to which the lifecycle rule expire-rejected-models applies."""


def let_expire(s3: "S3Client", artifact: str) -> int:
    """Tag the model at the address `artifact` and the files beside it, such as its features; return their number."""
    bucket, key = parse_uri(artifact)
    found = [item["Key"] for item in list_objects(s3, bucket, f"{key.rpartition('/')[0]}/")]
    for one in found:
        s3.put_object_tagging(Bucket=bucket, Key=one, Tagging={"TagSet": [{"Key": OUTCOME, "Value": REJECTED}]})
    return len(found)
