"""Why labels are not in a snapshot, and how many for each reason."""

from collections import Counter, defaultdict
from enum import StrEnum

# Photo ids in the log for each reason.
_EXAMPLES = 5


class Reason(StrEnum):
    """Why a label is not used. Those up to NO_PICTURE concern its evidence, the others its photo and other labels."""

    MALFORMED = "Malformed"  # key or content is not as label.json describes it
    UNREADABLE = "Unreadable"  # S3 refuses to return the object: archived, or encrypted with another key
    WRONG_PHOTO = "WrongPhoto"  # the content is about another photo than the key
    WRONG_IDENTITY = "WrongIdentity"  # the content names another reviewer than the key
    NO_RECORD = "NoRecord"  # this stage has no record of the photo
    NO_SUCH_REQUEST = "NoSuchRequest"  # no review with this token was requested for the photo
    WRONG_TIME = "WrongTime"  # answered before the request, or after the label was written
    NO_PICTURE = "NoPicture"  # the picture that the reviewer saw is missing, too large or cannot be copied

    OVER_REVIEWER_LIMIT = "OverReviewerLimit"
    REJECTED_PHOTO = "RejectedPhoto"
    CORRECTED = "Corrected"  # the reviewer gave a later answer
    OUTVOTED = "Outvoted"
    CONTESTED = "Contested"  # no majority
    UNUSABLE = "Unusable"
    UNKNOWN_VEHICLE = "UnknownVehicle"  # not configured, or not among the classes of this retraining
    OVER_DRIVER_LIMIT = "OverDriverLimit"


class SkippedLabels:
    """Counts the labels that are not used, and keeps the ids of some of their photos."""

    def __init__(self) -> None:
        """Begin with none."""
        self._counts: Counter[Reason] = Counter()
        self._examples: defaultdict[Reason, list[str]] = defaultdict(list)

    def add(self, reason: Reason, photo_id: str | None) -> None:
        """Count a label; `photo_id` is None when its key contains no photo id."""
        self._counts[reason] += 1
        known = self._examples[reason]
        if photo_id and photo_id not in known and len(known) < _EXAMPLES:
            known.append(photo_id)

    @property
    def counts(self) -> dict[str, int]:
        """The number of labels by reason, in the order of Reason, without zeros."""
        return {reason.value: self._counts[reason] for reason in Reason if self._counts[reason]}

    @property
    def examples(self) -> dict[str, list[str]]:
        """Up to five photo ids by reason."""
        return {reason.value: self._examples[reason] for reason in Reason if self._examples[reason]}
