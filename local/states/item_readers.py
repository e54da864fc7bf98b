"""ItemReader and ItemBatcher: the items of a Distributed Map, read from S3 and grouped.

Sources: "ItemReader (Map)" and "ItemBatcher (Map)", AWS Step Functions Developer Guide; "Amazon S3 Inventory list",
Amazon S3 User Guide. The names of the columns of an inventory are the keys of its items; its values, such as the
URL-encoded keys of objects, are passed as they are in the file.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from ministack.services import s3, stepfunctions
from ministack.services.stepfunctions import _ExecutionError

from local.service_roles import NotAuthorized, ServiceRole

JSON = Any
FAILED = "States.ItemReaderFailed"
DELIMITERS = {"COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "SPACE": " ", "TAB": "\t"}
MAX_BATCH_BYTES = 262_144


class ItemReader:
    """Reads the items that an ItemReader field describes, with the permissions of the state machine's role."""

    def __init__(self, definition: dict[str, Any], effective: JSON, ctx: dict[str, Any], role: ServiceRole) -> None:
        """`effective` is the input of the state, `ctx` the context object."""
        parameters = definition.get("Parameters") or definition.get("Arguments") or {}
        self._parameters = stepfunctions._resolve_params_obj(parameters, effective, ctx)
        self._config = definition.get("ReaderConfig") or {}
        self._resource = str(definition.get("Resource", ""))
        self._role = role
        self._max_items = number_at(self._config, "MaxItems", effective, ctx)

    def read(self) -> list[JSON]:
        """Return the items. Raises States.ItemReaderFailed with the reason."""
        try:
            items = list(self._listed() if self._resource.endswith(":s3:listObjectsV2") else self._in_object())
        except NotAuthorized as error:
            raise _ExecutionError(FAILED, str(error)) from error
        except (ValueError, KeyError, TypeError, IndexError, OSError, EOFError, zlib.error, csv.Error) as error:
            raise _ExecutionError(FAILED, f"The dataset cannot be read: {type(error).__name__}: {error}") from error
        return items[: int(self._max_items)] if self._max_items else items

    def _listed(self) -> Iterator[JSON]:
        name, prefix = str(self._parameters["Bucket"]), str(self._parameters.get("Prefix") or "")
        self._role.require("s3:ListBucket", f"arn:aws:s3:::{name}", {"s3:prefix": prefix})
        bucket = s3._buckets.get(name)
        if bucket is None:
            raise _ExecutionError(FAILED, f"The specified bucket does not exist. (Bucket: {name})")
        for key, found in sorted(bucket["objects"].items()):
            if not key.startswith(prefix):
                continue
            if self._config.get("Transformation") == "LOAD_AND_FLATTEN":
                yield from self._parsed(self._object(name, key))
                continue
            yield {
                "Etag": found["etag"],
                "Key": key,
                "LastModified": int(datetime.fromisoformat(str(found["last_modified"])).timestamp()),
                "Size": found["size"],
                "StorageClass": found.get("storage_class") or "STANDARD",
            }

    def _in_object(self) -> Iterator[JSON]:
        bucket, key = str(self._parameters["Bucket"]), str(self._parameters["Key"])
        content = self._object(bucket, key, self._parameters.get("VersionId"))
        if self._config.get("InputType") == "MANIFEST":
            yield from self._inventory(json.loads(content))
        else:
            yield from self._parsed(content)

    def _parsed(self, content: bytes) -> Iterator[JSON]:
        kind = self._config.get("InputType", "JSON")
        if kind == "JSON":
            yield from self._json(json.loads(content))
        elif kind == "JSONL":
            yield from (json.loads(line) for line in content.decode("utf-8-sig").splitlines() if line.strip())
        elif kind == "CSV":
            yield from self._csv(content.decode("utf-8-sig"))
        else:
            raise ValueError(f"the input type {kind} is not supported here")

    def _json(self, found: JSON) -> Iterator[JSON]:
        for part in str(self._config.get("ItemsPointer") or "").strip("/").split("/"):
            if part:
                found = found[int(part)] if isinstance(found, list) else found[part]
        if isinstance(found, dict):
            return iter({"Key": key, "Value": value} for key, value in found.items())
        if not isinstance(found, list):
            raise ValueError("the JSON is no array")
        return iter(found)

    def _csv(self, text: str) -> Iterator[JSON]:
        rows = csv.reader(io.StringIO(text), delimiter=DELIMITERS[self._config.get("CSVDelimiter", "COMMA")])
        given = self._config.get("CSVHeaderLocation") == "GIVEN"
        headers = list(self._config["CSVHeaders"]) if given else next(rows, [])
        return (_row(headers, row) for row in rows if row)

    def _inventory(self, manifest: dict[str, Any]) -> Iterator[JSON]:
        """The objects in the files of an S3 Inventory; Step Functions reads only inventories in the format CSV."""
        if manifest["fileFormat"] != "CSV":
            raise ValueError(f"the inventory has the format {manifest['fileFormat']}; only CSV can be read")
        columns = [name.strip() for name in manifest["fileSchema"].split(",")]
        bucket = str(manifest["destinationBucket"]).removeprefix("arn:aws:s3:::")
        for file in manifest["files"]:
            text = gzip.decompress(self._object(bucket, file["key"])).decode("utf-8")
            yield from (_row(columns, row) for row in csv.reader(io.StringIO(text)) if row)

    def _object(self, bucket: str, key: str, version: str | None = None) -> bytes:
        action = "s3:GetObjectVersion" if version else "s3:GetObject"
        self._role.require(action, f"arn:aws:s3:::{bucket}/{key}")
        content: bytes | None = s3._get_object_data(bucket, key, version)
        if content is None:
            raise _ExecutionError(FAILED, f"The specified key does not exist. (Bucket: {bucket}, Key: {key})")
        return content


