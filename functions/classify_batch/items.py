"""The items of a batch, as a Distributed Map reads them from a prefix, a list or an inventory."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from functions.shared.batch import INVENTORY, Batch
from functions.shared.errors import InvalidInput
from functions.shared.photo import Photo


@dataclass(frozen=True)
class Item:
    """An item: the photo that it names; without one, `mistake` says what is wrong with it.

    `is_photo` is False for what is no photo by its nature: the marker of a folder, or a version that was replaced.
    """

    id: str
    photo: Photo | None = None
    mistake: str = ""
    is_photo: bool = True


def read_item(item: Any, batch: Batch) -> Item:
    """Return the photo of an item. The names of its fields may be written in any case.

    A list has `key` and, if it is known, `bucket` and `etag`. The keys of an inventory are URL-encoded (Amazon S3 User
    Guide, "Amazon S3 Inventory list").
    """
    identity = hashlib.sha256(json.dumps(item, sort_keys=True).encode()).hexdigest()[:32]
    if not isinstance(item, Mapping):
        return Item(identity, mistake=f"the item is a {type(item).__name__}; pass an object with a key")
    fields = {str(name).lower(): value for name, value in item.items()}
    key = fields.get("key")
    if batch.kind == INVENTORY:
        key = unquote_plus(key) if isinstance(key, str) else key
        if (
            str(fields.get("islatest", "true")).lower() == "false"
            or str(fields.get("isdeletemarker")).lower() == "true"
        ):
            return Item(identity, is_photo=False)
    if isinstance(key, str) and key.endswith("/") and str(fields.get("size")) == "0":
        return Item(identity, is_photo=False)
    bucket = fields.get("bucket") or batch.bucket
    if bucket != batch.bucket:
        return Item(identity, mistake="the photo is in another bucket, which this stage does not read; copy it first")
    try:
        photo = Photo.from_state({"bucket": bucket, "key": key, "etag": fields.get("etag") or None})
    except InvalidInput as error:
        return Item(identity, mistake=str(error))
    return Item(identity, photo)
