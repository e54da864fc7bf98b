"""The baseline of the champion, read from its model.tar.gz."""

import hashlib
import json
import tarfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from functions.shared.drift import STATISTICS, VALIDATION, Histogram
from functions.shared.errors import InvalidDocument, InvalidInput
from functions.shared.s3 import check_document, parse_uri
from functions.shared.shapes import fraction, list_of, number, object_with, text, values

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NAME = "baseline.json"
_DIGESTS = "SHA256SUMS"
_MOST_BYTES = 1024 * 1024

_HISTOGRAM = object_with(
    {"shares": list_of(number(0, 1.001))}, {"edges": list_of(number()), "categories": list_of(text)}
)
_SHAPE = object_with({"photos": number(1e-9), "threshold": fraction, "statistics": values(_HISTOGRAM)})


def read_baseline(artifact: str, s3: "S3Client") -> Mapping[str, Histogram]:
    """Return the distributions of the validation photos by statistic; empty for a model without baseline.json.

    `artifact` is the address of model.tar.gz. Raises InvalidDocument when the file has another digest than training
    wrote, or is no baseline; ClientError, BotoCoreError.
    """
    bucket, key = parse_uri(artifact)
    found: dict[str, bytes] = {}
    body = s3.get_object(Bucket=bucket, Key=key)["Body"]
    try:
        with tarfile.open(fileobj=body, mode="r|gz") as archive:
            for member in archive:
                name = member.name.removeprefix("./")
                if name in (NAME, _DIGESTS) and member.size <= _MOST_BYTES and (file := archive.extractfile(member)):
                    found[name] = file.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise InvalidDocument(f"{artifact} is no model archive ({error}); train again with `make retrain`") from error
    if NAME not in found:
        return {}
    _check_digest(found[NAME], found.get(_DIGESTS, b""), artifact)
    return _parse(found[NAME], f"{NAME} in {artifact}")


def _check_digest(content: bytes, digests: bytes, artifact: str) -> None:
    line = f"{hashlib.sha256(content).hexdigest()}  {NAME}"
    if line not in digests.decode(errors="replace").splitlines():
        raise InvalidDocument(
            f"{NAME} in {artifact} has another content than in training; restore an earlier model with `make rollback`"
        )


def _parse(content: bytes, where: str) -> Mapping[str, Histogram]:
    try:
        document: Any = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InvalidDocument(f"{where} is no JSON ({error}); train again with `make retrain`") from error
    check_document(_SHAPE, document, where)
    try:
        return {
            name: _histogram(name, statistic, document["photos"])
            for name, statistic in document["statistics"].items()
            if name in STATISTICS
        }
    except InvalidInput as error:
        raise InvalidDocument(f"{where}: {error}; train again with `make retrain`") from error


def _histogram(name: str, statistic: Mapping[str, Any], photos: float) -> Histogram:
    edges, categories = tuple(statistic.get("edges", ())), tuple(statistic.get("categories", ()))
    shares = tuple(statistic["shares"])
    if len(shares) != (len(categories) or len(edges) + 1) or list(edges) != sorted(set(edges)):
        raise InvalidInput(f"{name} has {len(shares)} shares, {len(edges)} edges and {len(categories)} categories")
    return Histogram(photos, shares, edges, categories, VALIDATION)
