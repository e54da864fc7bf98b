"""Corrections: a reviewer's earlier answers, and a new label instead of one of them.

The earlier label stays, and so does what it decided: the driver has been routed. A correction is the next label of the
same reviewer about the photo, and BuildDataset uses the latest label of each reviewer.
"""

import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime

from console.answers import Choice
from console.desk import InvalidAnswer
from console.identity import Reviewer
from console.labels import Label
from console.photo_records import PhotoRecords
from console.photos import PhotoNotShown, Photos
from console.reviews import Reviews
from functions.shared.events import EventBus
from functions.shared.label import NOT_LEARNT
from functions.shared.photo import Photo
from functions.shared.times import now, timestamp

LISTED = 20
_SEARCHED = 500  # answers of all reviewers, of which those of one are listed
_DAYS = 7
_READ_THREADS = 8


class NotCorrectable(LookupError):
    """The reviewer has no answer about the photo, or the photo cannot be labelled any more."""


@dataclass(frozen=True)
class Given:
    """An answer that a reviewer gave: the latest label about the photo, and `before`, the answers that it corrects."""

    label: Label
    before: tuple[str, ...]


class Corrections:
    """Lists and corrects the answers of one stage."""

    def __init__(
        self,
        reviews: Reviews,
        records: PhotoRecords,
        photos: Photos,
        bus: EventBus,
        choices: Mapping[str, Choice],
    ) -> None:
        """`choices` are the possible answers by their vehicle."""
        self._reviews = reviews
        self._records = records
        self._photos = photos
        self._bus = bus
        self._choices = choices

    def recent(self, reviewer: Reviewer) -> list[Given]:
        """Return the last LISTED answers of a reviewer of the last week, the newest first."""
        photos = self._reviews.photos_of(reviewer.id, LISTED, days=_DAYS, searched=_SEARCHED)
        with ThreadPoolExecutor(_READ_THREADS) as pool:
            given = [found for found in pool.map(lambda photo_id: self._find(photo_id, reviewer), photos) if found]
        return sorted(given, key=lambda one: one.label.answered_at, reverse=True)

    def correct(self, photo_id: str, vehicle: str, reviewer: Reviewer) -> Label:
        """Save another answer of a reviewer about a photo; return its label.

        Raises InvalidAnswer, NotCorrectable, and as Labels.save.
        """
        if vehicle not in self._choices:
            raise InvalidAnswer(f"{vehicle!r} is none of {', '.join(self._choices)}")
        given = self._find(photo_id, reviewer)
        record = self._records.get(photo_id) if given else None
        if given is None or record is None:
            raise NotCorrectable("You have no answer about this photo, or the photo was deleted.")
        latest, at = given.label, now()
        if vehicle == latest.vehicle:
            return latest
        try:
            picture = None if vehicle in NOT_LEARNT else self._photos.picture(Photo.from_state(latest.photo))
        except PhotoNotShown as error:
            raise NotCorrectable(f"{error} Its answer cannot be corrected.") from error
        label = self._reviews.labels.save(
            replace(
                latest,
                vehicle=vehicle,
                reviewer_name=reviewer.name,
                answered_at=timestamp(at),
                seconds=(at - datetime.fromisoformat(latest.requested_at)).total_seconds(),
                agrees=latest.agreement_with(vehicle),
                answer_id=uuid.uuid4().hex,
                # The result of the first answer has shown the opinion of the model.
                blind=False,
                picture=None,
            ),
            picture,
        )
        self._bus.publish("Review Completed", label.as_event(accepted=False))
        return label

    def _find(self, photo_id: str, reviewer: Reviewer) -> Given | None:
        """Return the latest answer of a reviewer about a photo."""
        labels = self._reviews.labels
        found = (labels.get(key) for key in labels.keys(photo_id) if f"/{reviewer.id}/" in key)
        own = sorted((label for label in found if label), key=lambda label: label.number)
        return Given(own[-1], tuple(label.vehicle for label in own[:-1])) if own else None
