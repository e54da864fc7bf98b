"""The periods that the plots show, and their equal intervals of time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Period:
    """`number` intervals of the length `width`, the last of which contains the present time.

    `ticks` is how many intervals are between two labels of the time axis, `pattern` how a label is written.
    """

    name: str
    title: str
    width: timedelta
    number: int
    ticks: int
    pattern: str

    def ends_at(self, now: datetime) -> datetime:
        """Return the end of the interval that contains `now`: a full hour or midnight, in UTC.

        >>> PERIODS["week"].ends_at(datetime(2026, 11, 28, 11, 20, tzinfo=UTC)).isoformat()
        '2026-11-29T00:00:00+00:00'
        """
        return _EPOCH + ((now - _EPOCH) // self.width + 1) * self.width

    def starts_at(self, now: datetime) -> datetime:
        """Return the start of the first interval."""
        return self.ends_at(now) - self.number * self.width


PERIODS = {
    period.name: period
    for period in (
        Period("day", "24 hours", timedelta(hours=1), 24, 6, "%H:%M"),
        Period("week", "7 days", timedelta(days=1), 7, 2, "%d %b"),
        Period("month", "30 days", timedelta(days=1), 30, 10, "%d %b"),
    )
}


def choose_period(name: str, times: Sequence[datetime], now: datetime) -> Period:
    """Return the period of a name, otherwise the shortest one that contains all `times`, or else the longest."""
    if name in PERIODS:
        return PERIODS[name]
    first = min(times, default=now)
    return next((one for one in PERIODS.values() if one.starts_at(now) <= first), PERIODS["month"])
