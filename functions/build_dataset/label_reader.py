"""Reads the labels in the ML bucket, and keeps those that have evidence."""

from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from functions.build_dataset.evidence import LARGEST_PICTURE_BYTES, Answer, NoEvidence
from functions.build_dataset.labels import Label, Picture
from functions.build_dataset.skipped import Reason, SkippedLabels
from functions.shared.aws import call_failed, error_code
from functions.shared.decision import REVIEWER
from functions.shared.errors import AwsRefused
from functions.shared.label import LABELS, LARGEST_LABEL_BYTES, NOT_LEARNT, LabelKey
from functions.shared.photo_reader import PhotoReader
from functions.shared.photo_record import REJECTED
from functions.shared.s3 import ABSENT, list_objects

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_READ_FROM_RECORDS = ("status", "first_seen_at", "review_requests", "outcome")


@dataclass(frozen=True)
class _Found:
    """A label in the listing; `written_at` is when S3 stored it, `size` is in bytes."""

    name: str
    key: LabelKey
    size: int
    written_at: datetime


class LabelReader:
    """The labels of a stage."""

    def __init__(self, bucket: str, s3: "S3Client", photos: PhotoReader) -> None:
        """`bucket` is the ML bucket."""
        self._bucket = bucket
        self._s3 = s3
        self._photos = photos

    def read(self, pool: Executor, per_reviewer: int, skipped: SkippedLabels) -> list[Label]:
        """Return the labels with evidence, of each reviewer the newest `per_reviewer`; add the others to `skipped`.

        No object that a reviewer can write makes it fail. Raises RecordUnavailable, and ClientError or BotoCoreError
        when S3 does not answer.
        """
        listed, pictures = self._list(skipped)
        found = _newest(listed, per_reviewer, skipped)
        answers = [(label, answer) for label, answer in zip(found, pool.map(self._read, found), strict=True) if answer]
        records = self._photos.find_attributes(
            (label.key.photo_id for label, answer in answers if isinstance(answer, Answer)), _READ_FROM_RECORDS
        )
        labels = []
        for label, answer in answers:
            try:
                labels.append(_check(label, answer, records.get(label.key.photo_id), pictures))
            except NoEvidence as no_evidence:
                skipped.add(no_evidence.reason, label.key.photo_id)
        return labels

    def _list(self, skipped: SkippedLabels) -> tuple[list[_Found], dict[str, str]]:
        """Return the labels, and the ETags of the pictures beside them by key."""
        labels, pictures = [], {}
        for found in list_objects(self._s3, self._bucket, LABELS):
            key = LabelKey.parse(found["Key"])
            if key is None:
                skipped.add(Reason.MALFORMED, None)
            elif key.is_label:
                labels.append(_Found(found["Key"], key, found["Size"], found["LastModified"]))
            elif 0 < found["Size"] <= LARGEST_PICTURE_BYTES:
                pictures[found["Key"]] = found["ETag"]
        return labels, pictures

    def _read(self, label: _Found) -> Answer | Reason | None:
        """Return what a label contains, or why it does not count; None when it was deleted meanwhile."""
        if label.size > LARGEST_LABEL_BYTES:
            return Reason.MALFORMED
        try:
            content = self._s3.get_object(Bucket=self._bucket, Key=label.name)["Body"].read(LARGEST_LABEL_BYTES)
        except ClientError as error:
            if error_code(error) in ABSENT:
                return None
            # A reviewer can write an object that nobody else may decrypt, or that is archived.
            if isinstance(call_failed(error), AwsRefused):
                return Reason.UNREADABLE
            raise
        try:
            return Answer.read(content, label.key)
        except NoEvidence as no_evidence:
            return no_evidence.reason


def _newest(labels: list[_Found], per_reviewer: int, skipped: SkippedLabels) -> list[_Found]:
    """Return the labels of each reviewer that S3 stored last, so that one reviewer cannot use up the time."""
    by_reviewer: defaultdict[str, list[_Found]] = defaultdict(list)
    for label in labels:
        by_reviewer[label.key.reviewer].append(label)
    newest = []
    for written in by_reviewer.values():
        written.sort(key=lambda label: (label.written_at, label.name), reverse=True)
        newest += written[:per_reviewer]
        for label in written[per_reviewer:]:
            skipped.add(Reason.OVER_REVIEWER_LIMIT, label.key.photo_id)
    return newest


def _check(
    label: _Found, answer: Answer | Reason, record: Mapping[str, Any] | None, pictures: Mapping[str, str]
) -> Label:
    """Return the label when it has evidence. Raises NoEvidence."""
    if isinstance(answer, Reason):
        raise NoEvidence(answer)
    if record is None:
        raise NoEvidence(Reason.NO_RECORD)
    answer.check_request(record, label.written_at)
    if record["status"] == REJECTED:
        raise NoEvidence(Reason.REJECTED_PHOTO)
    outcome = record.get("outcome") or {}
    return Label(
        photo=answer.photo,
        vehicle=answer.vehicle,
        reviewer=label.key.reviewer,
        number=label.key.number,
        answered_at=answer.answered_at,
        written_at=label.written_at,
        seen_at=record["first_seen_at"],
        routed=outcome["vehicle"] if outcome.get("decided_by") == REVIEWER else None,
        picture=_find_picture(label, answer, pictures),
    )


def _find_picture(label: _Found, answer: Answer, pictures: Mapping[str, str]) -> Picture | None:
    """Return the picture beside a label; None for an answer of NOT_LEARNT. Raises NoEvidence when it is missing."""
    if answer.vehicle in NOT_LEARNT:
        return None
    key = f"{label.name.rpartition('/')[0]}/{answer.picture}"
    if key not in pictures:
        raise NoEvidence(Reason.NO_PICTURE)
    return Picture(key, pictures[key], key.rpartition(".")[2])
