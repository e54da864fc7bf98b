"""Simulate a day or a burst of photos on AWS: waits, instances, reviewers, and the limit that is reached first.

`make simulate-scale`. Each load is simulated twice: with the default settings and quotas of this checkout, and with as
many instances and as large quotas as it needs. benchmarks/scale_model.py has what is measured and what is assumed.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, inf
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from benchmarks import scale_charts
from benchmarks.scale_engine import (
    CONCURRENCY,
    ERROR,
    MODEL,
    REQUESTS,
    STARTS,
    UNSURE,
    WRITES,
    Floats,
    Result,
    System,
    simulate,
)
from benchmarks.scale_model import (
    ASSUMED,
    LOADS,
    REVIEW_P95_S,
    Load,
    default_system,
    review_durations,
    review_timeout_s,
    transitions_per_photo,
)
from benchmarks.scale_reviewers import review, reviewers_needed
from operate.terminal import console

REPORT = Path("build/reports/scale.json")
PERCENTS = (50, 95, 99)
BURST_INSTANCES = tuple(range(1, 11))
# More than any load needs.
MANY = 1000
DEFAULT, NEEDED = "default", "as needed"


@dataclass(frozen=True)
class Simulated:
    """A load on a system, and what became of its photos."""

    load: Load
    settings: str
    system: System
    result: Result

    def figures(self, seed: int) -> dict[str, Any]:
        """Return the figures of this load as JSON values, with durations in seconds."""
        result = self.result
        photos = len(result.arrived_at)
        return {
            "load": self.load.name,
            "settings": self.settings,
            "photos": photos,
            "hours": [self.load.begins, self.load.ends],
            "by_model": result.count(MODEL),
            "unsure": result.count(UNSURE),
            "review_after_error": result.count(ERROR),
            "decided_s": percentiles(result.waits(MODEL)),
            **reviews(result, seed),
            "instances": instances(result, self.system),
            "limits": self._limits(),
            "first_limit": self._first(),
        }

    def _limits(self) -> dict[str, Any]:
        started = self.result.started_at
        starts = float(np.bincount(started.astype(np.int64)).max()) if len(started) else 0.0
        system, limits = self.system, self.result.limits
        quotas = {
            STARTS: (starts, system.start_rate),
            CONCURRENCY: (limits[CONCURRENCY].peak, system.concurrency),
            WRITES: (limits[WRITES].peak, system.write_units_per_s),
            REQUESTS: (limits[REQUESTS].peak, system.in_flight),
            "state transitions per second": (starts * transitions_per_photo(), inf),
        }
        return {
            name: {
                "peak": round(peak, 1),
                "limit": None if limit == inf else limit,
                "refusals": limits[name].refusals if name in limits else 0,
                "first_at_s": limits[name].first_at if name in limits else None,
            }
            for name, (peak, limit) in quotas.items()
        }

    def _first(self) -> dict[str, Any] | None:
        """Return the limit that refused something first, and when: the hour of the day."""
        refused = [(limit.first_at, name) for name, limit in self.result.limits.items() if limit.first_at is not None]
        if not refused:
            return None
        at, name = min(refused)
        return {"name": name, "hour": round(self.load.begins + at / 3600, 2)}


def percentiles(values: Floats) -> dict[str, float | None]:
    """Return p50, p95 and p99, rounded to a hundredth; None without values, and for an endless wait."""
    if not len(values):
        return {f"p{percent}": None for percent in PERCENTS}
    found = np.percentile(values, PERCENTS, method="higher")
    return {f"p{p}": round(float(value), 2) if value != inf else None for p, value in zip(PERCENTS, found, strict=True)}


def reviews(result: Result, seed: int) -> dict[str, Any]:
    """Return how many reviewers answer in time, what drivers wait for them, and who gets no answer in time."""
    chosen = np.flatnonzero(result.outcome != MODEL)
    order = chosen[np.argsort(result.answered_at[chosen], kind="stable")]
    requests = result.answered_at[order]
    durations = review_durations()(np.random.default_rng([seed, 9]), len(requests))
    timeout = review_timeout_s()
    times, seconds = requests.tolist(), durations.tolist()
    people = reviewers_needed(times, seconds, timeout, REVIEW_P95_S)
    # With fewer, more than 5% of the drivers are sent to the help desk.
    fewest = reviewers_needed(times, seconds, timeout, timeout)
    waits = review(times, seconds, people, timeout)
    alone = review(times, seconds, 1, timeout)
    return {
        "reviewers": people,
        "fewest_reviewers": fewest,
        "reviewed_s": percentiles(requests - result.arrived_at[order] + waits),
        "help_desk": int(np.count_nonzero(waits == inf)),
        "help_desk_with_one_reviewer": int(np.count_nonzero(alone == inf)),
    }


def instances(result: Result, system: System) -> dict[str, Any]:
    """Return the numbers of instances at the beginning and at most, and what the settings allow."""
    numbers = [number for _, number in result.instances]
    return {
        "first": numbers[0],
        "most": max(numbers),
        "min_setting": system.scaling.min_instances,
        "max_setting": system.scaling.max_instances,
    }


def run_load(load: Load, settings: str, system: System, arrivals: Floats, seed: int) -> Simulated:
    """Simulate a load, with as many instances at the beginning as scaling would have by then."""
    scaling = system.scaling
    steady = ceil(load.first_rate() * 60 / scaling.target_per_minute)
    first = max(scaling.min_instances, min(scaling.max_instances, steady))
    return Simulated(load, settings, system, simulate(system, arrivals, seed, first))


def with_enough(load: Load, system: System, arrivals: Floats, seed: int) -> Simulated:
    """Simulate a load without quotas and with the fewest instances that refuse no photo until review.

    Scaling may add any number of them. When it is too late, the least number is raised.
    """

    def attempt(least: int) -> Simulated:
        scaling = replace(system.scaling, min_instances=least, max_instances=MANY)
        lifted = replace(system, scaling=scaling, start_rate=inf, write_units_per_s=inf, concurrency=inf)
        return run_load(load, NEEDED, lifted, arrivals, seed)

    low, found = system.scaling.min_instances - 1, attempt(system.scaling.min_instances)
    high = system.scaling.min_instances
    while found.result.count(ERROR):
        low, high = high, high * 2
        found = attempt(high)
    while high - low > 1:
        middle = (low + high) // 2
        tried = attempt(middle)
        low, high, found = (middle, high, found) if tried.result.count(ERROR) else (low, middle, tried)
    return found


def burst_by_instances(load: Load, system: System, arrivals: Floats, seed: int) -> list[dict[str, Any]]:
    """Return what becomes of a burst for several numbers of instances that run when it begins."""
    rows = []
    for number in BURST_INSTANCES:
        scaling = replace(system.scaling, min_instances=number, max_instances=max(number, system.scaling.max_instances))
        result = run_load(load, "", replace(system, scaling=scaling), arrivals, seed).result
        rows.append(
            {
                "instances": number,
                "review_after_error": result.count(ERROR),
                "decided_s": percentiles(result.waits(MODEL)),
                "reviewers": reviews(result, seed)["reviewers"],
            }
        )
    return rows


def run(loads: Sequence[Load], seed: int, charts: Path | None) -> dict[str, Any]:
    """Return the report of all loads; draw the charts in a folder."""
    system, rows, simulated = default_system(), list[dict[str, Any]](), list[Simulated]()
    report: dict[str, Any] = {"seed": seed, "assumed": dict(ASSUMED), "review_p95_s": REVIEW_P95_S}
    for load in loads:
        arrivals = load.arrivals(np.random.default_rng([seed, 7]))
        console.print(f"{load.name}: {len(arrivals):,} photos …")
        for one in (
            run_load(load, DEFAULT, system, arrivals, seed),
            with_enough(load, system, arrivals, seed),
        ):
            simulated.append(one)
            rows.append(one.figures(seed))
        if load.burst:
            report["burst"] = {"photos": len(arrivals), "rows": burst_by_instances(load, system, arrivals, seed)}
    report["loads"] = rows
    if charts:
        charts.mkdir(parents=True, exist_ok=True)
        scale_charts.waits(rows, charts / "waits.png")
        if "burst" in report:
            scale_charts.burst(report["burst"], charts / "burst.png")
        largest = max(simulated, key=lambda one: len(one.result.arrived_at) * (one.settings == NEEDED))
        scale_charts.instances(
            largest.result, largest.load.begins, system.scaling.target_per_minute, charts / "instances.png"
        )
    return report


def print_report(report: Mapping[str, Any]) -> None:
    """Print the waits and the numbers of instances and reviewers, and the limit that each load reaches first."""
    grid = Table(title="Photos on AWS, simulated: waits in seconds", title_justify="left")
    for heading in ("load", "p50", "p95", "p99", "instances", "review", "reviewers"):
        grid.add_column(heading, justify="left" if heading == "load" else "right", no_wrap=heading == "load")
    for row in report["loads"]:
        share = (row["unsure"] + row["review_after_error"]) / row["photos"]
        waits = ["–" if value is None else f"{value:.2f}" for value in row["decided_s"].values()]
        people = f"{row['reviewers']} ({row['fewest_reviewers']})"
        name = row["load"] if row["settings"] == DEFAULT else f"  {row['settings']}"
        grid.add_row(name, *waits, str(row["instances"]["most"]), f"{share:.1%}", people)
    console.print(grid)
    console.print(
        f"Waits until the model's decision. Reviewers: as many as answer 95% within {REVIEW_P95_S:.0f} s; in brackets, "
        f"within the {review_timeout_s():.0f} s that a driver waits."
    )
    for row in report["loads"]:
        if row["settings"] == DEFAULT:
            first = row["first_limit"]
            what = f"{first['name']}, from {first['hour']:.2f} h on" if first else "none"
            console.print(f"{row['load']}: first limit that refuses something: {what}")


def main() -> int:
    """Simulate, print the table, and write the report and the charts; return the exit status."""
    parser = argparse.ArgumentParser(description="Simulate many photos on AWS.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--charts", type=Path, default=Path("build/reports/scale"), help="folder of the PNG files")
    arguments = parser.parse_args()
    report = run(LOADS, arguments.seed, arguments.charts)
    print_report(report)
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    console.print(f"Report: {REPORT}. Charts: {arguments.charts}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
