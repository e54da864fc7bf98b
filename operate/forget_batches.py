"""What batches keep about photos: items of the table of results, lines of results, and inputs of failed children."""

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

import boto3

from deploy.cleanup import delete_versions, list_versions
from deploy.outputs import Deployed
from functions.shared.batch import FOLDER
from functions.shared.batch_results import BY_DRIVER, BY_PHOTO, BatchResults
from functions.shared.photo import Photo

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

THREADS = 16
RESULTS = "/results.jsonl"


class BatchStore:
    """The stores of batches. `is_ours` tells a photo to forget; `driver_id` is empty for a single photo.

    `found` says whether a batch kept anything: then the histories of its executions do, too.
    """

    def __init__(self, deployed: Deployed, is_ours: Callable[[Photo], bool], driver_id: str) -> None:
        """Create the clients."""
        self.found = False
        self._bucket = deployed.ml_bucket
        self._uploads = deployed.uploads_bucket
        self._is_ours, self._driver_id = is_ours, driver_id
        self._s3: S3Client = boto3.client("s3")
        self._results = BatchResults(deployed.batch_result_table, boto3.client("dynamodb"))

    def items(self, photos: Mapping[str, Any], *, delete: bool) -> int:
        """Results in the table."""
        with ThreadPoolExecutor(THREADS) as pool:
            found = {
                key for keys in pool.map(lambda one: list(self._results.find(BY_PHOTO, one)), photos) for key in keys
            }
        if self._driver_id:
            found |= set(self._results.find(BY_DRIVER, self._driver_id))
        self.found |= bool(found)
        for batch_id, photo_id in found if delete else ():
            self._results.delete(batch_id, photo_id)
        return len(found)

    def files(self, photos: Mapping[str, Any], *, delete: bool) -> int:
        """Versions of files that name one of the photos. The other lines of results are written again."""
        keys = {found.photo.key for found in photos.values() if found.photo}

        def is_ours(bucket: Any, key: Any, photo_id: Any = None) -> bool:
            if not isinstance(key, str) or not key:
                return False
            return photo_id in photos or key in keys or self._is_ours(Photo(str(bucket), key))

        versions = [
            version
            for version in list_versions(self._s3, self._bucket, f"{FOLDER}/")
            # A delete marker has no content, and no etag.
            if version["ETag"] and any(is_ours(*named) for named in self._named(version["Key"], version["VersionId"]))
        ]
        if delete:
            for key in {version["Key"] for version in versions if version["Key"].endswith(RESULTS)}:
                self._write_without(key, is_ours)
            delete_versions(self._s3, self._bucket, versions)
        return len(versions)

    def _named(self, key: str, version: str) -> Iterator[tuple[Any, ...]]:
        """Yield bucket and key of each photo that a version of a file names, and its id if that is in the file."""
        name = key.rpartition("/")[2]
        if not (key.endswith(RESULTS) or name.startswith(("FAILED_", "PENDING_"))):
            return
        content = self._s3.get_object(Bucket=self._bucket, Key=key, VersionId=version)["Body"].read()
        if key.endswith(RESULTS):
            yield from map(_named_in_line, content.splitlines())
            return
        for child in json.loads(content):
            for item in json.loads(child["Input"])["Items"]:
                fields = {str(field).lower(): value for field, value in item.items()} if isinstance(item, dict) else {}
                bucket, photo_key = fields.get("bucket") or self._uploads, fields.get("key")
                yield bucket, photo_key
                if isinstance(photo_key, str):  # of an inventory
                    yield bucket, unquote_plus(photo_key)

    def _write_without(self, key: str, is_ours: Callable[..., bool]) -> None:
        content = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        kept = [line for line in content.splitlines(keepends=True) if not is_ours(*_named_in_line(line))]
        if len(kept) < len(content.splitlines()):
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=b"".join(kept), ContentType="application/x-ndjson")


def _named_in_line(line: bytes) -> tuple[Any, Any, Any]:
    photo = json.loads(line).get("photo") or {}
    return photo.get("bucket"), photo.get("key"), photo.get("photo_id")
