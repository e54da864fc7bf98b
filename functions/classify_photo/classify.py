"""Classify a photo: the model decides, a review is needed, the photo is one of too many, or it has an outcome."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from functions.classify_photo.audit_share import AuditShare
from functions.classify_photo.upload_limit import Excess, UploadLimit
from functions.shared.assessment import LOW_CONFIDENCE, Assessor
from functions.shared.decision import MODEL, Decision
from functions.shared.endpoint import Answer, Classification
from functions.shared.errors import UploadsNotCounted
from functions.shared.events import EventBus
from functions.shared.outcomes import Recorded, announce, announce_new
from functions.shared.photo import Photo
from functions.shared.photo_record import ROUTED
from functions.shared.photo_table import PhotoTable, Refused
from functions.shared.sampling import AUDIT, in_sample
from functions.shared.times import now, timestamp
from functions.shared.vehicles import Vehicles

UNSURE = "unsure"
DECIDED = "decided"
EXCESS = "excess"


@dataclass(frozen=True)
class Outcome:
    """The result for a photo: the model's answer and the threshold, both None for one of too many photos.

    `reason` is why a review is needed. It is None when the photo has an outcome: `recorded`, which is the decision of
    the model or an earlier outcome; and of one of too many photos. `uncounted` is why the upload was not counted, None
    when it was.
    """

    photo: Photo
    answer: Answer | None = None
    threshold: float | None = None
    reason: str | None = None
    recorded: Recorded | None = None
    excess: Excess | None = None
    uncounted: str | None = None

    def as_state(self) -> dict[str, Any]:
        """Return the outcome as JSON; the workflow branches on its `outcome`."""
        return {
            "photo": self.photo.as_state(),
            "driver_id": self.photo.driver_id,
            "classification": self.answer.classification.as_state() if self.answer else None,
            "threshold": self.threshold,
            "outcome": EXCESS if self.excess else DECIDED if self.recorded else UNSURE,
            "reason": self.reason,
            "recorded": dict(self.recorded.outcome) if self.recorded else None,
            "excess": self.excess.as_state() if self.excess else None,
        }


@dataclass(frozen=True)
class Classifier:
    """Classifies photos; decides about those of which the model is confident.

    The decision is recorded together with the classification and announced at once: another function for it would
    keep the driver waiting longer (docs/performance.md). A share of these photos is marked for an audit in the same
    write; AuditDecisions asks reviewers about them (docs/audit.md).
    """

    limit: UploadLimit
    photos: PhotoTable
    assessor: Assessor
    audit_share: AuditShare
    vehicles: Vehicles
    bus: EventBus

    def process(self, photo: Photo, uploaded_at: datetime, execution: str) -> Outcome:
        """Classify a photo unless its driver uploaded too many in the minute of `uploaded_at`.

        A photo of too many is not read. Another function rejects it: a flood occupies this one, which all drivers
        share, for a few milliseconds per photo. Without the table of the limit every photo is classified: the limit
        protects drivers from each other, and must not stop all of them. Raises the errors of `classify`.
        """
        photo = self.assessor.uploads.identify(photo)
        try:
            excess = self.limit.find_excess(photo, uploaded_at)
        except UploadsNotCounted as error:
            return replace(self.classify(photo, execution), uncounted=str(error))
        if excess is None:
            return self.classify(photo, execution)
        return Outcome(photo, excess=excess)

    def classify(self, photo: Photo, execution: str) -> Outcome:
        """Classify a photo and record the classification, unless it has an outcome or a review of another execution.

        The record is not read before: an event is delivered twice so rarely that a second classification costs less
        than a read for every photo.

        Raises the errors of `Assessor.assess`; RecordUnavailable; EventNotPublished, AnnouncementPending.
        """
        assessment = self.assessor.assess(photo)
        photo, answer = assessment.photo, assessment.answer
        threshold, reason = assessment.threshold, assessment.reason
        at = now()
        classification = answer.classification
        decision = None if reason else self._decide(photo, classification, execution, at).as_state()
        share = self.audit_share.current()
        try:
            self.photos.classify(
                photo,
                execution,
                at,
                classification=classification.as_state(),
                threshold=threshold,
                image=answer.image,
                decision=decision,
                audit={"share": share} if decision and in_sample(photo.photo_id, share, AUDIT) else None,
            )
        except Refused as refused:
            record = refused.record
            if not record.has_outcome:
                # A photo in review stays there, also when a newer model is confident.
                return Outcome(photo, answer, threshold, (record.review or {}).get("reason", LOW_CONFIDENCE))
            return Outcome(photo, answer, threshold, None, announce(record, execution, at, self.photos, self.bus))
        if decision is None:
            return Outcome(photo, answer, threshold, reason)
        recorded = announce_new(photo, ROUTED, decision, at, self.photos, self.bus)
        return Outcome(photo, answer, threshold, None, recorded)

    def _decide(self, photo: Photo, classification: Classification, execution: str, at: datetime) -> Decision:
        return Decision(
            photo=photo,
            vehicle=classification.vehicle,
            confidence=classification.confidence,
            decided_by=MODEL,
            bay=self.vehicles.bay(classification.vehicle),
            model_version=classification.model_version,
            execution=execution,
            decided_at=timestamp(at),
        )
