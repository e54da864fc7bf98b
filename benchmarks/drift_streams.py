"""Streams of photos, day after day, and the looks of the drift watch at them: the parts of benchmarks/drift.py."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift_photos import DRIFTS, LIGHTS, NEW_CLASS, Answers
from functions.shared.drift import (
    STATISTICS,
    Histogram,
    Observation,
    choose,
    compare_counts,
    count,
    describe,
    practical_limits,
)

Counted = NDArray[np.int64]
"""Numbers of photos by bin, or bins of photos."""

OTHERS, NEW_CLASS_SHARE = 0.05, 0.25
"""Shares of uploads without a vehicle of the model: usually, and after vehicles of a new class have come."""

MIN_PHOTOS = 100

_DAY_LIGHT, _PERSISTENCE, _PHOTO_LIGHT = 0.10, 0.6, 0.20  # of the logarithm of the light
_WEEKEND = 0.06  # the share of bicycles changes by this much
_DAY_MIX = 0.03


@dataclass
class Pool:
    """All answers, and the rows of each kind of photo."""

    observations: list[Observation]
    rows: dict[tuple[str, bool, float], Counted]

    @classmethod
    def of(cls, answers: Answers) -> "Pool":
        """Number the answers."""
        observations: list[Observation] = []
        rows = {}
        for kind, found in answers.items():
            rows[kind] = np.arange(len(observations), len(observations) + len(found))
            observations += found
        return cls(observations, rows)


@dataclass
class Stream:
    """Photos of a stage, day after day, as rows of a pool."""

    pool: Pool
    rng: np.random.Generator
    day: int = 0
    light: float = 0.0

    def photos(self, photos: int, drift: str = "") -> Counted:
        """Return the rows of the photos of the next day, all of them changed by `drift`."""
        self.light = _PERSISTENCE * self.light + self.rng.normal(0, _DAY_LIGHT * np.sqrt(1 - _PERSISTENCE**2))
        bicycles = 0.5 + (_WEEKEND if self.day % 7 >= 5 else 0) + self.rng.normal(0, _DAY_MIX)
        self.day += 1
        changed = drift if drift in DRIFTS else ""
        is_other = self.rng.random(photos) < (NEW_CLASS_SHARE if drift == NEW_CLASS else OTHERS)
        is_bicycle = self.rng.random(photos) < bicycles
        light = self.rng.normal(self.light, _PHOTO_LIGHT, photos)
        level = np.abs(np.log(LIGHTS)[None] - light[:, None]).argmin(axis=1)
        place = self.rng.random(photos)
        chosen = np.zeros(photos, dtype=np.int64)
        for index, factor in enumerate(LIGHTS):
            vehicles, others = (self.pool.rows[changed, is_vehicle, factor] for is_vehicle in (True, False))
            # The order of the photos is that of the class folders: bicycles are the first half of the vehicles.
            half = len(vehicles) // 2
            for part, mask in (
                (others, is_other),
                (vehicles[:half], ~is_other & is_bicycle),
                (vehicles[half:], ~is_other & ~is_bicycle),
            ):
                where = mask & (level == index)
                chosen[where] = part[(place[where] * len(part)).astype(int)]
        return chosen


class Reference:
    """The references of all statistics, with the bin of each row of a pool."""

    def __init__(self, pool: Pool, rows: Counted) -> None:
        """`rows` are the photos of the first window."""
        observed = [pool.observations[row] for row in rows]
        self._histograms = {name: one for name in STATISTICS if (one := describe(name, observed))}
        self._bins = {name: _find_bins(name, pool.observations, one) for name, one in self._histograms.items()}

    def count(self, rows: Counted) -> dict[str, Counted]:
        """Return the numbers of photos by statistic and bin."""
        return {name: np.bincount(bins[rows], minlength=len(names)) for name, (names, bins) in self._bins.items()}

    def drifting(self, days: Sequence[dict[str, Counted]], limit: float) -> list[str]:
        """Return the statistics above their limits in a window of days; the last one is the newest period."""
        found = []
        for name, reference in self._histograms.items():
            names, _ = self._bins[name]
            whole = np.sum([day[name] for day in days], axis=0)
            sudden, slow = (
                compare_counts(name, dict(zip(names, counts.tolist(), strict=True)), reference, practical)
                for counts, practical in zip((days[-1][name], whole), practical_limits(name, limit), strict=True)
            )
            one = choose(sudden, slow, MIN_PHOTOS)
            if one and one.drifts:
                found.append(name)
        return found


def _find_bins(name: str, observations: list[Observation], reference: Histogram) -> tuple[list[str], Counted]:
    values = [observation[name] for observation in observations]
    names = list(count(values, reference))
    if reference.categories:
        return names, np.array([names.index(str(value)) for value in values])
    return names, np.searchsorted(reference.edges, np.array(values, dtype=float), side="right")
