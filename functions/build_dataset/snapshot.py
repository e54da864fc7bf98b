"""Snapshots of the labels that a model is trained on. The same labels and base data give the same snapshot."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from functions.build_dataset.label_reader import LabelReader
from functions.build_dataset.labels import Label, Limits, Picture, count_changed_labels, effective_labels
from functions.build_dataset.skipped import Reason, SkippedLabels
from functions.shared.aws import call_failed, error_code
from functions.shared.errors import AwsRefused
from functions.shared.photo_reader import PhotoReader
from functions.shared.s3 import ABSENT, check_document, create_once, list_objects, parse_uri, read_json
from functions.shared.shapes import list_of, object_with, text

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PHOTOS = "datasets/photos/"
SNAPSHOTS = "datasets/snapshots/"
# The features channel when the champion has none: it holds a text file, because a channel may not be empty.
NO_FEATURES = "datasets/features/"
# The archive of SM_OUTPUT_DATA_DIR, which SageMaker writes beside model.tar.gz.
FEATURES = "output.tar.gz"
NOTE = "README.txt"
# As many as the connections that botocore keeps open (max_pool_connections).
THREADS = 10
_CONTENT_TYPES = {"jpg": "image/jpeg", "png": "image/png"}

_MANIFEST = object_with({"photos": list_of(object_with({"photo_id": text, "label": text}))})


@dataclass(frozen=True)
class Snapshot:
    """A manifest in S3. `uri` is its prefix, which ends in the SHA-256 of the manifest; `entries` are its photos.

    `skipped` are the labels that are not in it.
    """

    uri: str
    entries: list[dict[str, Any]]
    skipped: SkippedLabels = field(compare=False)


class SnapshotStore:
    """Snapshots in the ML bucket, and copies of the pictures of labelled photos."""

    def __init__(self, bucket: str, s3: "S3Client", photos: PhotoReader, limits: Limits) -> None:
        """`bucket` is the ML bucket, which has the labels; `photos` has the records of their photos."""
        self.bucket = bucket
        self._s3 = s3
        self._labels = LabelReader(bucket, s3, photos)
        self._limits = limits

    @property
    def labelled_photos(self) -> str:
        """The S3 prefix of the copies of the pictures of labelled photos."""
        return f"s3://{self.bucket}/{PHOTOS}"

    def create(self, base: str, classes: tuple[str, ...]) -> Snapshot:
        """Copy the pictures of new effective labels, and write the manifest of all effective labels."""
        skipped = SkippedLabels()
        copied = {found["Key"]: found["ETag"] for found in list_objects(self._s3, self.bucket, PHOTOS)}
        with ThreadPoolExecutor(THREADS) as pool:
            labels = self._labels.read(pool, self._limits.per_reviewer, skipped)
            effective = effective_labels(labels, classes, self._limits.per_driver, skipped)
            entries = [label.as_entry() for label in self._copy_pictures(effective, copied, pool, skipped)]
        if f"{PHOTOS}{NOTE}" not in copied:
            # A training job fails when one of its channels is empty.
            self._put(f"{PHOTOS}{NOTE}", b"Copies of labelled photos. The snapshots list those that are used.\n")
        manifest = {"base": base, "classes": list(classes), "photos": entries}
        content = json.dumps(manifest, ensure_ascii=False, sort_keys=True, indent=1).encode()
        prefix = f"{SNAPSHOTS}{hashlib.sha256(content).hexdigest()}/"
        # Not again, so that its LastModified tells when these labels were first trained on.
        create_once(self._s3, self.bucket, f"{prefix}manifest.json", content, "application/json")
        return Snapshot(f"s3://{self.bucket}/{prefix}", entries, skipped)

    def find_features(self, artifact: str | None) -> str:
        """Return the S3 prefix of the features that a model's training job saved; of a text file when there are none.

        `artifact` is the address of the model's model.tar.gz, None when there is no model. Features outside the ML
        bucket are ignored, because the training job may not read them.
        """
        bucket, key = parse_uri(f"{artifact.rpartition('/')[0]}/{FEATURES}") if artifact else ("", "")
        if bucket == self.bucket and self._exists(key):
            return f"s3://{bucket}/{key}"
        if not self._exists(f"{NO_FEATURES}{NOTE}"):
            self._put(f"{NO_FEATURES}{NOTE}", b"The champion's training job saved no features.\n")
        return f"s3://{self.bucket}/{NO_FEATURES}"

    def count_new_labels(self, snapshot: Snapshot, *earlier: str | None) -> int:
        """Return how many labels of a snapshot are in none of the earlier ones; None among these is ignored."""
        known: set[tuple[str, str]] = set()
        for manifest in (f"{uri}manifest.json" for uri in earlier if uri):
            found = read_json(self._s3, manifest)
            if found is not None:
                check_document(_MANIFEST, found, manifest)
                known |= {(entry["photo_id"], entry["label"]) for entry in found["photos"]}
        return count_changed_labels(snapshot.entries, known)

    def _copy_pictures(
        self, labels: list[Label], copied: Mapping[str, str], pool: Executor, skipped: SkippedLabels
    ) -> Iterator[Label]:
        """Yield the labels whose picture is among the copies; `copied` are the ETags of these by key.

        A copy is replaced when it is not that of the picture of the effective label any more.
        """

        def copy(label: Label) -> bool:
            key = f"{PHOTOS}{label.file}"
            return copied.get(key) == label.used_picture.etag or self._copy(label.used_picture, key)

        for label, exists in zip(labels, pool.map(copy, labels), strict=True):
            if exists:
                yield label
            else:
                skipped.add(Reason.NO_PICTURE, label.photo.photo_id)

    def _copy(self, picture: Picture, key: str) -> bool:
        """Copy a picture without the metadata and tags that its writer chose; return False when S3 refuses it."""
        try:
            self._s3.copy_object(
                Bucket=self.bucket,
                Key=key,
                CopySource={"Bucket": self.bucket, "Key": picture.key},
                CopySourceIfMatch=picture.etag,
                MetadataDirective="REPLACE",
                TaggingDirective="REPLACE",
                ContentType=_CONTENT_TYPES[picture.suffix],
            )
        except ClientError as error:
            # Deleted or replaced meanwhile, archived, or encrypted with a key of its writer.
            if isinstance(call_failed(error), AwsRefused):
                return False
            raise
        return True

    def _exists(self, key: str) -> bool:
        try:
            self._s3.head_object(Bucket=self.bucket, Key=key)
        except ClientError as error:
            if error_code(error) in ABSENT:
                return False
            raise
        return True

    def _put(self, key: str, content: bytes) -> None:
        self._s3.put_object(Bucket=self.bucket, Key=key, Body=content)
