"""The children of a Distributed Map that failed, from the files that its ResultWriter has written."""

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from functions.shared.causes import error_message
from functions.shared.errors import InvalidDocument
from functions.shared.s3 import check_document, read_json
from functions.shared.shapes import any_text, list_of, object_with
from functions.shared.texts import printable, shortened

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CAUSE_CHARACTERS = 300

_MANIFEST = object_with({"ResultFiles": object_with({"FAILED": list_of(object_with({"Key": any_text}))})})
_CHILDREN = list_of(object_with({"Input": any_text}, {"Error": any_text, "Cause": any_text}))


def find_failures(s3: "S3Client", bucket: str, manifest_key: str) -> list[dict[str, Any]]:
    """Return the errors of children that failed: `error`, an example of its `cause`, and the number of `photos`.

    Raises InvalidDocument, and ClientError or BotoCoreError.
    """
    causes: dict[str, str] = {}
    photos: dict[str, int] = defaultdict(int)
    for child in _read_children(s3, bucket, manifest_key):
        error = str(child.get("Error") or "unknown")
        causes.setdefault(error, shortened(printable(error_message(child.get("Cause") or "")), _CAUSE_CHARACTERS))
        photos[error] += _count_items(child["Input"])
    return [{"error": name, "cause": causes[name], "photos": count} for name, count in sorted(photos.items())]


def _read_children(s3: "S3Client", bucket: str, manifest_key: str) -> Iterator[dict[str, Any]]:
    uri = f"s3://{bucket}/{manifest_key}"
    manifest = read_json(s3, uri)
    check_document(_MANIFEST, manifest, uri)
    for file in manifest["ResultFiles"]["FAILED"]:
        uri = f"s3://{bucket}/{file['Key']}"
        children = read_json(s3, uri)
        check_document(_CHILDREN, children, uri)
        yield from children


def _count_items(text: str) -> int:
    try:
        items = json.loads(text)["Items"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InvalidDocument("the input of a child has no Items; start the batch again") from error
    return len(items) if isinstance(items, list) else 0
