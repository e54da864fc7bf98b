"""Drift: how much the photos of a window differ from a reference, by the population stability index (PSI).

The PSI is the sum over bins of (p - q) ln(p / q) (Siddiqi, "Credit Risk Scorecards", 2006). Of n photos compared with a
reference of m photos of the same distribution it is about (1/n + 1/m) times a chi-squared variable with one degree of
freedom less than bins (Yurdakul and Naranjo, "Statistical properties of the population stability index", Journal of
Risk Model Validation, 2020): its mean is not 0, and few photos give a large one. So a statistic drifts when its PSI is
too large for chance, and when what remains without the mean exceeds a limit of practical importance.
"""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

from functions.shared.photo_record import PhotoRecord
from functions.shared.vehicles import OTHER

CONFIDENCE, VEHICLE, OTHERS, REVIEW = "confidence", "vehicle", "other", "review"
IMAGE_STATISTICS = ("brightness", "sharpness", "size", "aspect")
STATISTICS = (CONFIDENCE, VEHICLE, OTHERS, REVIEW, *IMAGE_STATISTICS)

BINS = 10
# Between powers of two, and between the usual formats: 9:16, 2:3, 3:4, 1:1, 4:3, 3:2 and 16:9.
_FIXED_EDGES = {"size": (256.0, 512.0, 1024.0, 2048.0, 4096.0), "aspect": (0.6, 0.7, 0.9, 1.1, 1.4, 1.6)}
_CATEGORICAL = (VEHICLE, OTHERS, REVIEW)
_NO_YES = ("no", "yes")

# Of one look, by chance: 365 looks a year give at most 0.37 false alarms. The rest is for photos that are not
# independent (docs/drift.md has the simulation).
FALSE_ALARM_RATE = 0.001
# Of the practical limit, for the newest period alone: one dark day is weather. So is a dark week, in a window.
PERIOD_FACTOR = 4
IMAGE_FACTOR = 2
# Added to the count of each bin, so that an empty one has a finite logarithm (Jeffreys' prior of shares).
_PRIOR = 0.5

VALIDATION, PRODUCTION = "validation", "production"

Observation = Mapping[str, float | str]
"""The values of the statistics of one photo; those of the image are missing when the endpoint did not measure it."""


@dataclass(frozen=True)
class Histogram:
    """The distribution of a statistic: `shares` of bins with sum 1, determined by `photos` photos.

    The bins are between `edges`, of which an equal value belongs to the upper bin, or are `categories`. `source` is
    VALIDATION for the photos that the model was validated on, PRODUCTION for photos of the stage.
    """

    photos: float
    shares: tuple[float, ...]
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    source: str = PRODUCTION

    def as_state(self) -> dict[str, Any]:
        """Return the histogram as JSON."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Histogram":
        """Read what `as_state` returned."""
        lists = {name: tuple(state.get(name, ())) for name in ("shares", "edges", "categories")}
        return cls(photos=state["photos"], source=state["source"], **lists)


@dataclass(frozen=True)
class Comparison:
    """The PSI of one statistic in a window of `photos` photos, and the limit above which it drifts.

    `reference` is the source of the reference, `change` says where the difference is largest. `represented`: without
    its mean, the PSI is so small that the reference describes these photos too.
    """

    statistic: str
    psi: float
    limit: float
    photos: int
    reference: str
    change: str
    represented: bool

    @property
    def drifts(self) -> bool:
        """Whether the PSI is above the limit."""
        return self.psi > self.limit

    def as_state(self) -> dict[str, Any]:
        """Return the comparison as JSON."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Comparison":
        """Read what `as_state` returned."""
        return cls(**state)


def observe(record: PhotoRecord, threshold: float) -> Observation | None:
    """Return the values of a photo that a model classified, None for any other one.

    `threshold` is the model's own: an operator who changes the one in force changes the reviews, not the photos.
    """
    if record.classification is None:
        return None
    vehicle, confidence = str(record.classification["vehicle"]), float(record.classification["confidence"])
    found: dict[str, float | str] = {
        CONFIDENCE: confidence,
        VEHICLE: vehicle,
        OTHERS: _NO_YES[vehicle == OTHER],
        REVIEW: _NO_YES[vehicle == OTHER or confidence < threshold],
    }
    if image := record.image:
        width, height = float(image["width"]), float(image["height"])
        found |= {"brightness": image["brightness"], "sharpness": image["sharpness"]}
        found |= {"size": max(width, height), "aspect": width / height}
    return found


