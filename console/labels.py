"""Labels: the answers of reviewers and the pictures that they saw, stored in S3 as training data.

Each answer is an object of its own, `labels/{photo id}/{reviewer}/{n}.json`, written once; a correction is a new label
of the same reviewer. The policy of the bucket lets a reviewer write only under their own id, so the key says who wrote
a label, and a content that says otherwise is none.
"""

import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from console.identity import Reviewer
from console.pictures import Picture
from console.review_request import RequestId, ReviewRequest
from functions.shared.aws import call_failed, error_code
from functions.shared.errors import AwsRefused
from functions.shared.label import AMBIGUOUS, LABELS, LARGEST_LABEL_BYTES, LabelKey, NotALabel, read_label
from functions.shared.s3 import ABSENT, create_once, list_objects
from functions.shared.times import timestamp

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

log = logging.getLogger(__name__)

_ATTEMPTS = 10
_MAX_CACHED = 5000


@dataclass(frozen=True)
class Label:
    """An answer about a photo.

    `vehicle` is a configured one, `other` or one of NOT_LEARNT; `model_vehicle`, `model_version` are of the prediction.
    `reviewer` is the id of a Reviewer, `reviewer_name` the name for display. `seconds` is the time from the request to
    the answer. `answer_id` identifies the answer. `blind` is whether the reviewer answered before seeing what the
    model, or another reviewer, answered. `picture` is the name of the picture beside the label, None without one.
    `number` counts the labels of this reviewer for this photo from 1; it is 0 before the label is saved.
    """

    photo: dict[str, Any]
    photo_id: str
    driver_id: str
    vehicle: str
    reviewer: str
    reviewer_name: str
    answered_at: str
    seconds: float
    reason: str
    model_vehicle: str | None
    confidence: float | None
    probabilities: dict[str, float] | None
    model_version: str | None
    threshold: float | None
    agrees: bool | None
    execution: str
    requested_at: str
    token_hash: str
    answer_id: str
    blind: bool
    picture: str | None = None
    number: int = 0

    @classmethod
    def of(
        cls,
        request: ReviewRequest,
        vehicle: str,
        reviewer: Reviewer,
        answered_at: datetime,
        answer_id: str,
        *,
        blind: bool = False,
    ) -> "Label":
        """Return the label of an answer to a request."""
        return cls(
            photo=request.photo.as_state(),
            photo_id=request.photo.photo_id,
            driver_id=request.driver_id,
            vehicle=vehicle,
            reviewer=reviewer.id,
            reviewer_name=reviewer.name,
            answered_at=timestamp(answered_at),
            seconds=max(0.0, round((answered_at - request.requested_at).total_seconds(), 3)),
            reason=request.reason,
            model_vehicle=request.vehicle,
            confidence=request.confidence,
            probabilities=dict(request.probabilities) if request.probabilities else None,
            model_version=request.model_version,
            threshold=request.threshold,
            agrees=_agreement(request.vehicle, vehicle),
            execution=request.execution,
            requested_at=timestamp(request.requested_at),
            token_hash=request.token_hash,
            answer_id=answer_id,
            blind=blind,
        )

    @classmethod
    def from_json(cls, content: bytes, key: str) -> "Label":
        """Parse the object at a key. Raises NotALabel."""
        named = LabelKey.parse(key)
        if named is None or not named.is_label:
            raise NotALabel("the key is not that of a label")
        return cls(**read_label(content, named), number=named.number)

    @property
    def key(self) -> str:
        """The key in S3."""
        return f"{_folder(self.photo_id, self.reviewer)}{self.number}.json"

    @property
    def answered(self) -> datetime:
        """When the answer was given."""
        return datetime.fromisoformat(self.answered_at)

    @property
    def request_id(self) -> RequestId:
        """The request that was answered."""
        return RequestId(self.photo_id, self.token_hash, datetime.fromisoformat(self.requested_at))

    def agreement_with(self, vehicle: str) -> bool | None:
        """Return what `agrees` is for another answer."""
        return _agreement(self.model_vehicle, vehicle)

    def as_json(self) -> bytes:
        """Return the content of the object, as in events/contracts/label.json."""
        fields = asdict(self)
        del fields["number"]
        return json.dumps(fields, ensure_ascii=False, indent=2).encode()

    def as_event(self, *, accepted: bool) -> dict[str, Any]:
        """Return the detail of the event `Review Completed`."""
        return {
            "photo": self.photo,
            "driver_id": self.driver_id,
            "vehicle": self.vehicle,
            "reviewer": self.reviewer,
            "reviewer_name": self.reviewer_name,
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


class Labels:
    """The labels of one stage."""

    def __init__(self, bucket: str, s3: "S3Client") -> None:
        """Read and write labels in `bucket`, the ML bucket of the stage."""
        self.bucket = bucket
        self._s3 = s3
        self._cached: dict[str, Label] = {}  # by key; a label does not change

    def keys(self, photo_id: str) -> list[str]:
        """Return the keys of a photo's labels by the second in which they were written, then by key."""
        found = list_objects(self._s3, self.bucket, f"{LABELS}{photo_id}/")
        return [key for _, key in sorted((one["LastModified"], one["Key"]) for one in found) if _is_label(key)]

    def find_first(self, photo_id: str, counts: Callable[[Label], bool]) -> Label | None:
        """Return the first of a photo's labels that counts, in the order of `keys`, or None before such an answer."""
        found = map(self.get, self.keys(photo_id))
        return next((label for label in found if label and counts(label)), None)

    def get(self, key: str) -> Label | None:
        """Return the label at a key; None when there is no object, or one that is not a label, which is logged."""
        if cached := self._cached.get(key):
            return cached
        content = read_object(self._s3, self.bucket, key, LARGEST_LABEL_BYTES)
        if content is None:
            return None
        try:
            label = Label.from_json(content, key)
        except NotALabel as error:
            log.warning("an object under %s is ignored: %s", LABELS, error)
            return None
        if len(self._cached) >= _MAX_CACHED:
            self._cached.clear()
        self._cached[key] = label
        return label

    def save(self, label: Label, picture: Picture | None = None) -> Label:
        """Save an answer under the next number of its reviewer, with the picture that they saw; return the label.

        The picture is written first. Saving the same answer again changes nothing. Raises ClientError, BotoCoreError,
        and RuntimeError when every attempt conflicts with another writer.
        """
        folder = _folder(label.photo_id, label.reviewer)
        keys = [key for key in self.keys(label.photo_id) if key.startswith(folder)]
        for key in keys:
            if (saved := self.get(key)) and saved.answer_id == label.answer_id:
                return saved
        last = max((_number(key) for key in keys), default=0)
        for number in range(last + 1, last + 1 + _ATTEMPTS):
            name = f"{number}{picture.suffix}" if picture else None
            if picture and name and not self._create(f"{folder}{name}", picture.content, picture.media_type):
                continue
            numbered = replace(label, number=number, picture=name)
            if self._create(numbered.key, numbered.as_json(), "application/json"):
                return numbered
        raise RuntimeError(f"photo {label.photo_id}: other writers took the next {_ATTEMPTS} numbers; try again")

    def _create(self, key: str, content: bytes, media_type: str) -> bool:
        """Write an object; False when there is one with another content.

        One with the same content was written by an earlier attempt: the response to it was lost, or the process that
        made it stopped.
        """
        if create_once(self._s3, self.bucket, key, content, media_type):
            return True
        return read_object(self._s3, self.bucket, key, len(content) + 1) == content


def read_object(s3: "S3Client", bucket: str, key: str, most_bytes: int) -> bytes | None:
    """Return the first `most_bytes` of an object; None when there is none, or one that S3 refuses to return.

    A reviewer can write an object that nobody else may decrypt, or that is archived. Raises ClientError or
    BotoCoreError when S3 does not answer.
    """
    try:
        return s3.get_object(Bucket=bucket, Key=key)["Body"].read(most_bytes)
    except ClientError as error:
        if error_code(error) in ABSENT:
            return None
        if not isinstance(call_failed(error), AwsRefused):
            raise
        log.warning(
            "an object under %s is ignored: S3 refuses to return it (%s)", key.partition("/")[0], error_code(error)
        )
        return None


def _agreement(predicted: str | None, vehicle: str) -> bool | None:
    """Whether an answer is the prediction; None without one, and for an answer that says nothing about it."""
    return None if predicted is None or vehicle == AMBIGUOUS else predicted == vehicle


def _is_label(key: str) -> bool:
    parsed = LabelKey.parse(key)
    return parsed is not None and parsed.is_label


def _folder(photo_id: str, reviewer: str) -> str:
    return f"{LABELS}{photo_id}/{reviewer}/"


def _number(key: str) -> int:
    return int(key.rpartition("/")[2].removesuffix(".json"))
