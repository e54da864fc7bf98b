"""Labels: what a person said about a photo, kept in S3 for the next training whatever becomes of the execution."""

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from console.aws import Client
from console.request import Request
from functions.shared.aws import error_code
from functions.shared.times import timestamp

PREFIX = "labels/"

_EXISTS = {"PreconditionFailed", "412"}
_BUSY = {"ConditionalRequestConflict", "409"}
_ATTEMPTS = 5
_READERS = 16
_REMEMBERED = 5000


@dataclass(frozen=True)
class Label:
    """One answer. `vehicle` is a configured one, `other` or `unusable`; the `model_` fields are what the model said.

    `answer_id` tells this answer from any other about the photo. `announced`: its event is known to be out.
    `opinions` are later answers of other people about the same photo: {"vehicle", "reviewer", "answered_at"} each.
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
    def of(cls, request: Request, vehicle: str, reviewer: str, answered_at: datetime, answer_id: str) -> "Label":
        """The label that an answer to a request makes."""
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
        """Read a label back; fields that a later version may have added are ignored."""
        state = json.loads(text)
        known = {name: state[name] for name in cls.__dataclass_fields__ if name in state}
        return cls(**{**known, "opinions": tuple(known.get("opinions", ()))})

    @property
    def key(self) -> str:
        """Where it lies: under the day of the request, so that two answers to one request meet at one key."""
        return key_of(self.photo_id, datetime.fromisoformat(self.requested_at))

    def as_event(self, *, accepted: bool) -> dict[str, Any]:
        """The detail of `Review Completed`."""
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
        """What the waiting execution is told."""
        return {"vehicle": self.vehicle, "reviewer": self.reviewer, "answered_at": self.answered_at}


def key_of(photo_id: str, requested_at: datetime) -> str:
    """The key of the label of a photo that was asked about at `requested_at`."""
    return f"{_day(requested_at.astimezone(UTC).date())}{photo_id}.json"


class Labels:
    """The labels of one stage."""

    def __init__(self, bucket: str, s3: Client) -> None:
        self.bucket = bucket
        self._s3 = s3
        self._known: dict[str, tuple[Label, str]] = {}  # with its ETag, by key

    def find(self, request: Request) -> Label | None:
        """The label of the photo that a request is about, or None while nobody answered."""
        found = self._get(key_of(request.photo.photo_id, request.requested_at))
        return found[0] if found else None

    def keep(self, label: Label) -> Label:
        """Keep an answer and return the photo's standing label: this one, or that of whoever answered first.

        The first answer stands. A later one of another person is added to its `opinions`. Keeping the same answer
        again changes nothing.
        """
        for _ in range(_ATTEMPTS):
            try:
                self._put(label, IfNoneMatch="*")
                return label
            except ClientError as error:
                if error_code(error) not in _EXISTS | _BUSY:
                    raise
            found = self._get(label.key)
            if found is None:
                continue
            standing, etag = found
            if standing is None:
                # Whatever lies there, it is no label, and a label must not be lost to it.
                if self._replace(label, etag):
                    return label
                continue
            if label.answer_id in {standing.answer_id, *(opinion.get("answer_id") for opinion in standing.opinions)}:
                return standing
            opinion = {
                "vehicle": label.vehicle,
                "reviewer": label.reviewer,
                "answered_at": label.answered_at,
                "answer_id": label.answer_id,
            }
            with_opinion = replace(standing, opinions=(*standing.opinions, opinion))
            if self._replace(with_opinion, etag):
                return with_opinion
        raise RuntimeError(f"{label.key} changes all the time; try again")

    def mark_announced(self, label: Label, *, accepted: bool) -> None:
        """Note that the event of the standing label is out, and whether the execution took the answer."""
        for _ in range(_ATTEMPTS):
            found = self._get(label.key)
            if found is None or found[0] is None or found[0].answer_id != label.answer_id:
                return
            if self._replace(replace(found[0], announced=True, accepted=accepted), found[1]):
                return

    def answered_since(self, midnight: datetime) -> int:
        """How many labels of the last two days' requests were written since `midnight`."""
        days = (midnight.date() - timedelta(days=1), midnight.date())
        return sum(found["LastModified"] >= midnight for day in days for found in self._list(_day(day)))

    def recent(self, most: int, *, days: int = 30, today: date | None = None) -> Iterator[Label]:
        """The newest labels first, by day, at most `most` of the last `days` days."""
        today = today or datetime.now(UTC).date()
        left = most
        with ThreadPoolExecutor(_READERS) as pool:
            for back in range(days):
                listing = sorted(
                    self._list(_day(today - timedelta(days=back))),
                    key=lambda found: found["LastModified"],
                    reverse=True,
                )
                yield from (label for label in pool.map(self._read, listing[:left]) if label)
                left -= len(listing)
                if left <= 0:
                    return

    def _read(self, listed: Mapping[str, Any]) -> Label | None:
        """A label that was listed, from memory while it has not changed."""
        known = self._known.get(listed["Key"])
        if known and known[1] == listed["ETag"]:
            return known[0]
        found = self._get(listed["Key"])
        if found is None or found[0] is None:
            return None
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[listed["Key"]] = (found[0], found[1])
        return found[0]

    def _list(self, prefix: str) -> Iterator[dict[str, Any]]:
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
            yield from page.get("Contents", [])

    def _get(self, key: str) -> tuple[Label | None, str] | None:
        """The label at a key, None when the object there is none of ours, with its ETag; None for no object."""
        try:
            found = self._s3.get_object(Bucket=self.bucket, Key=key)
        except ClientError as error:
            if error_code(error) in {"NoSuchKey", "404"}:
                return None
            raise
        try:
            return Label.from_json(found["Body"].read()), found["ETag"]
        except (ValueError, TypeError, KeyError):
            return None, found["ETag"]

    def _put(self, label: Label, **condition: str) -> None:
        body = json.dumps(asdict(label), ensure_ascii=False, indent=2).encode()
        self._s3.put_object(Bucket=self.bucket, Key=label.key, Body=body, ContentType="application/json", **condition)

    def _replace(self, label: Label, etag: str) -> bool:
        """Overwrite a label that still is as it was read; False when someone else was faster."""
        try:
            self._put(label, IfMatch=etag)
        except ClientError as error:
            if error_code(error) not in _EXISTS | _BUSY | {"NoSuchKey", "404"}:
                raise
            return False
        return True


def _day(day: date) -> str:
    return f"{PREFIX}{day:%Y/%m/%d}/"
