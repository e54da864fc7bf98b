"""The report of `make simulate-scale`, on loads of a few thousand photos."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks import scale
from benchmarks.scale_engine import MODEL, REQUESTS
from benchmarks.scale_model import Load, default_system

QUIET = Load("quiet", 20_000, begins=11.5, ends=12.5)
# One instance answers about 34 photos per second.
BURST = Load("burst", 1000, begins=11.9, ends=12.2, burst=3000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("charts")


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    return scale.run([QUIET, BURST], 1, folder)


def row_of(report: dict[str, Any], load: Load, settings: str) -> dict[str, Any]:
    return next(row for row in report["loads"] if (row["load"], row["settings"]) == (load.name, settings))


def test_every_photo_of_a_load_is_counted_once(report: dict[str, Any]) -> None:
    for row in report["loads"]:
        assert row["by_model"] + row["unsure"] + row["review_after_error"] == row["photos"]


def test_a_quiet_hour_reaches_no_limit(report: dict[str, Any]) -> None:
    row = row_of(report, QUIET, scale.DEFAULT)
    assert row["first_limit"] is None
    assert row["review_after_error"] == 0
    assert row["instances"]["most"] == 1
    assert row["decided_s"]["p99"] < 1


def test_a_burst_is_refused_by_the_instances_first(report: dict[str, Any]) -> None:
    row = row_of(report, BURST, scale.DEFAULT)
    assert row["first_limit"]["name"] == REQUESTS
    assert row["first_limit"]["hour"] == pytest.approx(12.0, abs=0.02)
    assert row["limits"][REQUESTS]["peak"] == row["limits"][REQUESTS]["limit"]
    assert row["review_after_error"] > 0


def test_as_needed_is_the_least_number_of_instances_that_refuses_no_photo_until_review(report: dict[str, Any]) -> None:
    row, least = row_of(report, BURST, scale.NEEDED), 2
    assert (row["review_after_error"], row["instances"]["min_setting"]) == (0, least)
    assert row["reviewers"] < row_of(report, BURST, scale.DEFAULT)["reviewers"]
    by_instances = {one["instances"]: one["review_after_error"] for one in report["burst"]["rows"]}
    assert by_instances[least - 1] > 0
    assert by_instances[least] == 0


def test_more_instances_need_no_more_reviewers(report: dict[str, Any]) -> None:
    people = [one["reviewers"] for one in report["burst"]["rows"]]
    assert people == sorted(people, reverse=True)


def test_fewer_reviewers_suffice_for_the_time_that_a_driver_waits(report: dict[str, Any]) -> None:
    row = row_of(report, BURST, scale.DEFAULT)
    assert 1 <= row["fewest_reviewers"] < row["reviewers"]
    assert row["help_desk_with_one_reviewer"] > row["help_desk"]


def test_the_report_is_json_and_the_charts_are_readable_on_a_phone(report: dict[str, Any], folder: Path) -> None:
    json.dumps(report, allow_nan=False)
    assert {file.name for file in folder.iterdir()} == {"waits.png", "burst.png", "instances.png"}
    for file in folder.iterdir():
        with Image.open(file) as chart:
            assert chart.width == 924  # an inch of the chart is an inch of the phone


def test_the_table_names_the_loads_and_the_first_limit(
    report: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    scale.print_report(report)
    printed = capsys.readouterr().out
    assert "as needed" in printed
    assert f"burst: first limit that refuses something: {REQUESTS}" in " ".join(printed.split())
    assert "quiet: first limit that refuses something: none" in " ".join(printed.split())


def test_scaling_begins_with_the_instances_of_the_load() -> None:
    load = Load("busy", 5e6, begins=18.4, ends=18.41)
    arrivals = load.arrivals(np.random.default_rng(1))
    found = scale.with_enough(load, default_system(), arrivals, seed=1)
    assert found.result.instances[0][1] == pytest.approx(load.first_rate() * 60 / 1000, abs=1)
    assert found.result.count(MODEL) > 0.9 * len(arrivals)


def test_no_percentile_is_infinite() -> None:
    assert scale.percentiles(np.array([1.0, 2.0, np.inf])) == {"p50": 2.0, "p95": None, "p99": None}
    assert scale.percentiles(np.array([])) == {"p50": None, "p95": None, "p99": None}
