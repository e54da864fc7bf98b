"""Finds the photos of a search, page by page, along the index of the photo table that fits the search."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from console.photo_search import STATUSES, TIMED_OUT, Search
from functions.shared.photo_reader import BY_DAY, BY_DRIVER, BY_STATUS, ORDERS, PhotoReader, Position
from functions.shared.photo_record import ROUTED, PhotoRecord
from functions.shared.times import RETENTION, now

PAGE = 48

SEARCH_S = 0.1
"""How long a request examines photos; the page after it goes on from there."""

_FEWEST_EXAMINED, _MOST_EXAMINED = 50, 1000  # by one query
# Most photos are routed: for these the days are the better way.
_BY_STATUS = set(STATUSES) - {ROUTED, TIMED_OUT}


@dataclass(frozen=True)
class Found:
    """A page of photos, the newest first.

    `after` is where the next page begins, a parameter of its address; empty when there is none. `searched_until` is the
    time down to which the photos were examined when that stopped before the page was full, else empty.
    """

    records: list[PhotoRecord]
    after: str = ""
    searched_until: str = ""


class PhotoFinder:
    """Searches the photo table of one stage."""

    def __init__(self, photos: PhotoReader, clock: Callable[[], float] = time.monotonic) -> None:
        """Read `photos`. `clock` returns seconds."""
        self._photos = photos
        self._clock = clock

    def find(self, search: Search, after: str = "", size: int = PAGE) -> Found:
        """Return the page of a search that begins at `after`, at most `size` photos. Raises RecordUnavailable.

        A query that takes less than a quarter of SEARCH_S is followed by one of twice as many records.
        """
        if search.photo_id:
            record = self._photos.get(search.photo_id)
            return Found([record] if record else [])
        start, index = _parse(after), self._index(search)
        condition, order = search.condition(index), ORDERS[index][1]
        records: list[PhotoRecord] = []
        ends_at, queried = self._clock() + SEARCH_S, False
        examined_at_once = _FEWEST_EXAMINED
        for value in _values(index, search, start):
            position, more = start if start and start.photo_id else None, True
            start = None
            while more:
                asked_at = self._clock()
                if queried and asked_at > ends_at:
                    at = position or Position(value, "")
                    return Found(records, _text(at), searched_until=at.at)
                room = size - len(records)
                # One more than there is room for, to know whether there is a next page.
                limit = room + 1 if condition is None else examined_at_once
                page = self._photos.list_page(index, value, limit, after=position, condition=condition)
                queried = True
                if self._clock() - asked_at < SEARCH_S / 4:
                    examined_at_once = min(2 * examined_at_once, _MOST_EXAMINED)
                records += page.records[:room]
                if len(page.records) > room or (len(records) == size and page.end):
                    last = records[-1]
                    at_order = last.status_at if order == "status_at" else last.first_seen_at
                    return Found(records, _text(Position(at_order, last.photo.photo_id)))
                position, more = page.end, page.end is not None
            if len(records) == size and index == BY_DAY:
                return Found(records, _text(Position((date.fromisoformat(value) - _DAY).isoformat(), "")))
        return Found(records)

    def _index(self, search: Search) -> str:
        if search.q and self._photos.list_page(BY_DRIVER, search.q, 1).records:
            return BY_DRIVER
        return BY_STATUS if search.status in _BY_STATUS else BY_DAY


_DAY = timedelta(days=1)


def _values(index: str, search: Search, start: Position | None) -> Iterator[str]:
    """Yield the values of the key of an index in the order in which to read them; `start` is where the page begins."""
    if index != BY_DAY:
        yield search.q if index == BY_DRIVER else search.status
        return
    today = now().date()
    day = min(date.fromisoformat(search.until), today) if search.until else today
    if start:
        day = min(day, date.fromisoformat(start.at[:10]))
    oldest = today - RETENTION
    if search.since:
        oldest = max(oldest, date.fromisoformat(search.since))
    while day >= oldest:
        yield day.isoformat()
        day -= _DAY


def _text(position: Position) -> str:
    return f"{position.at}~{position.photo_id}"


def _parse(after: str) -> Position | None:
    """Read a parameter that `_text` made; None for the first page, and for a text that a person changed."""
    at, _, photo_id = after.partition("~")
    try:
        date.fromisoformat(at[:10])
    except ValueError:  # changed by a person: the first page
        return None
    return Position(at, photo_id)
