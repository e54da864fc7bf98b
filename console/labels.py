"""Labels: the answers of reviewers, stored in S3 as training data."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from console.review_request import ReviewRequest
from functions.shared.aws import error_code
from functions.shared.times import timestamp

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectTypeDef

PREFIX = "labels/"

_MISSING = {"NoSuchKey", "404"}
_CONFLICT = {"PreconditionFailed", "412", "ConditionalRequestConflict", "409"}
_CONTENT_TYPE = "application/json"
_ATTEMPTS = 5
_READ_THREADS = 16
_MAX_CACHED = 5000
_MAX_DAYS_BEFORE = 30  # of earlier requests about the same photo


@dataclass(frozen=True)
class Label:
    """The first answer about a photo.

    `vehicle` is a configured one, `other` or `unusable`; `model_vehicle` and `model_version` belong to the prediction.
    `seconds` is the time from the request to the answer. `answer_id` identifies the answer. `accepted`: the execution
    accepted it, None while unknown. `announced`: its event was published. `opinions` are later answers about the same
    photo: {"vehicle", "reviewer", "answered_at", "answer_id"} each.
    """

    photo: dict[str, Any]
    photo_id: str
    driver_id: str
    vehicle: str
    reviewer: str
    answered_at: str
    seconds: float
    reason: str
    model_vehicle: str | None
    confidence: float | None
    probabilities: dict[str, float] | None
    model_version: str | None
    threshold: float | None
    agrees: bool | None
    execution: str | None
    requested_at: str
    token_hash: str
    answer_id: str
    accepted: bool | None = None
    announced: bool = False
    opinions: tuple[dict[str, Any], ...] = field(default=())

    @classmethod
    def of(cls, request: ReviewRequest, vehicle: str, reviewer: str, answered_at: datetime, answer_id: str) -> "Label":
        """Return the label of an answer to a request."""
        return cls(
            photo=request.photo.as_state(),
            photo_id=request.photo.photo_id,
            driver_id=request.driver_id,
            vehicle=vehicle,
            reviewer=reviewer,
            answered_at=timestamp(answered_at),
            seconds=max(0.0, round((answered_at - request.requested_at).total_seconds(), 3)),
            reason=request.reason,
            model_vehicle=request.vehicle,
            confidence=request.confidence,
            probabilities=dict(request.probabilities) if request.probabilities else None,
            model_version=request.model_version,
            threshold=request.threshold,
            agrees=None if request.vehicle is None else request.vehicle == vehicle,
            execution=request.execution,
            requested_at=timestamp(request.requested_at),
            token_hash=request.token_hash,
            answer_id=answer_id,
        )

    @classmethod
    def from_json(cls, text: bytes) -> "Label":
        """Parse a label; unknown fields are ignored. Raises ValueError, TypeError, KeyError when it is not a label."""
        state = json.loads(text)
        known = {name: state[name] for name in cls.__dataclass_fields__ if name in state}
        return cls(**{**known, "opinions": tuple(known.get("opinions", ()))})

    @property
    def key(self) -> str:
        """The key in S3. It contains the day of the request, so that all answers to one request have the same key."""
        return label_key(self.photo_id, datetime.fromisoformat(self.requested_at))

    def as_event(self, *, accepted: bool) -> dict[str, Any]:
        """Return the detail of the event `Review Completed`."""
        return {
            "photo": self.photo,
            "driver_id": self.driver_id,
            "vehicle": self.vehicle,
            "reviewer": self.reviewer,
            "answered_at": self.answered_at,
            "seconds": self.seconds,
            "model_vehicle": self.model_vehicle,
            "model_version": self.model_version,
            "agrees": self.agrees,
            "accepted": accepted,
        }

    def as_answer(self) -> dict[str, str]:
        """Return the answer as the output of the task that waits for it."""
        return {"vehicle": self.vehicle, "reviewer": self.reviewer, "answered_at": self.answered_at}


def label_key(photo_id: str, requested_at: datetime) -> str:
    """Return the key of the label of a photo whose review was requested at `requested_at`."""
    return f"{_day_prefix(requested_at.astimezone(UTC).date())}{photo_id}.json"


class Labels:
    """The labels of one stage."""

    def __init__(self, bucket: str, s3: "S3Client") -> None:
        """Read and write labels in `bucket`, the ML bucket of the stage."""
        self.bucket = bucket
        self._s3 = s3
        self._cached: dict[str, tuple[Label, str]] = {}  # label and ETag by key

    def find(self, request: ReviewRequest, *, since: datetime | None = None) -> Label | None:
        """Return the label of a request's photo, or None before the first answer.

        `since` is when the photo was first seen: the review can have been requested before, on an earlier day.
        """
        requested = request.requested_at.astimezone(UTC)
        days = (requested.date() - since.astimezone(UTC).date()).days if since else 0
        for days_ago in range(min(days, _MAX_DAYS_BEFORE) + 1):
            found = self._get(label_key(request.photo.photo_id, requested - timedelta(days=days_ago)))
            if found and found[0]:
                return found[0]
        return None

    def save(self, label: Label) -> Label:
        """Save an answer and return the effective label of its photo, which is the first one saved.

        A later answer is added to the `opinions` of the first. Saving the same answer again changes nothing. Raises
        ClientError, BotoCoreError, and RuntimeError when every attempt conflicts with another writer.
        """
        for _ in range(_ATTEMPTS):
            try:
                self._create(label)
                return label
            except ClientError as error:
                if error_code(error) not in _CONFLICT:
                    raise
            found = self._get(label.key)
            if found is None:
                continue
            effective, etag = found
            if effective is None:
                # The object is not a label. Replace it.
                if self._replace(label, etag):
                    return label
                continue
            if label.answer_id in {effective.answer_id, *(opinion.get("answer_id") for opinion in effective.opinions)}:
                return effective
            opinion = {
                "vehicle": label.vehicle,
                "reviewer": label.reviewer,
                "answered_at": label.answered_at,
                "answer_id": label.answer_id,
            }
            with_opinion = replace(effective, opinions=(*effective.opinions, opinion))
            if self._replace(with_opinion, etag):
                return with_opinion
        raise RuntimeError(f"{label.key} was changed by other writers during {_ATTEMPTS} attempts; try again")

    def mark_announced(self, label: Label, *, accepted: bool) -> None:
        """Record in the effective label that its event was published, and whether the execution accepted the answer."""
        for _ in range(_ATTEMPTS):
            found = self._get(label.key)
            if found is None or found[0] is None or found[0].answer_id != label.answer_id:
                return
            if self._replace(replace(found[0], announced=True, accepted=accepted), found[1]):
                return

    def count_written_since(self, midnight: datetime) -> int:
        """Count the labels that were written since `midnight`, of requests of that day and the day before."""
        days = (midnight.date() - timedelta(days=1), midnight.date())
        return sum(found["LastModified"] >= midnight for day in days for found in self._list(_day_prefix(day)))

    def recent(self, limit: int, *, days: int = 30, today: date | None = None) -> Iterator[Label]:
        """Yield the newest labels first, by day of their request, at most `limit` of the last `days` days."""
        today = today or datetime.now(UTC).date()
        left = limit
        with ThreadPoolExecutor(_READ_THREADS) as pool:
            for days_ago in range(days):
                listing = sorted(
                    self._list(_day_prefix(today - timedelta(days=days_ago))),
                    key=lambda found: found["LastModified"],
                    reverse=True,
                )
                yield from (label for label in pool.map(self._read, listing[:left]) if label)
                left -= len(listing)
                if left <= 0:
                    return

    def _read(self, listed: "ObjectTypeDef") -> Label | None:
        """Read a listed label, from the cache while its ETag is the same."""
        cached = self._cached.get(listed["Key"])
        if cached and cached[1] == listed["ETag"]:
            return cached[0]
        found = self._get(listed["Key"])
        if found is None or found[0] is None:
            return None
        if len(self._cached) >= _MAX_CACHED:
            self._cached.clear()
        self._cached[listed["Key"]] = (found[0], found[1])
        return found[0]

    def _list(self, prefix: str) -> "Iterator[ObjectTypeDef]":
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
            yield from page.get("Contents", [])

    def _get(self, key: str) -> tuple[Label | None, str] | None:
        """Return the label at a key, None when the object is not a label, and its ETag; None without an object."""
        try:
            found = self._s3.get_object(Bucket=self.bucket, Key=key)
        except ClientError as error:
            if error_code(error) in _MISSING:
                return None
            raise
        try:
            return Label.from_json(found["Body"].read()), found["ETag"]
        except (ValueError, TypeError, KeyError):
            return None, found["ETag"]

    def _create(self, label: Label) -> None:
        self._s3.put_object(
            Bucket=self.bucket, Key=label.key, Body=_body(label), ContentType=_CONTENT_TYPE, IfNoneMatch="*"
        )

    def _replace(self, label: Label, etag: str) -> bool:
        """Replace the object with this ETag; False when another writer has changed or deleted it."""
        try:
            self._s3.put_object(
                Bucket=self.bucket, Key=label.key, Body=_body(label), ContentType=_CONTENT_TYPE, IfMatch=etag
            )
        except ClientError as error:
            if error_code(error) not in _CONFLICT | _MISSING:
                raise
            return False
        return True


def _body(label: Label) -> bytes:
    return json.dumps(asdict(label), ensure_ascii=False, indent=2).encode()


def _day_prefix(day: date) -> str:
    return f"{PREFIX}{day:%Y/%m/%d}/"
