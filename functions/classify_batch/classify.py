"""Classify photos as ClassifyPhoto does, without a decision; record one result for each."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from functions.classify_batch.items import Item
from functions.shared.assessment import Assessment, Assessor
from functions.shared.batch_results import CLASSIFIED, FAILED, UNSURE, BatchResults
from functions.shared.errors import BatchUnfinished, FolderMarker, PhotoFault
from functions.shared.photo import UNKNOWN_DRIVER, Photo
from functions.shared.times import now, timestamp

# What the counts of an answer are named, beside the outcomes.
KNOWN = "known"
IGNORED = "ignored"
MALFORMED = "MalformedItem"
# One photo takes less: the endpoint answers within 15 s, S3 and DynamoDB within 5 s in each of three attempts.
PHOTO_MS = 60_000


@dataclass(frozen=True)
class BatchClassifier:
    """Classifies the photos of a part of a batch, one after the other.

    A photo that has a result in this batch is not classified again, so the function may be repeated at any time.
    """

    assessor: Assessor
    results: BatchResults

    def classify(self, batch_id: str, items: Iterable[Item], remaining_ms: Callable[[], int]) -> Counter[str]:
        """Record a result for each item that has none; return how many have which outcome by this call.

        Raises BatchUnfinished when the time does not suffice, and the errors of `Assessor.assess` that a retry can
        resolve; what was recorded before is kept.
        """
        identified = [self._identify(item) for item in items if item.is_photo]
        known = self.results.find_known(batch_id, (_id(item) for item in identified))
        counts: Counter[str] = Counter()
        for item in identified:
            if _id(item) in known:
                counts[KNOWN] += 1
                continue
            if remaining_ms() < PHOTO_MS:
                raise BatchUnfinished(f"{counts.total()} of {len(identified)} photos have a result; repeat the call")
            counts[self._record(batch_id, item)] += 1
            known.add(_id(item))
        return counts

    def _identify(self, item: Item) -> Item:
        if item.photo is None:
            return item
        return Item(item.id, self.assessor.uploads.identify_or_mark_gone(item.photo))

    def _record(self, batch_id: str, item: Item) -> str:
        """Classify a photo, and write its result; return its outcome."""
        try:
            result = self._result(item)
        except FolderMarker:  # no photo
            return IGNORED
        driver = item.photo.driver_id if item.photo else UNKNOWN_DRIVER
        added = self.results.add(batch_id, _id(item), None if driver == UNKNOWN_DRIVER else driver, result, now())
        return str(result["outcome"]) if added else KNOWN

    def _result(self, item: Item) -> dict[str, Any]:
        if item.photo is None:
            return _failed(None, MALFORMED, item.mistake)
        try:
            assessment = self.assessor.assess(item.photo)
        except PhotoFault as error:
            return _failed(item.photo, type(error).__name__, str(error))
        return _assessed(assessment)


def _id(item: Item) -> str:
    return item.photo.photo_id if item.photo else item.id


def _assessed(assessment: Assessment) -> dict[str, Any]:
    return {
        "photo": assessment.photo.as_state(),
        "outcome": UNSURE if assessment.reason else CLASSIFIED,
        "reason": assessment.reason,
        **assessment.answer.classification.as_state(),
        "threshold": assessment.threshold,
        "error": None,
        "classified_at": timestamp(now()),
    }


def _failed(photo: Photo | None, error: str, cause: str) -> dict[str, Any]:
    return {
        "photo": photo.as_state() if photo else None,
        "outcome": FAILED,
        "reason": error,
        **dict.fromkeys(("vehicle", "confidence", "probabilities", "model_version", "threshold")),
        "error": {"Error": error, "Cause": cause},
        "classified_at": timestamp(now()),
    }
