"""Snapshots of the labels that a model is trained on. The same labels and base data give the same snapshot."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from functions.build_dataset.labels import Label, count_changed_labels, effective_labels
from functions.shared.aws import error_code
from functions.shared.errors import InvalidDocument
from functions.shared.photo_record import REJECTED
from functions.shared.photo_table import PhotoTable
from functions.shared.s3 import ABSENT, check_document, list_keys, parse_uri, read_json
from functions.shared.shapes import list_of, object_with, text

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LABELS = "labels/"
PHOTOS = "datasets/photos/"
SNAPSHOTS = "datasets/snapshots/"
# The features channel when the champion has none: it holds a text file, because a channel may not be empty.
NO_FEATURES = "datasets/features/"
# The archive of SM_OUTPUT_DATA_DIR, which SageMaker writes beside model.tar.gz.
FEATURES = "output.tar.gz"
NOTE = "README.txt"
THREADS = 16

_MANIFEST = object_with({"photos": list_of(object_with({"photo_id": text, "label": text}))})


@dataclass(frozen=True)
class Snapshot:
    """A manifest in S3. `uri` is its prefix, which ends in the SHA-256 of the manifest; `entries` are its photos."""

    uri: str
    entries: list[dict[str, Any]]


class SnapshotStore:
    """Labels, copies of labelled photos, and snapshots in the ML bucket. All but the labels are immutable."""

    def __init__(self, bucket: str, s3: "S3Client", photos: PhotoTable) -> None:
        """`bucket` is the ML bucket; labels of photos that were rejected are left out."""
        self.bucket = bucket
        self._s3 = s3
        self._photos = photos

    @property
    def labelled_photos(self) -> str:
        """The S3 prefix of the copies of labelled photos."""
        return f"s3://{self.bucket}/{PHOTOS}"

    def create(self, base: str, classes: tuple[str, ...]) -> Snapshot:
        """Copy the photos labelled since the last snapshot, and write the manifest of all effective labels."""
        with ThreadPoolExecutor(THREADS) as pool:
            objects = pool.map(self._read, list_keys(self._s3, self.bucket, LABELS))
            labels = [label for label in map(Label.from_object, objects) if label]
            statuses = self._photos.find_statuses(label.photo.photo_id for label in labels)
            rejected = {photo_id for photo_id, status in statuses.items() if status == REJECTED}
            effective = effective_labels(labels, classes, rejected)
            copied = set(list_keys(self._s3, self.bucket, PHOTOS))
            copies = pool.map(lambda label: f"{PHOTOS}{label.file}" in copied or self._copy(label), effective)
            entries = [label.as_entry() for label, exists in zip(effective, copies, strict=True) if exists]
        if f"{PHOTOS}{NOTE}" not in copied:
            # A training job fails when one of its channels is empty.
            self._put(f"{PHOTOS}{NOTE}", b"Copies of labelled photos. The snapshots list those that are used.\n")
        manifest = {"base": base, "classes": list(classes), "photos": entries}
        content = json.dumps(manifest, ensure_ascii=False, sort_keys=True, indent=1).encode()
        prefix = f"{SNAPSHOTS}{hashlib.sha256(content).hexdigest()}/"
        self._put(f"{prefix}manifest.json", content)
        return Snapshot(f"s3://{self.bucket}/{prefix}", entries)

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
        known: list[dict[str, Any]] = []
        for manifest in (f"{uri}manifest.json" for uri in earlier if uri):
            found = read_json(self._s3, manifest)
            if found is not None:
                check_document(_MANIFEST, found, manifest)
                known += found["photos"]
        return count_changed_labels(snapshot.entries, known)

    def _read(self, key: str) -> Any:
        try:
            return read_json(self._s3, f"s3://{self.bucket}/{key}")
        except InvalidDocument:
            return None

    def _copy(self, label: Label) -> bool:
        photo = label.photo
        try:
            # Emulators ignore CopySourceIfMatch, so the etag is checked here as well.
            self._s3.head_object(Bucket=photo.bucket, Key=photo.key, IfMatch=f'"{photo.etag}"')
            self._s3.copy_object(
                Bucket=self.bucket,
                Key=f"{PHOTOS}{label.file}",
                CopySource={"Bucket": photo.bucket, "Key": photo.key},
                CopySourceIfMatch=f'"{photo.etag}"',
            )
        except ClientError as error:
            if error_code(error) in {*ABSENT, "NoSuchBucket", "PreconditionFailed", "412"}:
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
