"""`make report`: the figures of a month, and what the page says when there is too little data."""

import base64
import json
import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from PIL import Image

from deploy.outputs import Deployed
from functions.shared.audit import AuditFigures
from functions.shared.photo_record import PhotoRecord
from operate.errors import CommandError
from operate.report import run
from operate.report.figures import FEW, compute
from operate.report.stage import MOST_BUCKETS, Observed, choose_buckets
from tests.support.month_of_photos import DARK_FROM, DAYS, FIRST, MODELS, Month

MONTH = Month().observed()
FIGURES = compute(MONTH)
CHARTS = {"confidence", "class-mix", "review-rate", "audit", "drift", "waits", "latency", "models"}
# The width of a phone, which shows three pixels of a chart as one.
LEAST_WIDTH = 2 * 360


def with_photos(photos: list[PhotoRecord]) -> Observed:
    return replace(MONTH, photos=photos, audit=AuditFigures.of([]), latency=[])


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run.write(MONTH, tmp_path_factory.mktemp("reports") / "month")


@pytest.mark.parametrize("seconds", [0.001, 7, 61, 3_600, 40_000, 86_400 * 2, 86_400 * 28, 86_400 * 365])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Dublin", "Asia/Kolkata"])
def test_the_buckets_are_few_and_begin_at_a_round_time_before_the_first_photo(seconds: float, zone: str) -> None:
    first = datetime(2026, 11, 3, 18, 31, 17, 123_000, tzinfo=UTC)
    since, width = choose_buckets(first, first + timedelta(seconds=seconds), ZoneInfo(zone))
    assert since <= first < since + width or width > timedelta(days=1)
    assert (first + timedelta(seconds=seconds) - since) / width <= MOST_BUCKETS
    midnight = since.astimezone(ZoneInfo(zone)).replace(hour=0, minute=0, second=0, microsecond=0)
    assert (since - midnight) % min(width, timedelta(days=1)) == timedelta(0)


def test_every_photo_is_counted_in_the_interval_in_which_it_was_seen() -> None:
    assert sum(bucket.photos for bucket in FIGURES.buckets) == len(MONTH.photos)
    by_day = Counter(record.first_seen_at[:10] for record in MONTH.photos)
    assert [bucket.photos for bucket in FIGURES.buckets] == [by_day[day] for day in sorted(by_day)]
    classes = Counter(record.classification["vehicle"] for record in MONTH.photos if record.classification)
    assert {name: sum(one.classes.get(name, 0) for one in FIGURES.buckets) for name in FIGURES.classes} == classes


def test_the_review_rate_counts_photos_that_still_wait() -> None:
    """Drift moved with the speed of reviewers once, because answered photos only were counted."""
    unanswered = [replace(record, outcome=None, status="in_review") for record in MONTH.photos]
    before, after = (
        [bucket.review for bucket in figures.buckets] for figures in (FIGURES, compute(with_photos(unanswered)))
    )
    assert before == after
    assert any(one.share for one in before)
    for one in before:
        assert one.lower is not None
        assert one.upper is not None
        assert one.lower <= (one.share or 0) <= one.upper


def test_a_share_of_a_few_photos_is_not_shown() -> None:
    figures = compute(with_photos(MONTH.photos[: FEW - 1]))
    assert all(bucket.review.share is None for bucket in figures.buckets)


def test_a_drift_is_above_its_limit_only_after_it_has_begun() -> None:
    dark = FIRST + timedelta(days=DARK_FROM)
    drifting = {look.at: [one.statistic for one in look.comparisons if one.drifts] for look in FIGURES.looks}
    assert not any(names for at, names in drifting.items() if at <= dark)
    assert "brightness" in drifting[max(drifting)]
    calm = compute(Month(dark=False).observed())
    assert calm.looks
    assert not any(one.drifts for look in calm.looks for one in look.comparisons)


def test_waits_are_those_from_the_upload_to_the_decision() -> None:
    waits = [wait for bucket in FIGURES.buckets for wait in bucket.waits.values()]
    assert sum(wait.photos for wait in waits) == sum("decided_at" in (record.outcome or {}) for record in MONTH.photos)
    for bucket in FIGURES.buckets:
        assert bucket.waits["model"].p95 < 1
        assert all(wait.median <= wait.p95 for wait in bucket.waits.values())


