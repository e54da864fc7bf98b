"""Asking a new model through the front door before it is trusted: golden photos in, the right answers out, in time."""

import json
import statistics
import struct
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from functions.shared.aws import Client, error_code
from functions.shared.errors import ModelUnavailable, SconesError

MOST_PHOTOS = 20
RIGHT_AT_LEAST = 0.75
# The median, because one slow answer says nothing: the first call to a new endpoint often is slow.
SLOWEST_MEDIAN_MS = 2000.0
LEAST_ANSWERS = 5
OTHER = "other"


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
    """How a probe went: photos asked about, answered right, and the median of the latency in milliseconds."""

    photos: int
    right: int
    latency_ms: float


def spread(keys: Sequence[str]) -> Sequence[str]:
    """At most MOST_PHOTOS of the keys, evenly over all of them, so that every vehicle among sorted keys is there.

    >>> list(spread([f"{number:02}" for number in range(60)]))[:3]
    ['00', '03', '06']
    """
    return keys[:: -(-len(keys) // MOST_PHOTOS) or 1]


def probe(endpoint: str, model_version: str, photos: Sequence[Golden], runtime: Client) -> Probe:
    """Ask about every golden photo; about a few photos more than once, so that the latency is that of several answers.

    A golden photo of a vehicle that the model does not know should be answered as `other`. Raises ModelUnavailable when
    the endpoint gives no answer, ProbeFailed when an answer breaks the contract, comes from another model, or when too
    many are wrong or half of them are slow.
    """
    right, latencies = 0, []
    for number, photo in enumerate(islice(cycle(photos), max(len(photos), LEAST_ANSWERS))):
        started = time.perf_counter()
        answer = _ask(endpoint, photo, runtime)
        latencies.append((time.perf_counter() - started) * 1000)
        if answer.get("model_version") != model_version:
            raise ProbeFailed(
                f"endpoint {endpoint} answers as {answer.get('model_version')!r} where {model_version!r} belongs"
            )
        if not isinstance(answer.get("vehicle"), str) or not isinstance(answer.get("probabilities"), dict):
            raise ProbeFailed(f"endpoint {endpoint} answered {photo.name} without vehicle or probabilities")
        if number < len(photos):
            expected = photo.vehicle if photo.vehicle in (None, *answer["probabilities"]) else OTHER
            right += expected in (None, answer["vehicle"])
    latency_ms = statistics.median(latencies)
    if right < RIGHT_AT_LEAST * len(photos):
        raise ProbeFailed(f"{right} of {len(photos)} golden photos are right; at least {RIGHT_AT_LEAST:.0%} must be")
    if latency_ms > SLOWEST_MEDIAN_MS:
        raise ProbeFailed(
            f"the endpoint takes {latency_ms:.0f} ms, the median of {len(latencies)} answers; "
            f"at most {SLOWEST_MEDIAN_MS:.0f} ms are allowed"
        )
    return Probe(len(photos), right, latency_ms)


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
