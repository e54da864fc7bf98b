"""The search for photos: which index is read, which photos pass, and pages over all of them."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from console import photo_finder
from console.aws import Aws
from console.photo_finder import Found, PhotoFinder
from console.photo_search import Search, quick_days
from deploy.outputs import Deployed
from functions.shared.dynamodb import serialize
from functions.shared.photo_reader import PhotoReader
from tests.unit import model_stage
from tests.unit.model_stage import NOW

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def days(monkeypatch: pytest.MonkeyPatch) -> None:
    """Search 12 days: a search without any reads every day that photos are kept, one after the other."""
    monkeypatch.setattr(photo_finder, "RETENTION", 12 * DAY)


@pytest.fixture
def finder(stage: Deployed) -> PhotoFinder:
    return PhotoFinder(PhotoReader(stage.photo_table, Aws().dynamodb))


def numbers(found: Found) -> list[int]:
    """Return the numbers of the photos that were found."""
    return [int(record.photo.key.rpartition("-")[2].removesuffix(".jpg")) for record in found.records]


def pages(finder: PhotoFinder, search: Search, size: int) -> Iterator[Found]:
    """Yield every page of a search."""
    found = finder.find(search, size=size)
    yield found
    while found.after:
        found = finder.find(search, found.after, size=size)
        yield found


def add_photos() -> None:
    """Photos of every kind, one per minute before now: 1 is the newest."""
    model_stage.decided(1, 0.97)
    model_stage.waiting(2)
    model_stage.rejected(3)
    model_stage.decided(4, None, "fallback")
    model_stage.labelled(5, 0.6, model_vehicle="bicycle", vehicle="motorcycle")
    model_stage.labelled(6, 0.7, model_vehicle="bicycle", vehicle="bicycle")
    error = {"Error": "PhotoUnrouted", "Cause": "no"}
    model_stage.photo_table().mark_unrouted(model_stage.photo(7), "arn:any", NOW - timedelta(minutes=7), error=error)
    model_stage.classified(8, 0.71, "motorcycle", "another-model", at=NOW - timedelta(minutes=8))


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ({}, [1, 2, 3, 4, 5, 6, 7, 8]),
        ({"status": "in_review"}, [2]),
        ({"status": "routed"}, [1, 4, 5, 6]),
        ({"status": "timed_out"}, [4]),
        ({"status": "rejected"}, [3]),
        ({"status": "unrouted"}, [7]),
        ({"status": "classified"}, [8]),
        ({"reason": "UnreadablePhoto"}, [3]),
        ({"reason": "LowConfidence"}, [2, 4, 5, 6]),
        ({"reason": "PhotoUnrouted"}, [7]),
        ({"vehicle": "motorcycle"}, [5, 8]),
        ({"model": "another-model"}, [8]),
        ({"by": "reviewer"}, [5, 6]),
        ({"bay": "Bay A"}, [1, 4, 5, 6]),
        ({"least": "0.7", "most": "0.9"}, [6, 8]),
        ({"disagree": "yes"}, [5]),
        ({"q": "driver-1"}, [1, 8]),
        ({"q": "photo-5"}, [5]),
        ({"q": "river-1"}, [1, 8]),
        ({"q": "driver-1", "status": "classified"}, [8]),
        ({"q": "nobody"}, []),
        ({"q": model_stage.photo(3).photo_id}, [3]),
        ({"q": "f" * 32}, []),
    ],
)
def test_photos_are_found(finder: PhotoFinder, search: dict[str, str], expected: list[int]) -> None:
    add_photos()
    assert [number for page in pages(finder, Search(**search), 48) for number in numbers(page)] == expected


def test_a_later_opinion_of_a_reviewer_is_a_disagreement_too(finder: PhotoFinder) -> None:
    for number, vehicle in ((1, "motorcycle"), (2, "bicycle")):
        model_stage.decided(number, 0.97)
        model_stage.aws("dynamodb").update_item(
            TableName="photos",
            Key={"photo_id": {"S": model_stage.photo(number).photo_id}},
            UpdateExpression="SET label_answer = :a",
            ExpressionAttributeValues=serialize({":a": {"vehicle": vehicle, "reviewer": "A"}}),
        )
    assert numbers(finder.find(Search(disagree="yes"))) == [1]


@pytest.mark.parametrize("search", [Search(), Search(status="in_review"), Search(q="driver-1")])
def test_a_search_is_limited_to_days(finder: PhotoFinder, search: Search) -> None:
    for days in (1, 2, 3):
        number = 7 * 24 * 60 * days + 1  # of driver 1
        model_stage.classified(number, at=NOW - days * DAY)
        model_stage.claim(number, at=NOW - days * DAY)
    day = (NOW - 2 * DAY).date().isoformat()
    dated = Search(**{**vars(search), "since": day, "until": day})
    assert numbers(finder.find(dated)) == [7 * 24 * 60 * 2 + 1]


@pytest.mark.parametrize("search", [Search(), Search(status="in_review"), Search(q="driver-1"), Search(least="0.1")])
@pytest.mark.parametrize("size", [1, 2, 7])
def test_pages_show_every_photo_once_across_days(finder: PhotoFinder, search: Search, size: int) -> None:
    added = []
    for days in (0, 0, 1, 1, 3):
        number = 7 * (1 + len(added)) + 1
        at = NOW - days * DAY - timedelta(seconds=number)
        model_stage.classified(number, at=at)
        model_stage.claim(number, at=at)
        added.append(number)
    found = list(pages(finder, search, size))
    assert [number for page in found for number in numbers(page)] == added
    assert all(len(page.records) <= size for page in found)


class Clock:
    """A clock that goes on by `step` seconds each time that it is read."""

    def __init__(self, step: float) -> None:
        self.time, self.step = 0.0, step

    def __call__(self) -> float:
        self.time += self.step
        return self.time


def test_a_search_that_takes_long_stops_and_goes_on_where_it_stopped(stage: Deployed) -> None:
    finder = PhotoFinder(PhotoReader(stage.photo_table, Aws().dynamodb), Clock(photo_finder.SEARCH_S / 5.5))
    old = NOW - 10 * DAY
    model_stage.classified(1, at=old)
    first, *rest = pages(finder, Search(least="0.1"), 5)
    assert (first.records, first.searched_until[:10]) == ([], (NOW - 3 * DAY).date().isoformat())
    assert [number for page in rest for number in numbers(page)] == [1]
    assert len(rest) == 4


@pytest.mark.parametrize("step", [0.0, 10.0])
def test_a_search_shows_every_photo_once_however_fast_aws_is(
    stage: Deployed, step: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photo_finder, "_FEWEST_EXAMINED", 2)
    monkeypatch.setattr(photo_finder, "_MOST_EXAMINED", 3)
    finder = PhotoFinder(PhotoReader(stage.photo_table, Aws().dynamodb), Clock(step))
    for number in range(1, 12):
        model_stage.classified(number, 0.9 if number % 4 else 0.5, at=NOW - timedelta(seconds=number))
    since = (NOW - DAY).date().isoformat()
    found = [number for page in pages(finder, Search(most="0.6", since=since), 2) for number in numbers(page)]
    assert found == [4, 8]


def test_an_address_that_a_person_changed_is_the_first_page(finder: PhotoFinder) -> None:
    add_photos()
    assert len(finder.find(Search(), "nonsense").records) == 8
    assert Search.of({"since": "yesterday", "least": "2", "status": "gone", "q": " a "}) == Search(q="a")


def test_the_days_of_the_links_are_whole_days() -> None:
    links: dict[str, Any] = quick_days(NOW.date())
    yesterday = (NOW - DAY).date().isoformat()
    assert links["Yesterday"] == (yesterday, yesterday)
    assert links["All days"] == ("", "")
