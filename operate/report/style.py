"""How the charts of the report look: readable on a phone 360 pixels wide, in grey, and with a colour deficiency.

A chart is as wide as a phone's screen would be in inches, so its text keeps its size there. Series differ in shape or
hatch and in lightness, not only in hue; the hues are those of Okabe and Ito ("Color Universal Design", 2008).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt  # after the backend is set: there is no display
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num

from functions.shared.vehicles import OTHER
from operate.report.figures import Figures

# Inches. 924 pixels, which a phone shows at about a third of their size.
WIDTH, HEIGHT, DPI = 4.2, 3.2, 220
BLACK, BLUE, ORANGE, SKY, GREEN, GREY, LIGHT = (
    "#1a1a1a",
    "#0a4f80",
    "#e69f00",
    "#56b4e9",
    "#00795a",
    "#767676",
    "#d0d0d0",
)


@dataclass(frozen=True)
class Look:
    """The look of one series."""

    colour: str
    marker: str
    hatch: str


_LOOKS = (
    Look(BLUE, "o", ""),
    Look(ORANGE, "^", "////"),
    Look(SKY, "s", "...."),
    Look(GREEN, "D", "xxxx"),
    Look("#cc79a7", "v", "++++"),
    Look("#5c3d00", "P", "oo"),
)
_OTHER = Look(LIGHT, "x", "\\\\\\\\")


def look_of(name: str, names: Sequence[str]) -> Look:
    """Return the look of a class or a series; `other` has one of its own."""
    if name == OTHER:
        return _OTHER
    return _LOOKS[[one for one in names if one != OTHER].index(name) % len(_LOOKS)]


# Of the width of a chart: the width of a letter above it.
_NEAR = 0.05
# Text over lines stays readable.
OVER = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}


@dataclass(frozen=True)
class Plan:
    """A chart that may be drawn: `why_not` says why there is too little data, or is empty. `height` is in inches."""

    caption: str
    why_not: str
    plot: Callable[[Axes], None]
    height: float = HEIGHT


@contextmanager
def chart(file: Path, height: float) -> Iterator[Axes]:
    """Yield the axes of a chart, and write it to `file` at the end."""
    with mpl.rc_context({"font.size": 9, "axes.edgecolor": GREY, "text.color": BLACK, "hatch.linewidth": 0.6}):
        figure, axes = plt.subplots(figsize=(WIDTH, height), layout="constrained")
        axes.spines[["top", "right"]].set_visible(False)
        yield axes
        figure.savefig(file, dpi=DPI, metadata={"Software": None})
        plt.close(figure)


def x_of(at: datetime) -> float:
    """Return a time as a coordinate of the time axis: days since 1970."""
    return float(date2num(at))  # type: ignore[no-untyped-call]  # matplotlib has no types here


def time_axis(axes: Axes, figures: Figures) -> None:
    """Make the horizontal axis that of the time of the report, with the changes of the model marked."""
    observed = figures.observed
    end = figures.buckets[-1].start + observed.width
    axes.set_xlim(x_of(observed.since), x_of(end))
    locator = AutoDateLocator(tz=observed.zone, maxticks=6)  # type: ignore[no-untyped-call]  # no types
    axes.xaxis.set_major_locator(locator)
    formatter = ConciseDateFormatter(locator, tz=observed.zone)  # type: ignore[no-untyped-call]  # no types
    axes.xaxis.set_major_formatter(formatter)
    axes.set_xlabel(f"time ({observed.rules.time_zone})")
    _mark_changes(axes, figures)


def _mark_changes(axes: Axes, figures: Figures) -> None:
    """Draw a line at each change of the model in production, with the letter of the model above it."""
    letters = {service.model_version: service.letter for service in figures.services}
    begun = [
        (x_of(change.at), letters[change.model_version])
        for change in figures.changes
        if change.model_version in letters and change.what != "rejected"
    ]
    for x, _ in begun:
        axes.axvline(x, color=BLACK, linestyle=(0, (1, 1.5)), linewidth=1.1, zorder=3)
    left, right = axes.get_xlim()
    for x, text in merge_labels(begun, (right - left) * _NEAR):
        axes.annotate(
            text,
            (x, 1.0),
            (0, 2),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=8,
            fontweight="bold",
        )


def merge_labels(labels: Sequence[tuple[float, str]], near: float) -> list[tuple[float, str]]:
    """Join labels that would be drawn over each other, because the next one is nearer than `near`.

    >>> merge_labels([(1.0, "A"), (1.1, "B"), (5.0, "C")], 0.5)
    [(1.1, 'A, B'), (5.0, 'C')]
    """
    merged: list[tuple[float, str]] = []
    for x, text in labels:
        if merged and x - merged[-1][0] < near:
            text = f"{merged.pop()[1]}, {text}"
        merged.append((x, text))
    return merged


def legend(axes: Axes, columns: int = 3) -> None:
    """Put the legend below the chart, where it covers nothing."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        axes.figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, fontsize=8)


def limit(axes: Axes, value: float, text: str) -> None:
    """Draw a limit as a dashed line."""
    axes.axhline(value, color=BLACK, linestyle="--", linewidth=1.2, label=text)
