"""Why labels are not in a snapshot, how many for each reason, and which reviewers disagree with the others."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from enum import StrEnum

# Photo ids in the log for each reason.
_EXAMPLES = 5
# Reviewers in the result of a retraining.
_REVIEWERS = 10


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
    OUTVOTED = "Outvoted"  # most gave another answer, or as many, and theirs routed the driver
    CONTESTED = "Contested"  # no majority, and no answer routed the driver
    UNUSABLE = "Unusable"
    AMBIGUOUS = "Ambiguous"  # several vehicles, and the reviewers could not say which counts
    UNKNOWN_VEHICLE = "UnknownVehicle"  # not configured, or not among the classes of this retraining
    OVER_DRIVER_LIMIT = "OverDriverLimit"


class SkippedLabels:
    """Counts the labels that are not used and the votes of reviewers, and keeps the ids of some of the photos."""

    def __init__(self) -> None:
        """Begin with none."""
        self._counts: Counter[Reason] = Counter()
        self._examples: defaultdict[Reason, list[str]] = defaultdict(list)
        self._votes: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def add(self, reason: Reason, photo_id: str | None) -> None:
        """Count a label; `photo_id` is None when its key contains no photo id."""
        self._counts[reason] += 1
        known = self._examples[reason]
        if photo_id and photo_id not in known and len(known) < _EXAMPLES:
            known.append(photo_id)

    def add_votes(self, votes: Mapping[str, str], vehicle: str | None) -> None:
        """Count the votes about a photo, vehicles by reviewer; `vehicle` is its label, None when it is contested."""
        for reviewer, vote in votes.items():
            self._votes[reviewer]["votes"] += 1
            self._votes[reviewer]["outvoted" if vehicle else "contested"] += vote != vehicle

    @property
    def disagreeing(self) -> dict[str, dict[str, int]]:
        """The `votes`, and how many of them were `outvoted` and `contested`, of the reviewers with any of these.

        At most ten reviewers, those with the largest share first: outvoted, then contested.
        """

        def shares(reviewer: str) -> tuple[float, float, str]:
            found = self._votes[reviewer]
            return -found["outvoted"] / found["votes"], -found["contested"] / found["votes"], reviewer

        found = [name for name, votes in self._votes.items() if votes["outvoted"] or votes["contested"]]
        names = ("votes", "outvoted", "contested")
        return {one: {name: self._votes[one][name] for name in names} for one in sorted(found, key=shares)[:_REVIEWERS]}

    @property
    def counts(self) -> dict[str, int]:
        """The number of labels by reason, in the order of Reason, without zeros."""
        return {reason.value: self._counts[reason] for reason in Reason if self._counts[reason]}

    @property
    def examples(self) -> dict[str, list[str]]:
        """Up to five photo ids by reason."""
        return {reason.value: self._examples[reason] for reason in Reason if self._examples[reason]}
