"""Compute the figures of the report from what was read of a stage."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median, quantiles

from functions.shared.audit import AuditFigures
from functions.shared.champion import Champion
from functions.shared.decision import MODEL
from functions.shared.drift import Comparison, Observation, compare_windows, observe
from functions.shared.drift_state import DriftState
from functions.shared.intervals import clopper_pearson
from functions.shared.photo_record import REJECTED, PhotoRecord
from operate.report.stage import MOST_BUCKETS, Latency, Observed, Rejected

# Below this number of photos, a figure says so instead of showing a share.
FEW = 5
# Of more photos, evenly spaced ones are drawn.
MOST_POINTS = 4000


@dataclass(frozen=True)
class Point:
    """A photo that a model classified: when it was first seen, and the `threshold` that was in force then.

    `alone`: the model decided it without a reviewer.
    """

    at: datetime
    confidence: float
    vehicle: str
    alone: bool
    threshold: float | None
    model_version: str | None


@dataclass(frozen=True)
class Share:
    """`number` of `photos`, with the 95% interval of the share; the share is None with fewer than FEW photos."""

    number: int
    photos: int
    share: float | None = None
    lower: float | None = None
    upper: float | None = None

    @classmethod
    def of(cls, number: int, photos: int) -> "Share":
        """Return the share with its interval (Clopper and Pearson)."""
        if photos < FEW:
            return cls(number, photos)
        return cls(number, photos, number / photos, *clopper_pearson(number, photos))


@dataclass(frozen=True)
class Wait:
    """How long `photos` drivers waited from the upload to the decision, in seconds."""

    photos: int
    median: float
    p95: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Wait":
        """Return median and 95th percentile of at least one wait."""
        p95 = quantiles(seconds, n=20, method="inclusive")[-1] if len(seconds) > 1 else seconds[0]
        return cls(len(seconds), median(seconds), p95)


@dataclass(frozen=True)
class Bucket:
    """The photos first seen in one of the equal intervals of time.

    `classes` counts what the model answered; `review` is the share of the classified photos that went to a reviewer,
    `rejected` that of all photos. `waits` are those of the decided photos by who decided: model, reviewer, fallback.
    """

    start: datetime
    photos: int
    classes: Mapping[str, int]
    review: Share
    rejected: Share
    waits: Mapping[str, Wait]


@dataclass(frozen=True)
class Change:
    """A change of the model in production; `what` is `first model`, `promoted`, `rolled back to` or `rejected`."""

    at: datetime
    what: str
    model_version: str


@dataclass(frozen=True)
class Service:
    """A model that was in production from `since` until `until`. `letter` names it in the charts."""

    letter: str
    model_version: str
    since: datetime
    until: datetime
    threshold: float | None
    note: str = ""


@dataclass(frozen=True)
class Look:
    """What the drift watch sees at the end of a period: the comparisons of the window that ends `at`."""

    at: datetime
    photos: int
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True)
class Figures:
    """All figures of one report; `why_no_drift` says why there are no looks."""

    observed: Observed
    points: list[Point]
    buckets: list[Bucket]
    services: list[Service]
    changes: list[Change]
    audit: AuditFigures
    looks: list[Look] = field(default_factory=list)
    why_no_drift: str = ""

    @property
    def classes(self) -> list[str]:
        """What the model answered in this time, in the order of the alphabet."""
        return sorted({name for bucket in self.buckets for name in bucket.classes})

    @property
    def latency(self) -> list[Latency]:
        """The time that the endpoint took."""
        return self.observed.latency

    @property
    def rejected(self) -> list[Rejected]:
        """The challengers of this time that did not become champion."""
        return [one for one in self.observed.rejected if one.at >= self.observed.since]


def compute(observed: Observed) -> Figures:
    """Return the figures of what was observed."""
    points = [point for record in observed.photos if (point := _point(record))]
    services, changes = _history(observed)
    looks, why = _looks(observed)
    return Figures(
        observed=observed,
        points=points[:: 1 + len(points) // MOST_POINTS],
        buckets=list(_buckets(observed)),
        services=services,
        changes=changes,
        audit=observed.audit,
        looks=looks,
        why_no_drift=why,
    )


def _point(record: PhotoRecord) -> Point | None:
    if record.classification is None:
        return None
    return Point(
        at=datetime.fromisoformat(record.first_seen_at),
        confidence=float(record.classification["confidence"]),
        vehicle=str(record.classification["vehicle"]),
        alone=record.review is None,
        threshold=record.threshold,
        model_version=record.classification.get("model_version"),
    )


def _buckets(observed: Observed) -> Iterator[Bucket]:
    number = -(-(observed.until - observed.since) // observed.width)
    contents: list[list[PhotoRecord]] = [[] for _ in range(number)]
    for record in observed.photos:
        contents[(datetime.fromisoformat(record.first_seen_at) - observed.since) // observed.width].append(record)
    for index, records in enumerate(contents):
        classified = [record for record in records if record.classification]
        waits: dict[str, list[float]] = {}
        for record in records:
            if (wait := _wait_s(record)) is not None:
                waits.setdefault(str((record.outcome or {})["decided_by"]), []).append(wait)
        yield Bucket(
            start=observed.since + index * observed.width,
            photos=len(records),
            classes=dict(Counter(str((record.classification or {})["vehicle"]) for record in classified)),
            review=Share.of(sum(record.review is not None for record in classified), len(classified)),
            rejected=Share.of(sum(record.status == REJECTED for record in records), len(records)),
            waits={name: Wait.of(seconds) for name, seconds in waits.items()},
        )


def _wait_s(record: PhotoRecord) -> float | None:
    """Return the time from the upload to the decision, None without a decision."""
    decided_at = (record.outcome or {}).get("decided_at")
    if decided_at is None:
        return None
    begun = record.photo.uploaded_at or record.first_seen_at
    return max(0.0, (datetime.fromisoformat(decided_at) - datetime.fromisoformat(begun)).total_seconds())


def _history(observed: Observed) -> tuple[list[Service], list[Change]]:
    """Return which model was in production when, and the changes since the first photo."""
    begun = _beginnings(observed.models)
    ends = [*(at for at, _, _ in begun), observed.until][1:]
    letters: dict[str, str] = {}
    services = []
    for (at, _, model), end in zip(begun, ends, strict=False):
        if end > observed.since:
            letter = letters.setdefault(model.model_version, _letter(len(letters)))
            services.append(Service(letter, model.model_version, at, end, model.threshold, _note(model)))
    changes = [
        Change(at, "first model" if model.is_initial and what == "promoted" else what, model.model_version)
        for at, what, model in begun
        if at >= observed.since
    ]
    changes += [Change(one.at, "rejected", one.model_version) for one in observed.rejected if one.at >= observed.since]
    return services, sorted(changes, key=lambda change: change.at)


def _beginnings(models: Sequence[Champion]) -> list[tuple[datetime, str, Champion]]:
    found = [
        (datetime.fromisoformat(at), what, model)
        for model in models
        for at, what in ((model.promoted_at, "promoted"), (model.restored_at, "rolled back to"))
        if at
    ]
    return sorted(found, key=lambda one: one[0])


def _letter(index: int) -> str:
    """Return the name of the model with this index in the charts.

    >>> _letter(0), _letter(26)
    ('A', 'A1')
    """
    return chr(ord("A") + index % 26) + (str(index // 26) if index >= 26 else "")


def _note(model: Champion) -> str:
    notes = ["an initial model"] if model.is_initial else []
    if model.rolled_back_at:
        notes.append(f"rolled back: {model.rolled_back_reason}")
    return ", ".join(notes)


def _looks(observed: Observed) -> tuple[list[Look], str]:
    """Return what the drift watch sees at the end of each period of the champion, or why there is nothing to see."""
    state, rules = observed.drift, observed.rules
    if state is None:
        return [], "The drift watch has not run yet: it runs every hour."
    since = max(datetime.fromisoformat(state.since), observed.since)
    ends = list(_period_ends(state, rules.drift_period, observed))
    if not ends:
        first = (datetime.fromisoformat(state.since) + rules.drift_period).astimezone(observed.zone)
        return [], f"The first period of this model ends at {first:%Y-%m-%d %H:%M} ({rules.time_zone})."
    seen = [
        (datetime.fromisoformat(record.first_seen_at), observation)
        for record in observed.photos
        if (record.classification or {}).get("model_version") == state.model_version
        and (observation := observe(record, state.threshold))
    ]
    looks, most = [], 0
    for end in ends:
        begin = max(since, end - rules.drift_period * rules.drift_periods)
        earlier = _between(seen, begin, end - rules.drift_period)
        newest = _between(seen, max(begin, end - rules.drift_period), end)
        photos = len(earlier) + len(newest)
        most = max(most, photos)
        if photos >= rules.drift_photos:
            found = compare_windows(earlier, newest, state.references, rules.psi_limit, rules.drift_photos)
            looks.append(Look(end, photos, tuple(found)))
    looks = [look for look in looks if look.comparisons]
    if looks:
        return looks, ""
    if most < rules.drift_photos:
        return (
            [],
            f"Too few photos: at most {most} in a window, and the drift watch compares from {rules.drift_photos} on.",
        )
    return [], "There is no reference yet: it is made of the first photos of the model."


def _period_ends(state: DriftState, period: timedelta, observed: Observed) -> Iterator[datetime]:
    """Yield the ends of the periods of the champion in the time of the report, of more than MOST_BUCKETS the last."""
    begun = datetime.fromisoformat(state.since)
    last = (observed.until - begun) // period
    first = max(1, -(-(observed.since - begun) // period), last - MOST_BUCKETS + 1)
    for number in range(first, last + 1):
        yield begun + number * period


def _between(seen: Sequence[tuple[datetime, Observation]], begin: datetime, end: datetime) -> list[Observation]:
    return [observation for at, observation in seen if begin <= at < end]


def decided_alone(figures: Figures) -> Share:
    """Return the share of the photos with a classification that the model decided alone."""
    records = [record for record in figures.observed.photos if record.classification]
    alone = sum((record.outcome or {}).get("decided_by") == MODEL for record in records)
    return Share.of(alone, len(records))
