"""The figures of the audit: the error among the decisions of the model, and how far two reviewers agree."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from functions.shared.decision import MODEL
from functions.shared.intervals import clopper_pearson
from functions.shared.label import NOT_LEARNT
from functions.shared.photo_record import ROUTED, PhotoRecord

WINDOW = timedelta(days=28)
"""The photos that the figures are about: those decided in the time before now."""

# The reasons of requests for labels that no driver waits for.
AUDITED = "Audit"
REVIEW_TIMED_OUT = "ReviewTimedOut"
SECOND = "SecondOpinion"
UNSURE_IN_BATCH = "UnsureInBatch"
BLIND = (AUDITED, SECOND)
"""The reasons of requests that a reviewer answers without seeing what the model or another reviewer answered."""


@dataclass(frozen=True)
class AuditedPhoto:
    """A photo in the audit sample: the `vehicle` that the model decided, and the `answer` of a reviewer, if any.

    `share` is the share of photos that were in the sample when this one was decided.
    """

    vehicle: str
    model_version: str
    share: float
    answer: str | None

    @classmethod
    def of(cls, record: PhotoRecord) -> "AuditedPhoto | None":
        """Return the photo of a record; None when it is not in the sample."""
        outcome = record.outcome or {}
        if record.audit is None or record.status != ROUTED or outcome.get("decided_by") != MODEL:
            return None
        answer = record.label_answer["vehicle"] if record.label_answer else None
        return cls(outcome["vehicle"], outcome["model_version"], record.audit["share"], answer)


@dataclass(frozen=True)
class Estimate:
    """The error among decisions of the model.

    `answered` photos have a usable answer, `wrong` of them another one than the model's decision. `unusable` photos
    show nothing that a person can classify; `open` ones have no answer yet. `error`, `lower` and `upper` are in [0, 1],
    None without answers; the interval has a confidence of 95%.
    """

    answered: int
    wrong: int
    unusable: int
    open: int
    error: float | None = None
    lower: float | None = None
    upper: float | None = None


def estimate(photos: Iterable[AuditedPhoto]) -> Estimate:
    """Estimate the error of the decisions that the photos are a sample of.

    A photo stands for 1 / `share` decisions (Hájek's estimator). With one share the interval is that of Clopper and
    Pearson. With several it is that of the number of photos of one share whose estimate has the same variance, or of
    Kish's effective sample size if that is smaller, as Korn and Graubard (Survey Methodology 24, 1998) do.
    """
    photos = list(photos)
    usable = [photo for photo in photos if photo.answer not in (None, *NOT_LEARNT)]
    counts = Estimate(
        answered=len(usable),
        wrong=sum(photo.answer != photo.vehicle for photo in usable),
        unusable=sum(photo.answer in NOT_LEARNT for photo in photos),
        open=sum(photo.answer is None for photo in photos),
    )
    if not usable:
        return counts
    weights = [1 / photo.share for photo in usable]
    total = sum(weights)
    wrong = [photo.answer != photo.vehicle for photo in usable]
    error = sum(weight for weight, is_wrong in zip(weights, wrong, strict=True) if is_wrong) / total
    number = total**2 / sum(weight**2 for weight in weights)
    variance = sum((weight * (is_wrong - error)) ** 2 for weight, is_wrong in zip(weights, wrong, strict=True))
    if variance:
        number = min(number, error * (1 - error) * total**2 / variance)
    lower, upper = clopper_pearson(error * number, number)
    return Estimate(counts.answered, counts.wrong, counts.unusable, counts.open, error, lower, upper)


@dataclass(frozen=True)
class Agreement:
    """How often two reviewers gave the same answer about a photo.

    `photos` have two answers. `agreement` is the share with equal ones, None without photos. `kappa` is Cohen's kappa:
    1 for perfect agreement, 0 for that of chance; None without photos, and when all answers are the same one.
    """

    photos: int
    agreement: float | None = None
    kappa: float | None = None

    @classmethod
    def of(cls, pairs: Sequence[tuple[str, str]]) -> "Agreement":
        """Compare pairs of answers (Cohen, Educational and Psychological Measurement 20, 1960).

        >>> Agreement.of([("bicycle", "bicycle"), ("bicycle", "motorcycle"), ("motorcycle", "motorcycle")])
        Agreement(photos=3, agreement=0.6666666666666666, kappa=0.4)
        """
        if not pairs:
            return cls(0)
        number = len(pairs)
        equal = sum(first == second for first, second in pairs) / number
        firsts, seconds = (Counter(answers) for answers in zip(*pairs, strict=True))
        by_chance = sum(count * seconds[answer] for answer, count in firsts.items()) / number**2
        return cls(number, equal, round((equal - by_chance) / (1 - by_chance), 12) if by_chance < 1 else None)


@dataclass(frozen=True)
class AuditFigures:
    """The figures of the photos decided in WINDOW: all, by model version and by vehicle that the model decided.

    `model_version` is the one that decided last, None without photos.
    """

    model_version: str | None
    by_model: dict[str, Estimate]
    by_vehicle: dict[str, Estimate]
    reviewers: Agreement

    @classmethod
    def of(cls, records: Iterable[PhotoRecord]) -> "AuditFigures":
        """Compute the figures of the records with `label_wanted`, the oldest first.

        Those by vehicle are of the model version that decided last.
        """
        records = list(records)
        audited = [photo for record in records if (photo := AuditedPhoto.of(record))]
        newest = audited[-1].model_version if audited else None
        by_model, by_vehicle = defaultdict(list), defaultdict(list)
        for photo in audited:
            by_model[photo.model_version].append(photo)
            if photo.model_version == newest:
                by_vehicle[photo.vehicle].append(photo)
        pairs = [
            (record.second_request["first"]["vehicle"], record.second_answer["vehicle"])
            for record in records
            if record.second_request and record.second_answer
        ]
        return cls(
            newest,
            {name: estimate(photos) for name, photos in by_model.items()},
            {name: estimate(photos) for name, photos in sorted(by_vehicle.items())},
            Agreement.of(pairs),
        )

    @property
    def current(self) -> Estimate | None:
        """The estimate of the model version that decided last."""
        return self.by_model[self.model_version] if self.model_version else None

    def as_state(self) -> dict[str, Any]:
        """Return the figures as JSON."""
        return asdict(self)
