"""The answers of reviewers in the ML bucket, as the console writes them."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from functions.shared.aws import call_failed, error_code
from functions.shared.errors import AwsRefused
from functions.shared.label import LABELS, LARGEST_LABEL_BYTES, LabelKey, NotALabel, read_label
from functions.shared.s3 import ABSENT, list_objects

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_ANSWERED = re.compile(r"reviews/\d{4}/\d\d/\d\d/([0-9a-f]{32})-([0-9a-f]{16})\.answer\.json")


@dataclass(frozen=True)
class Answer:
    """An answer of a reviewer to the request with the id `token_hash`."""

    token_hash: str
    vehicle: str
    reviewer: str
    answered_at: str

    def as_attribute(self) -> dict[str, str]:
        """Return the answer as the record of the photo has it."""
        return {"vehicle": self.vehicle, "reviewer": self.reviewer, "answered_at": self.answered_at}


class Answers:
    """The answers of one stage. Every method raises ClientError or BotoCoreError when S3 does not answer."""

    def __init__(self, bucket: str, s3: "S3Client") -> None:
        """`bucket` is the ML bucket."""
        self._bucket = bucket
        self._s3 = s3

    def list_answered(self, days: Iterable[date]) -> dict[str, set[str]]:
        """Return the photos with answered requests of these days: the first digits of their token hashes, by photo id.

        Any reviewer can write these objects, so they only tell where to look for labels.
        """
        found: defaultdict[str, set[str]] = defaultdict(set)
        for day in days:
            for listed in list_objects(self._s3, self._bucket, f"reviews/{day:%Y/%m/%d}/"):
                if match := _ANSWERED.fullmatch(listed["Key"]):
                    found[match[1]].add(match[2])
        return dict(found)

    def read(self, photo_id: str, requests: Iterable[Mapping[str, Any]]) -> list[Answer]:
        """Return the answers about a photo to these requests of its record, in the order in which S3 stored them."""
        requested = {request["token_hash"] for request in requests}
        listed = [
            (found["LastModified"], key)
            for found in list_objects(self._s3, self._bucket, f"{LABELS}{photo_id}/")
            if (key := LabelKey.parse(found["Key"])) and key.is_label
        ]
        answers = (self._read(key) for _, key in sorted(listed, key=lambda one: (one[0], one[1].reviewer)))
        return [answer for answer in answers if answer and answer.token_hash in requested]

    def _read(self, key: LabelKey) -> Answer | None:
        """Return a label; None for an object that is none, or that a reviewer keeps others from reading."""
        name = f"{LABELS}{key.photo_id}/{key.reviewer}/{key.number}.json"
        try:
            content = self._s3.get_object(Bucket=self._bucket, Key=name)["Body"].read(LARGEST_LABEL_BYTES)
            label = read_label(content, key)
        except NotALabel:  # BuildDataset counts and reports what is no label
            return None
        except ClientError as error:
            if error_code(error) in ABSENT or isinstance(call_failed(error), AwsRefused):
                return None
            raise
        return Answer(label["token_hash"], label["vehicle"], label["reviewer"], label["answered_at"])