def group_items(definition: dict[str, Any] | None, items: list[JSON], effective: JSON, ctx: JSON) -> list[list[JSON]]:
    """Return the items of each child; one each without an ItemBatcher."""
    if not definition:
        return [[item] for item in items]
    most = int(number_at(definition, "MaxItemsPerBatch", effective, ctx) or len(items) or 1)
    largest = int(number_at(definition, "MaxInputBytesPerBatch", effective, ctx) or MAX_BATCH_BYTES)
    # Of the whole input: {"BatchInput": …, "Items": […]}.
    empty = len(json.dumps(batch_input(definition, [], effective, ctx)))
    groups: list[list[JSON]] = []
    size = 0
    for item in items:
        added = len(json.dumps(item)) + 2
        if not groups or len(groups[-1]) == most or empty + size + added > largest:
            groups.append([])
            size = 0
        groups[-1].append(item)
        size += added
    return groups


def batch_input(definition: dict[str, Any], items: list[JSON], effective: JSON, ctx: JSON) -> dict[str, Any]:
    """Return the input of a child for a group of items."""
    common = definition.get("BatchInput")
    named = {"BatchInput": stepfunctions._resolve_params_obj(common, effective, ctx)} if common is not None else {}
    return {**named, "Items": items}


def number_at(definition: dict[str, Any], field: str, effective: JSON, ctx: JSON) -> float | None:
    """Return the number in a field, or at the path in the field `{field}Path`; None without either."""
    path = definition.get(f"{field}Path")
    value = definition.get(field) if path is None else stepfunctions._resolve_path_or_ctx(path, effective, ctx)
    if value is None and path is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        raise _ExecutionError("States.Runtime", f"The value of {field} must be a number of at least 0, not {value!r}")
    return value


def _row(headers: list[str], row: list[str]) -> dict[str, str]:
    """A row of a CSV file: missing fields are empty, additional ones are left out."""
    return {name: row[place] if place < len(row) else "" for place, name in enumerate(headers)}
