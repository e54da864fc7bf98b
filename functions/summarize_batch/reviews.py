"""Requests for labels of the photos of which a batch was not sure. The answers decide nothing."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from functions.shared.audit import UNSURE_IN_BATCH
from functions.shared.batch import FOLDER
from functions.shared.batch_results import UNSURE
from functions.shared.decision import REVIEWER
from functions.shared.label_requests import LABEL, LabelRequests, new_request
from functions.shared.photo import Photo
from functions.shared.photo_record import BATCHED, ROUTED
from functions.shared.times import now

_CLASSIFICATION = ("vehicle", "confidence", "probabilities", "model_version")


@dataclass(frozen=True)
class BatchReviews:
    """Records the requests; AuditDecisions sends them. A photo has one request, however many batches it is in."""

    photos: LabelRequests
    execution: str

    def request(self, results: Iterable[dict[str, Any]], most: int) -> int:
        """Request labels of the first `most` unsure photos that no reviewer has seen; return how many have a request.

        Photo ids are hashes, so the first ones are a random sample, and the same one in every execution of a batch.
        Raises RecordUnavailable.
        """
        requested = 0
        for result in results:
            if requested == most:
                break
            if result["outcome"] == UNSURE and self._is_requested(result):
                requested += 1
        return requested

    def _is_requested(self, result: dict[str, Any]) -> bool:
        """Whether the photo of an unsure result has a request for a label because of a batch, from now on or before."""
        photo, at = Photo.from_state(result["photo"]), now()
        request = new_request(photo, UNSURE_IN_BATCH, at)
        record = self.photos.get(photo.photo_id)
        if record is None:
            # A photo of a driver is left to its own execution, which may be about to record it.
            return photo.key.startswith(f"{FOLDER}/") and self.photos.create(
                photo,
                request,
                self.execution,
                at,
                classification={name: result[name] for name in _CLASSIFICATION},
                threshold=result["threshold"],
            )
        if record.label_request:
            return bool(record.label_request["reason"] == UNSURE_IN_BATCH)
        # Photos in review, and those that a reviewer decided about, get a label anyway.
        wanted = record.status == BATCHED or (
            record.status == ROUTED and (record.outcome or {}).get("decided_by") != REVIEWER
        )
        return wanted and self.photos.add(record, LABEL, request, at)
