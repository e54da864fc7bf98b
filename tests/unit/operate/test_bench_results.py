"""The table of `make bench`: ratios, targets, and the figures that a table row is computed from."""

from typing import Any

import pytest
from rich.console import Console

from benchmarks.burst import Burst
from benchmarks.executions import Execution
from benchmarks.latency import Comparison
from benchmarks.processes import Samples, Usage
from benchmarks.results import Row, rows, table


def figures(**changes: Any) -> dict[str, Any]:
    comparison = Comparison({"ours": [30.0], "chain": [25.0], "empty": [1.0]}).figures()
    memory = {
        "peak_mb": {"total": 900},
        "server_mb_per_1000_photos": 120.0,
        "workers_mb_per_1000_photos": 2.0,
        "server_cpu_ms_per_photo": 40.0,
        "workers_cpu_ms_per_photo": 10.0,
    }
    counts = {"photos": 1000, "lost": 0, "doubled": 0, "failed": 0, "in_review": 0, "memory": memory}
    return {
        "latency": {"tiny": comparison, "jpeg": comparison},
        "endpoint_ms": {"tiny": {"p50": 10.0}, "jpeg": {"p50": 15.0}},
        "bursts": {"ours": {**counts, "photos_per_s": 30.0}, "chain": {**counts, "photos_per_s": 20.0}},
        "cold_starts": {"assign_bay": {"init_ms": 230.0, "empty_ms": 30.0, "above_empty_ms": 200.0}},
        "console": {"pages": {"photos": {"p50": 120.0}, "model": {"p50": 200.1}}},
        "sizes": {"functions": {"assign_bay": 30_000, "build_dataset": 40_000}, "layer": 2_200_000},
        **changes,
    }


def named(name: str, found: list[Row]) -> Row:
    return next(row for row in found if row.name == name)


def test_the_ratio_of_a_latency_is_ours_to_the_chains() -> None:
    found = rows(figures())
    tiny = named("tiny PNG, median, ms", found)
    assert (tiny.measured, tiny.baseline, tiny.ratio, tiny.target, tiny.met) == (30.0, 25.0, 1.2, "≤ 1.2×", True)
    assert named("JPEG, median, ms", found).met is False


def test_more_throughput_than_the_target_is_met_and_less_is_not() -> None:
    assert named("burst of 1,000, photos/s", rows(figures())).met is True
    bursts = figures()["bursts"]
    bursts["ours"]["photos_per_s"] = 23.9
    assert named("burst of 1,000, photos/s", rows(figures(bursts=bursts))).met is False


def test_a_cold_start_is_judged_by_the_difference_to_an_empty_handler() -> None:
    slow = {"classify_photo": {"init_ms": 531.0, "empty_ms": 30.0, "above_empty_ms": 501.0}}
    assert named("cold assign_bay, ms", rows(figures())).met is True
    assert named("cold classify_photo, ms", rows(figures(cold_starts=slow))).met is False


def test_a_page_is_judged_by_its_median() -> None:
    found = rows(figures())
    assert (named("page photos, ms", found).met, named("page model, ms", found).met) == (True, False)


def test_the_largest_zip_is_judged() -> None:
    found = named("zip build_dataset, kB", rows(figures()))
    assert (found.measured, found.target, found.met) == (40.0, "≤ 100", True)


def test_a_real_account_has_no_figures_of_memory() -> None:
    bursts = figures()["bursts"]
    for burst in bursts.values():
        burst["memory"] = None
    assert not [row for row in rows(figures(bursts=bursts)) if "per 1,000" in row.name or "CPU" in row.name]


def test_a_missed_target_is_shown_in_a_table_of_80_columns() -> None:
    console = Console(width=80)
    with console.capture() as captured:
        console.print(table(rows(figures())))
    line = next(line for line in captured.get().splitlines() if "JPEG, median, ms" in line)
    assert line.split() == ["JPEG,", "median,", "ms", "30", "25", "1.20", "≤", "0.7×", "no"]


def test_the_throughput_counts_photos_whose_execution_succeeded() -> None:
    burst = Burst(10, 2.0, in_review=1, lost=["a"], doubled=[], failed=["b", "c"], memory=None)
    assert burst.figures()["photos_per_s"] == 3.0


def test_the_slope_of_memory_is_per_thousand_photos_and_cpu_time_per_photo() -> None:
    before, after = Usage(100_000_000, 50_000_000, 1.0, 2.0), Usage(150_000_000, 50_000_000, 21.0, 7.0)
    found = Samples(before, after, peak=Usage(160_000_000, 55_000_000)).figures(photos=500)
    assert found is not None
    assert (found["server_mb_per_1000_photos"], found["workers_mb_per_1000_photos"]) == (100.0, 0.0)
    assert (found["server_cpu_ms_per_photo"], found["workers_cpu_ms_per_photo"]) == (40.0, 10.0)
    assert found["peak_mb"]["total"] == 215
    assert Samples().figures(500) is None


def test_the_latency_above_the_empty_state_machine_is_compared_too() -> None:
    found = Comparison({"ours": [13.0], "chain": [9.0], "empty": [1.0]}).figures()
    assert found["ours_to_chain_above_empty"] == 1.5


@pytest.mark.parametrize(
    ("given", "key"),
    [('{"photo": {"key": "uploads/a"}}', "uploads/a"), ('{"s3_key": "chain/a"}', "chain/a"), ("{}", ""), (None, "")],
)
def test_the_photo_of_an_execution_is_read_from_its_input(given: str | None, key: str) -> None:
    detail = {
        "executionArn": "arn:e",
        "stateMachineArn": "arn:m",
        "status": "SUCCEEDED",
        "input": given,
        "startDate": 1000,
        "stopDate": 1042,
    }
    ended = Execution.of_event(detail)
    assert ended is not None
    assert (ended.key, ended.duration_ms) == (key, 42)
    assert Execution.of_event({**detail, "status": "RUNNING"}) is None
