"""The hours within which photos are expected."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from functions.shared.errors import InvalidSettings

NONE = "none"


@dataclass(frozen=True)
class OpeningHours:
    """From `opens` to `closes` in the time zone `zone`, every day; past midnight when `closes` is not later."""

    opens: time
    closes: time
    zone: ZoneInfo

    def opened_at(self, at: datetime) -> datetime | None:
        """Return when the opening hours that contain `at` began, None outside of them.

        >>> hours = OpeningHours(time(6), time(22), ZoneInfo("UTC"))
        >>> noon = datetime(2026, 11, 28, 12, tzinfo=ZoneInfo("UTC"))
        >>> hours.opened_at(noon).hour, hours.opened_at(noon.replace(hour=22))
        (6, None)
        """
        day = at.astimezone(self.zone).date()
        for start in (day, day - timedelta(days=1)):
            end = start if self.closes > self.opens else start + timedelta(days=1)
            opened = datetime.combine(start, self.opens, self.zone)
            if opened <= at < datetime.combine(end, self.closes, self.zone):
                return opened
        return None


def read_opening_hours(text: str, zone: str) -> OpeningHours | None:
    """Read `HH:MM-HH:MM` and the name of a time zone; return None for `none`. Raises InvalidSettings."""
    if text == NONE:
        return None
    try:
        opens, closes = _read_times(text.split("-"))
        return OpeningHours(opens, closes, ZoneInfo(zone))
    except ValueError as error:
        raise InvalidSettings(f"OPENING_HOURS is {text!r}; pass HH:MM-HH:MM, or none") from error
    except ZoneInfoNotFoundError as error:
        raise InvalidSettings(f"TIME_ZONE is {zone!r}; pass a name such as Europe/Dublin") from error


def _read_times(words: Sequence[str]) -> tuple[time, time]:
    opens, closes = (time.fromisoformat(word) for word in words)
    return opens, closes