def describe(statistic: str, observations: Iterable[Observation]) -> Histogram | None:
    """Return the distribution of a statistic in production, None without any value of it."""
    values = [observation[statistic] for observation in observations if statistic in observation]
    if not values:
        return None
    if statistic in _CATEGORICAL:
        categories = _NO_YES if statistic in (OTHERS, REVIEW) else tuple(sorted({str(value) for value in values}))
        counts = Counter(values)
        return Histogram(
            len(values), tuple(counts[name] / len(values) for name in categories), categories=tuple(categories)
        )
    numbers = sorted(float(value) for value in values)
    edges = _FIXED_EDGES.get(statistic) or tuple(
        sorted({numbers[len(numbers) * tenth // BINS] for tenth in range(1, BINS)})
    )
    bins = Counter(bisect_right(edges, value) for value in numbers)
    return Histogram(len(numbers), tuple(bins[index] / len(numbers) for index in range(len(edges) + 1)), edges=edges)


def compare(
    statistic: str,
    observations: Sequence[Observation],
    reference: Histogram,
    practical_limit: float,
    false_alarm_rate: float = FALSE_ALARM_RATE / (2 * len(STATISTICS)),
) -> Comparison | None:
    """Compare the values of a statistic with a reference; None without any value.

    `practical_limit` is the PSI, without its mean, from which on a difference is of importance.
    """
    values = [observation[statistic] for observation in observations if statistic in observation]
    return compare_counts(statistic, count(values, reference), reference, practical_limit, false_alarm_rate)


def compare_counts(
    statistic: str,
    counted: Mapping[str, int],
    reference: Histogram,
    practical_limit: float,
    false_alarm_rate: float = FALSE_ALARM_RATE / (2 * len(STATISTICS)),
) -> Comparison | None:
    """Compare the numbers of photos by bin, as `count` returns them, with a reference; None without any photo."""
    photos = sum(counted.values())
    if not photos:
        return None
    names, counts = list(counted), list(counted.values())
    before = [*reference.shares, *[0.0] * (len(names) - len(reference.shares))]
    used = [index for index in range(len(names)) if before[index] > 0 or counts[index] > 0]
    old = _smooth([before[index] * reference.photos for index in used])
    new = _smooth([counts[index] for index in used])
    psi = sum((q - p) * math.log(q / p) for p, q in zip(old, new, strict=True))
    scale, freedom = 1 / photos + 1 / reference.photos, len(used) - 1
    chance = scale * chi_squared_quantile(freedom, 1 - false_alarm_rate)
    mean = scale * freedom
    return Comparison(
        statistic=statistic,
        psi=round(psi, 4),
        limit=round(max(chance, practical_limit + mean), 4),
        photos=photos,
        reference=reference.source,
        change=_describe_change(reference, names, before, [number / photos for number in counts]),
        represented=psi - mean <= practical_limit / 2,
    )


def compare_windows(
    earlier: Sequence[Observation],
    newest: Sequence[Observation],
    references: Mapping[str, Histogram],
    practical_limit: float,
    min_photos: int,
) -> list[Comparison]:
    """Return one comparison for each statistic that has at least `min_photos` values.

    It is that of the `newest` period alone when it drifts with the limit of a period, which shows a large change soon,
    and else that of the whole window, `earlier` and `newest` photos, which also shows a small one.
    """
    found, whole = [], [*earlier, *newest]
    for name, reference in references.items():
        for_period, for_window = practical_limits(name, practical_limit)
        sudden = compare(name, newest, reference, for_period) if earlier else None
        if one := choose(sudden, compare(name, whole, reference, for_window), min_photos):
            found.append(one)
    return found


def practical_limits(statistic: str, practical_limit: float) -> tuple[float, float]:
    """Return the limits of a statistic for the newest period alone, and for a window.

    >>> practical_limits("review", 0.25), practical_limits("brightness", 0.25)
    ((1.0, 0.25), (1.0, 0.5))
    """
    return PERIOD_FACTOR * practical_limit, (IMAGE_FACTOR if statistic in IMAGE_STATISTICS else 1) * practical_limit


def choose(sudden: Comparison | None, whole: Comparison | None, min_photos: int) -> Comparison | None:
    """Return the comparison of the newest period if it drifts, else that of the window; None with too few photos."""
    if sudden and sudden.photos >= min_photos and sudden.drifts:
        return sudden
    return whole if whole and whole.photos >= min_photos else None


def chi_squared_quantile(freedom: int, probability: float) -> float:
    """Return a quantile of the chi-squared distribution; 0 without a degree of freedom.

    By the approximation of Wilson and Hilferty ("The distribution of chi-square", 1931); exact up to two degrees.

    >>> round(chi_squared_quantile(9, 0.999), 1), round(chi_squared_quantile(1, 0.999), 2)
    (28.1, 10.83)
    """
    if freedom < 1:
        return 0.0
    if freedom == 1:
        return NormalDist().inv_cdf((1 + probability) / 2) ** 2
    if freedom == 2:
        return -2 * math.log(1 - probability)
    variance = 2 / (9 * freedom)
    return freedom * (1 - variance + NormalDist().inv_cdf(probability) * math.sqrt(variance)) ** 3


def count(values: Iterable[Any], reference: Histogram) -> dict[str, int]:
    """Return the number of values in each bin of a reference, by the name of the bin.

    A category that the reference lacks has a bin of its own, after the others.
    """
    if reference.categories:
        counts = Counter(values)
        names = [*reference.categories, *sorted(set(counts) - set(reference.categories))]
        return {name: counts[name] for name in names}
    bins = Counter(bisect_right(reference.edges, float(value)) for value in values)
    return {name: bins[index] for index, name in enumerate(bin_names(reference))}


def bin_names(reference: Histogram) -> list[str]:
    """Return the names of the bins of a numeric statistic."""
    # With all digits: two edges must not have the same name.
    return [f"under {edge!r}" for edge in reference.edges] + ["from there"]


def _smooth(counts: Sequence[float]) -> list[float]:
    total = sum(counts) + _PRIOR * len(counts)
    return [(count + _PRIOR) / total for count in counts]


def _describe_change(reference: Histogram, names: list[str], before: list[float], after: list[float]) -> str:
    """Return the category, or the edge with the values under it, whose share differs most, and its shares."""
    if not reference.categories:
        # Shares of the values under each edge: the largest difference is that of Kolmogorov and Smirnov.
        before = [sum(before[: index + 1]) for index in range(len(before))]
        after = [sum(after[: index + 1]) for index in range(len(after))]
    # All values are under no edge: that is no difference.
    cuts = len(names) if reference.categories else max(1, len(reference.edges))
    index = max(range(cuts), key=lambda index: abs(after[index] - before[index]))
    name = names[index] if reference.categories or not reference.edges else f"under {reference.edges[index]:.3g}"
    return f"{name}: {before[index]:.1%} before, {after[index]:.1%} now"
