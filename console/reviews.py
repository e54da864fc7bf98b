"""The state of each review request in S3: which answer counts for it, and whether it was delivered.

Each is an object under `reviews/{yyyy}/{mm}/{dd}/`, the day of the request in UTC, written once. `….answer.json` names
the label that counts for the request: of several answers, the first that wrote it. `….done.json` is written when the
answer was sent and its event was published. Vehicle and reviewer are read from the label, which only its reviewer can
have written.
"""

import json
import logging
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from console.labels import Label, Labels, read_object
from console.review_request import RequestId
from functions.shared.label import LabelKey
from functions.shared.s3 import create_once, list_objects
from functions.shared.times import now, timestamp

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectTypeDef

log = logging.getLogger(__name__)

PREFIX = "reviews/"

_ANSWER, _DONE = ".answer.json", ".done.json"
_ANSWER_KEY = re.compile(r"reviews/\d{4}/\d\d/\d\d/(?P<photo_id>[0-9a-f]{32})-[0-9a-f]{16}\.answer\.json", re.ASCII)
_HASH_DIGITS = 16
_READ_THREADS = 16
_MAX_BYTES = 4096
_MAX_CACHED = 5000


class Reviews:
    """The answered review requests of one stage, and its labels."""

    def __init__(self, bucket: str, s3: "S3Client") -> None:
        """Read and write in `bucket`, the ML bucket of the stage."""
        self.labels = Labels(bucket, s3)
        self._s3 = s3
        self._answers: dict[str, str] = {}  # the key of the label by the key of the object, which does not change

    def claim(self, request: RequestId, label: Label) -> Label:
        """Let a label count for a request, unless another one does already; return the one that counts."""
        key = _key(request, _ANSWER)
        content = json.dumps({"label": label.key}).encode()
        if create_once(self._s3, self.labels.bucket, key, content, "application/json"):
            return label
        # An object that names no label of this photo must not keep the driver waiting.
        return self._label_of(key) or label

    def find(self, request: RequestId) -> Label | None:
        """Return the label that counts for a request, or None."""
        return self._label_of(_key(request, _ANSWER))

    def is_done(self, request: RequestId, label: Label) -> bool:
        """Whether it is recorded that this answer to the request was sent and announced."""
        return self._read_key(_key(request, _DONE)) == label.key

    def mark_done(self, request: RequestId, label: Label, *, accepted: bool) -> None:
        """Record that an answer to the request was sent and announced, and whether an execution accepted it."""
        done = {"label": label.key, "accepted": accepted, "announced_at": timestamp(now())}
        create_once(self._s3, self.labels.bucket, _key(request, _DONE), json.dumps(done).encode(), "application/json")

    def count_answered_since(self, midnight: datetime) -> int:
        """Count the requests that were answered since `midnight`, of those of that day and the day before."""
        days = (midnight.date() - timedelta(days=1), midnight.date())
        return sum(found["LastModified"] >= midnight for day in days for found in self._list_answers(day))

    def recent(self, limit: int, *, days: int = 30, today: date | None = None) -> Iterator[Label]:
        """Yield the labels that count for requests, the newest first by day of their request.

        They are at most `limit`, of requests of the last `days` days.
        """
        today = today or datetime.now(UTC).date()
        left = limit
        with ThreadPoolExecutor(_READ_THREADS) as pool:
            for days_ago in range(days):
                listing = sorted(
                    self._list_answers(today - timedelta(days=days_ago)),
                    key=lambda found: found["LastModified"],
                    reverse=True,
                )
                keys = [found["Key"] for found in listing]
                while keys and left:
                    batch, keys = keys[:left], keys[left:]
                    labels = [label for label in pool.map(self._label_of, batch) if label]
                    yield from labels
                    left -= len(labels)

    def photos_of(self, reviewer: str, limit: int, *, days: int, searched: int) -> list[str]:
        """Return the ids of the last `limit` photos for which an answer of `reviewer`, the id of a Reviewer, counts.

        They are among the last `searched` answers of all reviewers, of requests of the last `days` days.
        """
        found: dict[str, None] = {}
        today = datetime.now(UTC).date()
        with ThreadPoolExecutor(_READ_THREADS) as pool:
            for days_ago in range(days):
                listing = [*self._list_answers(today - timedelta(days=days_ago))]
                listing.sort(key=lambda one: one["LastModified"], reverse=True)
                keys = [one["Key"] for one in listing[:searched]]
                searched -= len(keys)
                while keys and len(found) < limit:
                    batch, keys = keys[:_READ_THREADS], keys[_READ_THREADS:]
                    named = [LabelKey.parse(name) for name in pool.map(self._name_label, batch) if name]
                    found.update({one.photo_id: None for one in named if one and one.reviewer == reviewer})
        return list(found)[:limit]

    def _list_answers(self, day: date) -> "Iterator[ObjectTypeDef]":
        found = list_objects(self._s3, self.labels.bucket, _day_prefix(day))
        return (one for one in found if _ANSWER_KEY.fullmatch(one["Key"]))

    def _label_of(self, key: str) -> Label | None:
        """Return the label that the object at a key names; None without one of the same photo."""
        named = self._name_label(key)
        label = self.labels.get(named) if named else None
        if named is None or label is None:
            return None
        if len(self._answers) >= _MAX_CACHED:
            self._answers.clear()
        self._answers[key] = named
        return label

    def _name_label(self, key: str) -> str | None:
        """Return the key of the label that the object at a key names; None without one of the same photo."""
        named = self._answers.get(key) or self._read_key(key)
        parsed = LabelKey.parse(named) if named else None
        answer = _ANSWER_KEY.fullmatch(key)
        if parsed is None or answer is None or parsed.photo_id != answer["photo_id"]:
            return None
        return named

    def _read_key(self, key: str) -> str | None:
        """Return the key of the label that an object names; None without an object that names any."""
        content = read_object(self._s3, self.labels.bucket, key, _MAX_BYTES)
        if content is None:
            return None
        try:
            return str(json.loads(content)["label"])
        except (ValueError, TypeError, KeyError, RecursionError):
            log.warning("an object under %s is ignored, because it names no label", PREFIX)
            return None


def _key(request: RequestId, suffix: str) -> str:
    day = request.requested_at.astimezone(UTC).date()
    return f"{_day_prefix(day)}{request.photo_id}-{request.token_hash[:_HASH_DIGITS]}{suffix}"


def _day_prefix(day: date) -> str:
    return f"{PREFIX}{day:%Y/%m/%d}/"
