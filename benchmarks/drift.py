"""Simulate the drift watch: false alarms on streams that do not change, and how soon a drift is noticed.

`make simulate-drift`. The photos of a day are drawn from what the model answers to real photos in daylight of several
strengths. A day has its own light (an autoregressive process, so that dark days follow each other), its own mix of
vehicles (another one at weekends) and each photo a light around that of its day. References and comparisons are those
of functions/shared/drift.py: a look at each day, or at each seventh one, compares it and the last seven days.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from benchmarks.drift_photos import DRIFTS, NEW_CLASS, Answers, answer_photos, review_rate
from benchmarks.drift_streams import Pool, Reference, Stream
from operate.terminal import console

REPORT = Path("build/reports/drift.json")
WINDOW_DAYS = 7


def false_alarms(pool: Pool, per_day: int, look_days: int, years: int, limit: float, seed: int) -> dict[str, Any]:
    """Return the number of alarms on a stream that does not change, and the statistics that caused them.

    An alarm is a look with a drift after a look without one. Each year has a reference of its own.
    """
    rng, alarms, looks, causes = np.random.default_rng(seed), 0, 0, dict[str, int]()
    for _ in range(years):
        stream, is_open = Stream(pool, rng), False
        first = [stream.photos(per_day) for _ in range(WINDOW_DAYS)]
        reference = Reference(pool, np.concatenate(first))
        days = [reference.count(day) for day in first]
        for number in range(1, 366):
            days = [*days[1:], reference.count(stream.photos(per_day))]
            if number % look_days:
                continue
            found = reference.drifting(days, limit)
            looks += 1
            if found and not is_open:
                alarms += 1
                for name in found:
                    causes[name] = causes.get(name, 0) + 1
            is_open = bool(found)
    return {"looks": looks, "alarms": alarms, "alarms_a_year": alarms / years, "causes": causes}


def delays(pool: Pool, per_day: int, drift: str, runs: int, limit: float, seed: int) -> dict[str, Any]:
    """Return in how many daily looks a drift is announced that begins at a random time of a day.

    `within_two`, `within_seven` and `within_fourteen` are shares of the runs.
    """
    rng, needed, causes = np.random.default_rng(seed), list[int](), dict[str, int]()
    for _ in range(runs):
        stream = Stream(pool, rng)
        first = [stream.photos(per_day) for _ in range(WINDOW_DAYS)]
        reference = Reference(pool, np.concatenate(first))
        days = [reference.count(day) for day in first]
        changed = int(rng.integers(1, per_day + 1))
        for look in range(1, 2 * WINDOW_DAYS + 1):
            before = stream.photos(per_day - changed) if look == 1 else np.zeros(0, dtype=np.int64)
            day = np.concatenate([before, stream.photos(per_day - len(before), drift)])
            days = [*days[1:], reference.count(day)]
            if found := reference.drifting(days, limit):
                needed.append(look)
                for name in found:
                    causes[name] = causes.get(name, 0) + 1
                break
    return {
        "within_two": sum(look <= 2 for look in needed) / runs,
        "within_seven": sum(look <= WINDOW_DAYS for look in needed) / runs,
        "within_fourteen": len(needed) / runs,
        "median_looks": float(np.median(needed)) if needed else None,
        "statistics": causes,
    }


def simulate(answers: Answers, years: int, runs: int, limit: float) -> dict[str, Any]:
    """Return the report for several numbers of photos a day."""
    pool = Pool.of(answers)
    report: dict[str, Any] = {"years": years, "psi_limit": limit, "unchanged": [], "drifts": []}
    for per_day, look_days in ((50, 7), (300, 7), (50, 1), (300, 1)):
        row = false_alarms(pool, per_day, look_days, years, limit, seed=per_day + look_days)
        report["unchanged"].append({"photos_a_day": per_day, "look_days": look_days, **row})
        console.print(f"unchanged, {per_day} photos a day, looks every {look_days} days: {row}", soft_wrap=True)
    for name in (*DRIFTS, NEW_CLASS):
        for per_day in (50, 150, 500):
            row = delays(pool, per_day, name, runs, limit, seed=per_day)
            report["drifts"].append({"drift": name, "photos_a_day": per_day, **row})
            console.print(f"{name}, {per_day} photos a day: {row}", soft_wrap=True)
    return report


def _print(report: Mapping[str, Any]) -> None:
    grid = Table(title=f"Alarms in {report['years']} years without drift", title_justify="left")
    for heading in ("photos a day", "a look every", "looks", "alarms", "a year"):
        grid.add_column(heading, justify="right")
    for row in report["unchanged"]:
        days = f"{row['look_days']} days"
        grid.add_row(*map(str, (row["photos_a_day"], days, row["looks"], row["alarms"], f"{row['alarms_a_year']:.2f}")))
    console.print(grid)
    grid = Table(title="Announced after how many daily looks", title_justify="left")
    for heading in ("drift", "photos a day", "within 2", "within 7", "within 14", "median", "first seen in"):
        grid.add_column(heading, justify="right")
    for row in report["drifts"]:
        first = ", ".join(sorted(row["statistics"], key=lambda name: -row["statistics"][name])[:3])
        shares = [f"{row[f'within_{number}']:.1%}" for number in ("two", "seven", "fourteen")]
        cells = (row["drift"], row["photos_a_day"], *shares, row["median_looks"], first)
        grid.add_row(*map(str, cells))
    console.print(grid)


def main() -> int:
    """Simulate, print the tables and write build/reports/drift.json; return the exit status."""
    parser = argparse.ArgumentParser(description="Simulate the drift watch.")
    parser.add_argument("--photos", type=Path, help="a folder with photos in class folders; by default drawings")
    parser.add_argument("--count", type=int, default=30, help="photos of each class")
    parser.add_argument("--years", type=int, default=200)
    parser.add_argument("--runs", type=int, default=200, help="simulated drifts of each kind")
    parser.add_argument("--limit", type=float, default=0.25, help="the practical limit of the index")
    arguments = parser.parse_args()
    answers = answer_photos(arguments.photos, arguments.count)
    usual = [one for (drift, vehicle, _), found in answers.items() if not drift and vehicle for one in found]
    console.print(f"{len(usual)} answers to vehicles in daylight, {review_rate(usual):.1%} go to review")
    report = simulate(answers, arguments.years, arguments.runs, arguments.limit)
    _print(report)
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
