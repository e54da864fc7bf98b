"""Smoke-test a new endpoint with known photos: answers, correctness and latency."""

import json
import statistics
import struct
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from functions.shared.aws import error_code
from functions.shared.errors import ModelUnavailable, SconesError
from functions.shared.shapes import shown
from functions.shared.vehicles import OTHER

if TYPE_CHECKING:
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient

MAX_PHOTOS = 20
MIN_ACCURACY = 0.75
# The median, because the first call to a new endpoint is often slow.
MAX_MEDIAN_MS = 2000.0
MIN_ANSWERS = 5


class ProbeFailed(SconesError):
    """The endpoint answers, but with the wrong model, wrong predictions or too slowly."""


@dataclass(frozen=True)
class GoldenPhoto:
    """A photo with the expected answer; `vehicle` is None when any valid answer is accepted."""

    name: str
    image: bytes
    vehicle: str | None


@dataclass(frozen=True)
class ProbeResult:
    """The number of photos, of correct answers, and the median latency in milliseconds."""

    photos: int
    correct: int
    latency_ms: float


def sample_evenly(keys: Sequence[str]) -> Sequence[str]:
    """Return at most MAX_PHOTOS of the sorted keys at equal distances, so that every vehicle is among them.

    >>> list(sample_evenly([f"{number:02}" for number in range(60)]))[:3]
    ['00', '03', '06']
    """
    return keys[:: -(-len(keys) // MAX_PHOTOS) or 1]


def probe(
    endpoint: str, model_version: str, photos: Sequence[GoldenPhoto], runtime: "SageMakerRuntimeClient"
) -> ProbeResult:
    """Classify every golden photo, some of them again when there are fewer than MIN_ANSWERS.

    The expected answer for a vehicle that the model does not know is `other`. Raises ModelUnavailable when the endpoint
    does not answer; ProbeFailed when an answer violates the contract or comes from another model, when fewer than
    MIN_ACCURACY are correct, or when the median latency is above MAX_MEDIAN_MS.
    """
    correct, latencies = 0, []
    for number, photo in enumerate(islice(cycle(photos), max(len(photos), MIN_ANSWERS))):
        started = time.perf_counter()
        answer = _classify(endpoint, photo, runtime)
        latencies.append((time.perf_counter() - started) * 1000)
        if answer.get("model_version") != model_version:
            raise ProbeFailed(
                f"endpoint {endpoint} answers as {shown(answer.get('model_version'))} instead of {model_version!r}"
            )
        if not isinstance(answer.get("vehicle"), str) or not isinstance(answer.get("probabilities"), dict):
            raise ProbeFailed(f"endpoint {endpoint} answered {photo.name} without vehicle or probabilities")
        if number < len(photos):
            expected = photo.vehicle if photo.vehicle in (None, *answer["probabilities"]) else OTHER
            correct += expected in (None, answer["vehicle"])
    latency_ms = statistics.median(latencies)
    if correct < MIN_ACCURACY * len(photos):
        raise ProbeFailed(
            f"{correct} of {len(photos)} golden photos are classified correctly; at least {MIN_ACCURACY:.0%} must be"
        )
    if latency_ms > MAX_MEDIAN_MS:
        raise ProbeFailed(
            f"the endpoint takes {latency_ms:.0f} ms, the median of {len(latencies)} answers; "
            f"at most {MAX_MEDIAN_MS:.0f} ms are allowed"
        )
    return ProbeResult(len(photos), correct, latency_ms)


def generate_image() -> GoldenPhoto:
    """Return a colour gradient of 64 by 64 pixels as a PNG, for a stage without golden photos."""
    rows = b"".join(b"\0" + bytes(channel for x in range(64) for channel in (x * 4, y * 4, 128)) for y in range(64))
    header = struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return GoldenPhoto("the generated image", b"\x89PNG\r\n\x1a\n" + b"".join(chunks), None)


def _classify(endpoint: str, photo: GoldenPhoto, runtime: "SageMakerRuntimeClient") -> dict[str, Any]:
    try:
        response = runtime.invoke_endpoint(
            EndpointName=endpoint, ContentType="application/x-image", Accept="application/json", Body=photo.image
        )
        body: bytes = response["Body"].read()
    except (ClientError, BotoCoreError) as error:
        raise ModelUnavailable(f"endpoint {endpoint} did not answer ({error_code(error)}): {error}") from error
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ProbeFailed(f"endpoint {endpoint} answered {photo.name} without JSON: {error}") from error
    if not isinstance(answer, dict) or "error" in answer:
        raise ProbeFailed(f"endpoint {endpoint} answered {photo.name} with {shown(answer)}")
    return answer
