"""The drift watch: look at the photos of each period, announce a drift once, have it labelled, request a retraining."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from functions.shared.champion import Champion
from functions.shared.drift import (
    IMAGE_STATISTICS,
    PRODUCTION,
    REVIEW,
    STATISTICS,
    Comparison,
    Histogram,
    Observation,
    compare_windows,
    describe,
)
from functions.shared.drift_state import DRIFT, NO_DRIFT, TOO_FEW, Drift, DriftState, DriftTable, Look
from functions.shared.events import EventBus
from functions.shared.times import timestamp
from functions.watch_quality.audit_share import AuditShareParameter


@dataclass(frozen=True)
class Rules:
    """When a drift is announced, and what then happens.

    A look is made after each `period`, at the photos of the last `window_periods` periods, of which there must be
    `min_photos`. `psi_limit` is the practical limit of the index (functions.shared.drift). A reference from production
    is made of the first `window_periods` periods of a champion. A drift raises the audit share to `audit_share`; with
    `labels` labels since the period in which it was noticed, a retraining is requested.
    """

    period: timedelta
    min_photos: int
    psi_limit: float
    window_periods: int
    labels: int
    audit_share: float

    @property
    def window(self) -> timedelta:
        """The length of a window."""
        return self.period * self.window_periods


@dataclass(frozen=True)
class Watch:
    """Watches the champion of one stage.

    `read_window(model_version, threshold, since, until)` returns the photos of a window, `read_baseline(artifact)` the
    distributions of the validation photos, `count_labels(since, now)` how many photos were labelled.
    """

    rules: Rules
    table: DriftTable
    bus: EventBus
    share: AuditShareParameter
    read_window: Callable[[str, float, datetime, datetime], list[Observation]]
    read_baseline: Callable[[str], Mapping[str, Histogram]]
    count_labels: Callable[[datetime, datetime], int]

    def run(self, champion: Champion, now: datetime, *, look: bool = False) -> DriftState:
        """Look when a period has ended, or with `look` now at the photos since the last look; react; return the state.

        The state is written before anything is announced, and read by the next run: what fails is tried again. Raises
        WatchRunning, RecordUnavailable, EventNotPublished, InvalidDocument, ClientError, BotoCoreError.
        """
        state = self.table.read()
        if state is None or state.model_version != champion.model_version:
            state = self.table.write(self._begin(champion, state, now))
        until = now if look else _last_end(_time(state.looked_until), self.rules.period, now)
        if until > _time(state.looked_until):
            since = _time(state.looked_until) if look else max(_time(state.since), until - self.rules.window)
            state = self.table.write(self._look(state, since, until, now))
        if state.drift and not state.drift.announced:
            state = self.table.write(self._announce(state, state.drift))
        if state.drift and state.drift.retraining_at is None:
            state = self.table.write(self._count_labels(state, state.drift, now))
        return state

    def _begin(self, champion: Champion, before: DriftState | None, now: datetime) -> DriftState:
        """Return the state of a new champion. The distributions of the images are not the model's: they stay.

        Those of before a drift do not: the new model may have been trained on photos like those since.
        """
        known: dict[str, Histogram] = {}
        if before and before.drift:
            self._restore_share(before.drift)
        elif before:
            known = {
                name: histogram
                for name, histogram in before.references.items()
                if name in IMAGE_STATISTICS and histogram.source == PRODUCTION
            }
        validated = {name: one for name, one in self.read_baseline(champion.artifact).items() if name not in known}
        since = champion.restored_at or champion.promoted_at or timestamp(now)
        return DriftState(
            model_version=champion.model_version,
            threshold=champion.threshold or 0.0,
            since=since,
            looked_until=since,
            references={**validated, **known},
            undecided=tuple(validated),
            revision=before.revision if before else 0,
        )

    def _look(self, state: DriftState, since: datetime, until: datetime, now: datetime) -> DriftState:
        begin = max(since, until - self.rules.period)
        earlier, newest = (
            self.read_window(state.model_version, state.threshold, *window)
            for window in ((since, begin), (begin, until))
        )
        observed = [*earlier, *newest]
        look = Look(timestamp(since), timestamp(until), len(observed), TOO_FEW, _review_rate(observed))
        if len(observed) < self.rules.min_photos:
            return replace(state, look=look, looked_until=timestamp(until))
        compared = compare_windows(earlier, newest, state.references, self.rules.psi_limit, self.rules.min_photos)
        decided = tuple(one for one in compared if one.statistic not in state.undecided)
        drifting = tuple(one for one in decided if one.drifts)
        look = replace(look, result=DRIFT if drifting else NO_DRIFT, comparisons=decided)
        before, state = state, _decide_references(state, compared)
        state = replace(state, look=look, looked_until=timestamp(until))
        if drifting:
            return replace(state, drift=self._drift(before, drifting, look, now))
        if state.drift:
            self._restore_share(state.drift)
        return self._collect(replace(state, drift=None), until)

    def _drift(self, before: DriftState, drifting: tuple[Comparison, ...], look: Look, now: datetime) -> Drift:
        if before.drift:
            return replace(before.drift, statistics=drifting)
        replaced = self.share.find_lower(self.rules.audit_share)
        return Drift(
            since=before.looked_until,
            window_since=look.since,
            window_until=look.until,
            detected_at=timestamp(now),
            photos=look.photos,
            statistics=drifting,
            required=self.rules.labels,
            share=f"{self.rules.audit_share:g}" if replaced is not None else None,
            share_before=replaced,
        )

    def _collect(self, state: DriftState, until: datetime) -> DriftState:
        """Make the references that are missing, when the champion has served for long enough without a drift."""
        missing = [name for name in STATISTICS if name not in state.references]
        since = _time(state.since)
        if not missing or until < since + self.rules.window:
            return state
        observed = self.read_window(state.model_version, state.threshold, since, until)
        made = {name: histogram for name in missing if (histogram := describe(name, observed))}
        enough = {name: one for name, one in made.items() if one.photos >= 2 * self.rules.min_photos}
        return replace(state, references={**state.references, **enough})

    def _announce(self, state: DriftState, drift: Drift) -> DriftState:
        if drift.share:
            self.share.set(drift.share)
        self.bus.publish("Drift Detected", drift_detected(state, drift))
        return replace(state, drift=replace(drift, announced=True))

    def _count_labels(self, state: DriftState, drift: Drift, now: datetime) -> DriftState:
        counted = replace(drift, labels=self.count_labels(_time(drift.since), now))
        if counted.labels < counted.required:
            return replace(state, drift=counted)
        requested = replace(counted, retraining_at=timestamp(now))
        self.bus.publish("Retraining Needed", retraining_needed(state, requested))
        return replace(state, drift=requested)

    def _restore_share(self, drift: Drift) -> None:
        if drift.share and drift.share_before:
            self.share.restore(drift.share, drift.share_before)


def drift_detected(state: DriftState, drift: Drift) -> dict[str, Any]:
    """Return the detail of the event `Drift Detected`."""
    return {
        "model_version": state.model_version,
        "statistics": [
            {
                "statistic": one.statistic,
                "value": one.psi,
                "limit": one.limit,
                "reference": one.reference,
                "change": one.change,
            }
            for one in drift.statistics
        ],
        "window": {"from": drift.window_since, "to": drift.window_until, "photos": drift.photos},
        "labels_required": drift.required,
        "detected_at": drift.detected_at,
    }


def retraining_needed(state: DriftState, drift: Drift) -> dict[str, Any]:
    """Return the detail of the event `Retraining Needed`."""
    return {
        "model_version": state.model_version,
        "reason": "drift",
        "statistics": [one.statistic for one in drift.statistics],
        "labels": drift.labels,
        "labels_required": drift.required,
        "drift_detected_at": drift.detected_at,
        "requested_at": drift.retraining_at,
    }


def _decide_references(state: DriftState, compared: Sequence[Comparison]) -> DriftState:
    """Keep the validation photos as reference of the statistics in which they resemble the first photos."""
    first = {one.statistic: one for one in compared if one.statistic in state.undecided}
    unlike = {name: one for name, one in first.items() if not one.represented}
    return replace(
        state,
        references={name: one for name, one in state.references.items() if name not in unlike},
        undecided=tuple(name for name in state.undecided if name not in first),
        unlike_validation=(*state.unlike_validation, *unlike.values()),
    )


def _review_rate(observed: Sequence[Observation]) -> float | None:
    if not observed:
        return None
    return round(sum(observation[REVIEW] == "yes" for observation in observed) / len(observed), 4)


def _last_end(start: datetime, period: timedelta, now: datetime) -> datetime:
    """Return the end of the last whole period after `start`; `start` itself when none has ended."""
    return start + period * max(0, (now - start) // period)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
