"""Snapshots: what a model learned from, frozen. The same labels and base data give the same snapshot."""

import hashlib
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from functions.build_dataset.labels import Label, news, standing
from functions.shared.aws import Client, error_code
from functions.shared.dynamodb import attributes, values
from functions.shared.photo_table import REJECTED
from functions.shared.s3 import ABSENT, address, keys, read_json

LABELS = "labels/"
PHOTOS = "datasets/photos/"
SNAPSHOTS = "datasets/snapshots/"
# What the training channel of kept features holds while there are none: a note, because a channel may not be empty.
NO_FEATURES = "datasets/features/"
# Where SageMaker puts what a training job leaves beside its model, in the folder of the artifact.
FEATURES = "output.tar.gz"
NOTE = "README.txt"
THREADS = 16
BATCH = 100  # what BatchGetItem takes at most


@dataclass(frozen=True)
class Snapshot:
    """A manifest in S3. `uri` is the prefix it lies under, named after the SHA-256 of its bytes."""

    uri: str
    entries: list[dict[str, Any]]


class Store:
    """Labels, our copies of labelled photos, and snapshots: all in the ML bucket, and all but the labels immutable.

    What training channels read besides base data is found here too.
    """

    def __init__(self, bucket: str, s3: Client, photo_table: str, dynamodb: Client) -> None:
        self.bucket = bucket
        self._s3 = s3
        self._photo_table = photo_table
        self._dynamodb = dynamodb

    @property
    def labelled(self) -> str:
        """The prefix of the copies."""
        return f"s3://{self.bucket}/{PHOTOS}"

    def freeze(self, base: str, classes: tuple[str, ...]) -> Snapshot:
        """Copy what was labelled since the last time, and write the manifest of everything that is learned."""
        with ThreadPoolExecutor(THREADS) as pool:
            objects = pool.map(self._read, keys(self._s3, self.bucket, LABELS))
            labels = [label for label in map(Label.from_object, objects) if label]
            standing_ones = standing(labels, classes, self._rejected({label.photo.photo_id for label in labels}))
            copied = set(keys(self._s3, self.bucket, PHOTOS))
            kept = pool.map(lambda label: f"{PHOTOS}{label.file}" in copied or self._copy(label), standing_ones)
            entries = [label.as_entry() for label, there in zip(standing_ones, kept, strict=True) if there]
        if f"{PHOTOS}{NOTE}" not in copied:
            # A training channel without any object fails the job.
            self._put(f"{PHOTOS}{NOTE}", b"Copies of labelled photos. The snapshots say which of them count.\n")
        manifest = {"base": base, "classes": list(classes), "photos": entries}
        content = json.dumps(manifest, ensure_ascii=False, sort_keys=True, indent=1).encode()
        prefix = f"{SNAPSHOTS}{hashlib.sha256(content).hexdigest()}/"
        self._put(f"{prefix}manifest.json", content)
        return Snapshot(f"s3://{self.bucket}/{prefix}", entries)

    def features(self, artifact: str | None) -> str:
        """The S3 prefix of the features that the training job of a model kept; of a note alone when it kept none.

        `artifact` is the address of the model's model.tar.gz, None when there is no model. Features outside the ML
        bucket do not count, because the training job may not read them.
        """
        bucket, key = address(f"{artifact.rpartition('/')[0]}/{FEATURES}") if artifact else ("", "")
        if bucket == self.bucket and self._is_there(key):
            return f"s3://{bucket}/{key}"
        if not self._is_there(f"{NO_FEATURES}{NOTE}"):
            self._put(f"{NO_FEATURES}{NOTE}", b"The champion's training job kept no features.\n")
        return f"s3://{self.bucket}/{NO_FEATURES}"

    def new_since(self, snapshot: Snapshot, *earlier: str | None) -> int:
        """How many labels a snapshot has that none of the earlier ones had; all of them when there is none."""
        manifests = (read_json(self._s3, f"{uri}manifest.json") for uri in earlier if uri)
        known = [entry for manifest in manifests if manifest for entry in manifest["photos"]]
        return news(snapshot.entries, known)

    def _read(self, key: str) -> Any:
        try:
            return read_json(self._s3, f"s3://{self.bucket}/{key}")
        except ValueError:
            return None

    def _copy(self, label: Label) -> bool:
        photo = label.photo
        try:
            # The emulators pass over the condition of a copy, so it is asked for here as well.
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

    def _is_there(self, key: str) -> bool:
        try:
            self._s3.head_object(Bucket=self.bucket, Key=key)
        except ClientError as error:
            if error_code(error) in ABSENT:
                return False
            raise
        return True

    def _put(self, key: str, content: bytes) -> None:
        self._s3.put_object(Bucket=self.bucket, Key=key, Body=content)

    def _rejected(self, photo_ids: Iterable[str]) -> set[str]:
        wanted = sorted(photo_ids)
        rejected: set[str] = set()
        for start in range(0, len(wanted), BATCH):
            ask: dict[str, Any] = {
                self._photo_table: {
                    "Keys": [attributes({"photo_id": photo_id}) for photo_id in wanted[start : start + BATCH]]
                }
            }
            while ask:
                answer = self._dynamodb.batch_get_item(RequestItems=ask)
                found = map(values, answer["Responses"].get(self._photo_table, ()))
                rejected |= {item["photo_id"] for item in found if item.get("status") == REJECTED}
                ask = answer.get("UnprocessedKeys", {})
        return rejected
