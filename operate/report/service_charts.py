"""The charts about the service: waits of drivers, latency of the endpoint, and models in production."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from functions.shared.decision import FALLBACK, MODEL, REVIEWER
from operate.report.figures import Figures
from operate.report.style import BLACK, BLUE, GREY, LIGHT, ORANGE, OVER, Look, Plan, legend, time_axis, x_of

_WAITS = {
    MODEL: ("decided by the model", Look(BLUE, "o", "")),
    REVIEWER: ("by a reviewer", Look(ORANGE, "^", "")),
    FALLBACK: ("by nobody in time", Look(GREY, "x", "")),
}


def waits(figures: Figures) -> Plan:
    """Plan the times from upload to decision."""
    width = figures.observed.width.total_seconds() / 86400

    def plot(axes: Axes) -> None:
        for name, (label, look) in _WAITS.items():
            found = [
                (x_of(bucket.start) + width / 2, bucket.waits[name].median, bucket.waits[name].p95)
                for bucket in figures.buckets
                if name in bucket.waits
            ]
            if not found:
                continue
            x, middle, high = np.array(found).T
            up = [np.zeros(len(found)), high - middle]
            axes.errorbar(
                x, np.maximum(middle, 0.01), up, color=look.colour, marker=look.marker, markersize=4.5, linewidth=1,
                elinewidth=0.9, capsize=2, label=label,
            )  # fmt: skip
        axes.set_yscale("log")
        _time_ticks(axes)
        axes.set_ylabel("from upload to decision")
        axes.grid(axis="y", color=LIGHT, linewidth=0.6)
        time_axis(axes, figures)
        legend(axes)

    caption = "Median of each interval; the bar ends at the 95th percentile. Drivers who still wait are not in it."
    return Plan(caption, "" if any(b.waits for b in figures.buckets) else "No photo has a decision yet.", plot)


_DURATIONS = {
    0.01: "10 ms",
    0.1: "0.1 s",
    1: "1 s",
    10: "10 s",
    60: "1 min",
    600: "10 min",
    3600: "1 h",
    36_000: "10 h",
    360_000: "100 h",
}


def _time_ticks(axes: Axes) -> None:
    low, high = axes.get_ylim()
    shown = [value for value in _DURATIONS if low / 3 <= value <= high * 3]
    axes.yaxis.set_major_locator(FixedLocator(shown))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _DURATIONS.get(round(value, 2), f"{value:g}")))
    axes.set_ylim(min(low, shown[0]), max(high, shown[-1]))


def latency(figures: Figures) -> Plan:
    """Plan the times of the requests to the endpoint."""

    def plot(axes: Axes) -> None:
        x = [x_of(one.at) for one in figures.latency]
        axes.plot(
            x, [one.p95 for one in figures.latency], color=ORANGE, marker="^", markersize=4, label="95th percentile"
        )
        axes.plot(x, [one.median for one in figures.latency], color=BLUE, marker="o", markersize=4, label="median")
        axes.set_ylim(0, None)
        axes.set_ylabel("milliseconds per request")
        axes.grid(axis="y", color=LIGHT, linewidth=0.6)
        time_axis(axes, figures)
        legend(axes)

    caption = "How long ClassifyPhoto waited for the endpoint, from CloudWatch."
    why = "" if figures.latency else "CloudWatch has no latency of this time."
    return Plan(caption, why, plot, 3.0)


def models(figures: Figures) -> Plan:
    """Plan which model was in production when."""
    services, rejected = figures.services, figures.rejected

    def plot(axes: Axes) -> None:
        for y, service in enumerate(services):
            begin = x_of(max(service.since, figures.observed.since))
            end = x_of(service.until)
            axes.barh(y, end - begin, 0.5, begin, color=LIGHT, edgecolor=BLUE, linewidth=1)
            threshold = "" if service.threshold is None else f", threshold {service.threshold:.3f}"
            axes.annotate(
                f"{service.model_version}{threshold}", (x_of(figures.observed.since), y + 0.42), (2, 0),
                textcoords="offset points", fontsize=8, va="center", bbox=OVER, zorder=4,
            )  # fmt: skip
        if rejected:
            axes.scatter(
                [x_of(one.at) for one in rejected], [len(services)] * len(rejected), marker="x", color=BLACK,
                s=30, label="rejected by the gate",
            )  # fmt: skip
        rows = [service.letter for service in services] + (["not promoted"] if rejected else [])
        axes.set_yticks(range(len(rows)), rows)
        axes.set_ylim(len(rows) - 0.2, -0.6)
        time_axis(axes, figures)
        legend(axes)

    caption = "Which model was in production when. Dotted lines with these letters mark the changes in every chart."
    why = "" if services else "There is no model yet: `make retrain` trains one."
    return Plan(caption, why, plot, 1.3 + 0.5 * (len(services) + bool(rejected)))


def figures_left(figures: Figures) -> float:
    """Return the left end of the time axis."""
    return float(x_of(figures.observed.since))