def test_every_change_of_the_model_is_listed_and_every_model_has_its_time() -> None:
    assert [(one.what, one.model_version) for one in FIGURES.changes] == [
        ("promoted", MODELS[1].model_version),
        ("rejected", "vehicles-dev-20261112-030144-0d3e"),
        ("promoted", MODELS[2].model_version),
    ]
    assert [service.letter for service in FIGURES.services] == ["A", "B", "C"]
    assert [one.until for one in FIGURES.services[:-1]] == [one.since for one in FIGURES.services[1:]]
    assert FIGURES.services[-1].until == MONTH.until


def test_a_rolled_back_model_serves_until_the_rollback() -> None:
    at = "2026-11-20T10:00:00Z"
    models = [
        replace(MODELS[1], restored_at=at),
        replace(MODELS[2], rolled_back_at=at, rolled_back_reason="<b>alarm</b>"),
    ]
    figures = compute(replace(MONTH, models=models))
    assert [service.model_version for service in figures.services] == [
        *(model.model_version for model in (MODELS[1], MODELS[2], MODELS[1]))
    ]
    assert [service.letter for service in figures.services] == ["A", "B", "A"]
    assert figures.changes[-1].what == "rolled back to"


def test_every_chart_is_wide_enough_for_a_phone_and_in_the_page(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    embedded = {base64.b64decode(found) for found in re.findall(r'src="data:image/png;base64,([^"]+)"', text)}
    files = {file.stem: file for file in page.parent.glob("*.png")}
    assert set(files) == CHARTS
    assert {file.read_bytes() for file in files.values()} == embedded
    for file in files.values():
        with Image.open(file) as image:
            assert image.width >= LEAST_WIDTH, file.name


def test_the_page_needs_no_other_file_and_no_network(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not re.findall(r'(?:src|href|url)\s*[=(]\s*["\']?(?!data:)[^"\' >]+', text)
    assert "<script" not in text
    assert "Europe/Dublin" in text


def test_the_figures_are_json_with_times_in_utc(page: Path) -> None:
    figures = json.loads((page.parent / "figures.json").read_text(encoding="utf-8"))
    assert figures["photos"] == len(MONTH.photos)
    assert figures["interval_s"] == 86_400
    assert len(figures["intervals"]) == DAYS
    assert figures["intervals"][0]["start"] == "2026-11-01T00:00:00.000Z"
    assert figures["too_little_data"] == {}
    assert not [key for key in ("photo_id", "token", "key") if f'"{key}"' in json.dumps(figures)]


@pytest.mark.parametrize("photos", [0, 3])
def test_a_stage_with_too_few_photos_gets_a_page_that_says_so(photos: int, tmp_path: Path) -> None:
    few = replace(with_photos(MONTH.photos[:photos]), drift=None, models=[], champion=None, rejected=[])
    page = run.write(few, tmp_path / "few")
    text = page.read_text(encoding="utf-8")
    figures = json.loads((page.parent / "figures.json").read_text(encoding="utf-8"))
    assert set(figures["too_little_data"]) >= CHARTS - {"waits"}
    assert f"Too little data: Only {photos} photos were classified" in text
    for why in figures["too_little_data"].values():
        assert why in text.replace("&#39;", "'")


def test_text_of_people_is_escaped(tmp_path: Path) -> None:
    rolled_back = replace(
        MODELS[2], rolled_back_at="2026-11-20T10:00:00Z", rolled_back_reason="<img src=x onerror=alert(1)>"
    )
    page = run.write(replace(MONTH, models=[*MODELS[:2], rolled_back]), tmp_path / "escaped")
    assert "<img src=x" not in page.read_text(encoding="utf-8")
    assert "&lt;img src=x" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("days", [0, -1, 366, float("nan")])
def test_days_that_no_photo_is_kept_for_are_refused(days: float, deployed: Deployed, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"DAYS is .+ 365"):
        run.run(deployed, tmp_path, days)
