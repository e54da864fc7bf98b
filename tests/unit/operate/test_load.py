"""The load generator: due times, limits, unique photos, and the account of every photo."""

import argparse
import io
from itertools import islice, pairwise
from statistics import fmean, stdev

import pytest
from PIL import Image

from benchmarks.unique import unique_photos, with_text
from deploy.target import Target
from functions.shared.photo import Photo
from operate import __main__ as commands
from operate import load
from operate.errors import CommandError
from operate.latency import percentiles
from operate.load import Account, Plan
from operate.uploads import Source, UploadResult


def account_of(*keys: str) -> Account:
    results = {key: UploadResult(Source("p.png", b""), Photo("b", key), sent_at=1_000_000_000.0) for key in keys}
    return Account(results)


def routed(key: str) -> tuple[str, dict[str, object]]:
    return "Driver Routed", {"photo": {"key": key}, "decided_at": "2001-09-09T01:46:40.250Z"}


def test_the_photos_of_a_burst_are_due_at_once_and_those_of_a_stream_at_its_rate() -> None:
    assert list(Plan(rate=4, count=3, burst=2).due_times()) == [0, 0, 0, 0.25, 0.5]


def test_random_intervals_have_the_rate_and_the_spread_of_independent_drivers() -> None:
    plan = Plan(rate=10, count=4000, seed=1)
    due = list(plan.due_times())
    gaps = [later - earlier for earlier, later in pairwise([0.0, *due])]
    assert due == list(plan.due_times())
    assert min(gaps) >= 0
    assert fmean(gaps) == pytest.approx(0.1, rel=0.05)
    assert stdev(gaps) == pytest.approx(0.1, rel=0.05)


def test_the_steady_rate_leaves_out_the_first_outcomes_and_those_after_the_last_upload() -> None:
    account = account_of(*(str(number) for number in range(100)))
    account.latencies_ms = {str(number): 50.0 * number for number in range(100)}
    account.latencies_ms |= {"0": -60_000.0, **{str(number): 3000.0 for number in range(60, 100)}}
    assert account.steady_rate(sent_until=1_000_000_002.99) == 20


def test_there_is_no_steady_rate_of_few_photos() -> None:
    account = account_of("a")
    account.latencies_ms = {"a": 1.0}
    assert account.steady_rate(sent_until=1_000_000_009.0) is None


@pytest.mark.parametrize(
    ("rate", "count", "burst", "reason"),
    [
        (5, 20_001, 0, "20,000"),
        (5, 10_000, 10_001, "20,000"),
        (0, 0, 0, "0 photos"),
        (0, 10, 0, "RATE"),
        (-1, 10, 0, "RATE"),
        (float("nan"), 10, 0, "RATE"),
        (0.1, 1000, 0, "Raise RATE"),
        (5, -1, 0, "photos were asked for"),
    ],
)
def test_a_load_without_limits_is_refused(rate: float, count: int, burst: int, reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        Plan(rate, count, burst)


def test_a_real_account_needs_a_confirmation() -> None:
    arguments = argparse.Namespace(rate=5.0, count=10, burst=0, flood=0, yes=False)
    with pytest.raises(CommandError, match="YES=yes"):
        commands._load(Target("aws", "dev"), arguments)


def test_generated_photos_are_all_different_and_readable() -> None:
    photos = list(islice(unique_photos("run"), 100))
    assert len({photo.content for photo in photos}) == 100
    assert {photo.label for photo in photos} == {"bicycle", "motorcycle"}
    for photo in photos[:3]:
        assert Image.open(io.BytesIO(photo.content)).convert("RGB").size == (32, 32)


def test_only_a_png_gets_a_text() -> None:
    with pytest.raises(ValueError, match="PNG"):
        with_text(b"\xff\xd8\xff\xe0", "text")


def test_a_photo_without_an_event_is_lost() -> None:
    account = account_of("a", "b")
    assert account.apply(*routed("a"))
    figures = account.figures()
    assert (figures["outcomes"], figures["lost"], figures["doubled"]) == ({"routed": 1}, ["b"], [])
    assert (figures["latency_ms"]["max"], figures["latencies_ms"]) == (250, [250])


def test_a_second_event_makes_a_photo_doubled_and_does_not_change_its_latency() -> None:
    account = account_of("a")
    account.apply(*routed("a"))
    assert not account.apply("Driver Routed", {"photo": {"key": "a"}, "decided_at": "2001-09-09T01:46:49Z"})
    figures = account.figures()
    assert (figures["doubled"], figures["latency_ms"]["max"]) == (["a"], 250)


def test_a_review_request_is_an_outcome_and_its_decision_is_no_second_one() -> None:
    account = account_of("a")
    requested = {"photo": {"key": "a"}, "reason": "LowConfidence", "requested_at": "2001-09-09T01:46:41Z"}
    assert account.apply("Review Requested", requested)
    assert account.figures()["outcomes"] == {"in review": 1}
    account.apply(*routed("a"))
    assert account.figures()["doubled"] == []


def test_events_about_other_photos_are_ignored() -> None:
    account = account_of("a")
    assert not account.apply(*routed("of another driver"))
    assert not account.apply("Review Completed", {"photo": {"key": "a"}})
    assert account.figures()["lost"] == ["a"]


@pytest.mark.parametrize(
    ("lost", "doubled", "errors"), [(["a"], [], []), ([], ["a"], []), ([], [], ["a: AccessDenied"])]
)
def test_a_lost_a_doubled_and_a_refused_photo_end_the_command_with_an_error(
    lost: list[str], doubled: list[str], errors: list[str]
) -> None:
    with pytest.raises(CommandError):
        load.check({"lost": lost, "doubled": doubled, "upload_errors": errors})


def test_percentiles_are_values_of_the_list() -> None:
    assert percentiles([float(value) for value in range(100)]) == {
        "p50": 50.0,
        "p90": 90.0,
        "p95": 95.0,
        "p99": 99.0,
        "max": 99.0,
    }
    assert set(percentiles([]).values()) == {None}
