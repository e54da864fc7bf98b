"""Where the photos of a batch are: a folder on this machine or an address in S3; and how they get to the stage."""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import ClientError

from deploy.outputs import Deployed
from functions.shared.aws import error_code
from functions.shared.batch import CSV, FOLDER, INVENTORY, JSONL, PREFIX
from functions.shared.s3 import list_keys, list_objects, parse_uri
from operate.errors import CommandError
from operate.photo_folders import (
    MEDIA_TYPES,
    FoundPhoto,
    LeftOut,
    PhotoFolderError,
    find_photos,
    key_name,
    printable,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

UPLOAD_THREADS = 8
_DIGITS = 12  # of a hash in an id or a key
_LISTS = {".csv": CSV, ".jsonl": JSONL}


@dataclass(frozen=True)
class Source:
    """What a batch classifies: `kind` and `address` are those of the input of classify-batch.

    `id` is the same whenever the same photos are named. `left_out` are the files of a folder that are no photos.
    """

    id: str
    kind: str
    address: str
    left_out: tuple[LeftOut, ...] = ()


Progress = Callable[[int, int], None]
"""Called with the number of photos that are in the stage's bucket, and the number of all."""


def prepare_folder(deployed: Deployed, path: Path, batch_id: str, progress: Progress) -> Source:
    """Upload the photos of a folder, or one photo, under a prefix that starts nothing; those that are there stay.

    Raises CommandError.
    """
    path = path.expanduser()
    photos, left_out = _find_photos(path)
    if not photos:
        raise CommandError(f"There is no JPEG, PNG, WebP, HEIC or AVIF file in {printable(path)}.")
    batch_id = batch_id or _folder_id(path, photos)
    prefix = f"{FOLDER}/{batch_id}/"
    s3: S3Client = boto3.client("s3")
    keys = {f"{prefix}{_digest(photo.name)}-{key_name(photo.path.name)}": photo for photo in photos}
    missing = {key: keys[key] for key in keys.keys() - set(list_keys(s3, deployed.uploads_bucket, prefix))}

    def put(key: str) -> None:
        photo = missing[key]
        with photo.path.open("rb") as file:
            s3.upload_fileobj(file, deployed.uploads_bucket, key, {"ContentType": photo.media_type})

    _in_threads(put, iter(sorted(missing)), len(keys) - len(missing), len(keys), progress)
    return Source(batch_id, PREFIX, f"s3://{deployed.uploads_bucket}/{prefix}", left_out)


def _find_photos(path: Path) -> tuple[list[FoundPhoto], tuple[LeftOut, ...]]:
    """Return the photos of a folder and the files that are none, or one photo. Raises CommandError."""
    if path.is_file():
        is_photo = path.suffix.lower() in MEDIA_TYPES
        return ([FoundPhoto(path, printable(path.name), None)] if is_photo else []), ()
    if not path.exists():
        raise CommandError(f"There is no photo or folder {printable(path)}. Pass PHOTOS=<file, folder or s3://…>.")
    try:
        found = find_photos(path)
    except PhotoFolderError as error:
        raise CommandError(f"{error}.") from error
    return list(found.photos), found.left_out


def prepare_address(deployed: Deployed, address: str, batch_id: str, progress: Progress) -> Source:
    """Return the source at an address: a folder, a list or an inventory in the uploads bucket of the stage.

    The photos under a prefix of another bucket are copied first. Raises CommandError.
    """
    bucket, key = parse_uri(address)
    batch_id = batch_id or _digest(address)
    name = PurePosixPath(key)
    kind = INVENTORY if name.name == "manifest.json" else _LISTS.get(name.suffix, PREFIX)
    if kind == PREFIX and not key.endswith("/"):
        raise CommandError(f"{address} is neither a folder (ending in /), a .csv or .jsonl list, nor a manifest.json.")
    if bucket == deployed.uploads_bucket:
        return Source(batch_id, kind, address)
    if kind != PREFIX:
        raise CommandError(f"The list is in another bucket. Copy it to s3://{deployed.uploads_bucket}/{FOLDER}/ first.")
    s3: S3Client = boto3.client("s3")
    prefix = f"{FOLDER}/{batch_id}/"
    try:
        wanted = {
            f"{prefix}{_digest(listed['Key'])}-{key_name(PurePosixPath(listed['Key']).name)}": listed["Key"]
            for listed in list_objects(s3, bucket, key)
            if PurePosixPath(listed["Key"]).suffix.lower() in MEDIA_TYPES
        }
    except ClientError as error:
        raise CommandError(
            f"{address} cannot be listed ({error_code(error)}). Check its name, and your permission to list it."
        ) from error
    if not wanted:
        raise CommandError(f"There is no JPEG, PNG, WebP, HEIC or AVIF file under {address}.")
    missing = {one: wanted[one] for one in wanted.keys() - set(list_keys(s3, deployed.uploads_bucket, prefix))}

    def copy(target: str) -> None:
        s3.copy({"Bucket": bucket, "Key": missing[target]}, deployed.uploads_bucket, target)

    _in_threads(copy, iter(sorted(missing)), len(wanted) - len(missing), len(wanted), progress)
    return Source(batch_id, PREFIX, f"s3://{deployed.uploads_bucket}/{prefix}")


def _in_threads(put: Callable[[str], None], keys: Iterator[str], done: int, total: int, progress: Progress) -> None:
    """Call `put` for each key, in a few threads; raises its first error."""
    progress(done, total)
    with ThreadPoolExecutor(UPLOAD_THREADS) as pool:
        running = {pool.submit(put, key) for key in islice(keys, UPLOAD_THREADS)}
        while running:
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            for one in ended:
                one.result()
            done += len(ended)
            progress(done, total)
            running |= {pool.submit(put, key) for key in islice(keys, len(ended))}


def _folder_id(path: Path, photos: list[FoundPhoto]) -> str:
    """An id that changes with the names and sizes of the photos."""
    described = "\n".join(f"{photo.name} {photo.path.stat().st_size}" for photo in photos)
    return _digest(f"{path.resolve()}\n{described}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
