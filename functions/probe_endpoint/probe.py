"""Asking a new model through the front door before it is trusted: golden photos in, the right answers out, in time."""

import json
import math
import struct
import time
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from functions.shared.aws import Client, error_code
from functions.shared.errors import ModelUnavailable, SconesError

MOST_PHOTOS = 20
RIGHT_AT_LEAST = 0.75
SLOWEST_P95_MS = 2000.0


class ProbeFailed(SconesError):
    """The endpoint answers, but not as the new model should."""


@dataclass(frozen=True)
class Golden:
    """A photo whose answer is known; `vehicle` is None for one that only has to be answered."""

    name: str
    image: bytes
    vehicle: str | None


@dataclass(frozen=True)
class Probe:
    """How a probe went: photos asked, answered right, and the 95th percentile of the latency."""

    photos: int
    right: int
    p95_ms: float


def probe(endpoint: str, model_version: str, photos: Iterable[Golden], runtime: Client) -> Probe:
    """Ask about every golden photo.

    Raises ModelUnavailable when the endpoint gives no answer, ProbeFailed when an answer breaks the contract, comes
    from another model, or when too many are wrong or slow.
    """
    asked, right, latencies = 0, 0, []
    for photo in photos:
        started = time.perf_counter()
        answer = _ask(endpoint, photo, runtime)
        latencies.append((time.perf_counter() - started) * 1000)
        if answer.get("model_version") != model_version:
            raise ProbeFailed(
                f"endpoint {endpoint} answers as {answer.get('model_version')!r} where {model_version!r} belongs"
            )
        if not isinstance(answer.get("vehicle"), str) or not isinstance(answer.get("probabilities"), dict):
            raise ProbeFailed(f"endpoint {endpoint} answered {photo.name} without vehicle or probabilities")
        asked += 1
        right += photo.vehicle in (None, answer["vehicle"])
    p95_ms = sorted(latencies)[math.ceil(0.95 * len(latencies)) - 1]
    if right < RIGHT_AT_LEAST * asked:
        raise ProbeFailed(f"{right} of {asked} golden photos are right; at least {RIGHT_AT_LEAST:.0%} must be")
    if p95_ms > SLOWEST_P95_MS:
        raise ProbeFailed(f"the endpoint takes {p95_ms:.0f} ms at the 95th percentile; at most {SLOWEST_P95_MS:.0f}")
    return Probe(asked, right, p95_ms)


def drawn_photo() -> Golden:
    """A grey gradient, 64 by 64, as a PNG: for a stage without golden photos."""
    rows = b"".join(b"\0" + bytes(channel for x in range(64) for channel in (x * 4, y * 4, 128)) for y in range(64))
    header = struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return Golden("the drawn photo", b"\x89PNG\r\n\x1a\n" + b"".join(chunks), None)


def _ask(endpoint: str, photo: Golden, runtime: Client) -> dict[str, Any]:
    try:
        response = runtime.invoke_endpoint(
            EndpointName=endpoint, ContentType="application/x-image", Accept="application/json", Body=photo.image
        )
        body: bytes = response["Body"].read()
    except (ClientError, BotoCoreError) as error:
        raise ModelUnavailable(f"endpoint {endpoint} gave no answer ({error_code(error)}): {error}") from error
    try:
        answer = json.loads(body)
    except ValueError as error:
        raise ProbeFailed(f"endpoint {endpoint} answered {photo.name} with no JSON: {error}") from error
    if not isinstance(answer, dict) or "error" in answer:
        raise ProbeFailed(f"endpoint {endpoint} answered {photo.name} with {str(answer)[:200]}")
    return answer
