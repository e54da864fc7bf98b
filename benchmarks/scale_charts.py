"""The charts of the scale simulation, with the look of those of the report."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from benchmarks.scale_engine import Result
from operate.report.style import BLACK, BLUE, GREY, HEIGHT, LIGHT, ORANGE, chart, legend

_MARKS = (("p50", "o", BLUE), ("p95", "^", ORANGE), ("p99", "s", BLACK))
_SECONDS = {0.5: "0.5 s", 2: "2 s", 10: "10 s", 60: "1 min", 600: "10 min", 3600: "1 h"}


def waits(rows: Sequence[Mapping[str, Any]], file: Path) -> None:
    """Draw the percentiles of the wait until the model's decision, a line for each load and its settings."""
    with chart(file, 0.42 * len(rows) + 1.2) as axes:
        names = [f"{row['load']},\n{row['settings']}" for row in rows]
        for number, row in enumerate(rows):
            values = [row["decided_s"][name] for name, _, _ in _MARKS]
            if None not in values:
                axes.plot(values, [number] * len(values), color=GREY, linewidth=1, zorder=1)
        # One below the other, because they are often almost equal.
        for below, (name, marker, colour) in zip((-0.16, 0.0, 0.16), _MARKS, strict=True):
            found = [
                (row["decided_s"][name], number + below)
                for number, row in enumerate(rows)
                if row["decided_s"][name] is not None
            ]
            x, y = np.array(found).T
            axes.scatter(x, y, marker=marker, color=colour, s=26, label=name, zorder=2)
        axes.set_xscale("log")
        axes.set_xticks(list(_SECONDS), list(_SECONDS.values()), minor=False)
        axes.set_xticks([], minor=True)
        axes.set_xlim(0.4, max(axes.get_xlim()[1], 60))
        axes.set_yticks(range(len(rows)), names, fontsize=7.5)
        axes.invert_yaxis()
        axes.set_xlabel("from upload to the model's decision")
        axes.grid(axis="x", color=LIGHT, linewidth=0.6)
        legend(axes)


def burst(figures: Mapping[str, Any], file: Path) -> None:
    """Draw which share of a burst is sent to reviewers by the number of instances that run when it begins."""
    with chart(file, HEIGHT) as axes:
        numbers = [row["instances"] for row in figures["rows"]]
        shares = [100 * row["review_after_error"] / figures["photos"] for row in figures["rows"]]
        axes.bar(numbers, shares, color=LIGHT, edgecolor=BLACK, linewidth=0.8)
        for number, share, row in zip(numbers, shares, figures["rows"], strict=True):
            axes.annotate(
                str(row["reviewers"]), (number, share), (0, 2), textcoords="offset points", ha="center", fontsize=8
            )
        axes.set_title("above the bars: reviewers needed", fontsize=9)
        axes.set_xticks(numbers)
        axes.set_xlabel("instances when the burst begins")
        axes.set_ylabel("% sent to reviewers by overload")
        axes.grid(axis="y", color=LIGHT, linewidth=0.6)
        axes.set_axisbelow(True)


def instances(result: Result, begins: float, target_per_minute: float, file: Path) -> None:
    """Draw the instances that run, and those that the target asks for, by hour of the day."""
    with chart(file, HEIGHT) as axes:
        last = float(result.answered_at.max())
        minutes = np.bincount((result.arrived_at / 60).astype(np.int64))
        hours = begins + (np.arange(len(minutes)) + 0.5) / 60
        axes.plot(hours, minutes / target_per_minute, color=ORANGE, linewidth=1.1, label="the target asks for")
        at, number = np.array([*result.instances, (last, result.instances[-1][1])]).T
        axes.step(begins + at / 3600, number, where="post", color=BLUE, linewidth=1.6, linestyle="--", label="running")
        axes.set_ylim(0, None)
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("hour of the day")
        axes.set_ylabel("instances")
        axes.grid(axis="y", color=LIGHT, linewidth=0.6)
        legend(axes)
