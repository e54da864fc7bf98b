"""The charts about the model: confidence, class mix, review rate, audit and drift."""

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator, PercentFormatter

from functions.shared.audit import Estimate
from operate.report.figures import FEW, Bucket, Figures, Share
from operate.report.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    LIGHT,
    ORANGE,
    OVER,
    Look,
    Plan,
    legend,
    limit,
    look_of,
    time_axis,
    x_of,
)  # fmt: skip

_TICKS = (0.3, 0.5, 0.7, 0.9, 0.95, 0.99, 0.999, 0.9999)
_LOWEST, _HIGHEST = 0.25, 0.99995
_SERIES = ("o", "^", "s", "D", "v", "P", "X", "*")


def too_few(photos: int) -> str:
    """Return why photos are too few for a chart, nothing when they are enough."""
    return "" if photos >= FEW else f"Only {photos} photos were classified in this time; at least {FEW} are needed."


def confidence(figures: Figures) -> Plan:
    """Plan the confidence of each photo over time, with the threshold in force."""
    classes = figures.classes

    def plot(axes: Axes) -> None:
        axes.set_yscale("logit")
        for name in classes:
            look = look_of(name, classes)
            for alone in (False, True):
                shown = [point for point in figures.points if (point.vehicle, point.alone) == (name, alone)]
                if not shown:
                    continue
                crossed = look.marker == "x"
                axes.scatter(
                    [x_of(point.at) for point in shown],
                    [min(max(point.confidence, _LOWEST), _HIGHEST) for point in shown],
                    s=14,
                    marker=look.marker,
                    facecolors=GREY if crossed else look.colour if alone else "none",
                    edgecolors=None if crossed else look.colour,
                    linewidths=0.8,
                    alpha=0.85,
                    label=f"{name}, {'alone' if alone else 'to review'}",
                )
        steps = [(x_of(point.at), point.threshold) for point in figures.points if point.threshold is not None]
        if steps:
            end = x_of(figures.observed.until)
            times, values = [at for at, _ in steps], [min(max(value, _LOWEST), _HIGHEST) for _, value in steps]
            axes.step(
                [*times, end],
                [*values, values[-1]],
                where="post",
                color=BLACK,
                linestyle="--",
                linewidth=1.3,
                label=f"threshold, now {steps[-1][1]:.3g}",
            )
        axes.set_ylim(_LOWEST, _HIGHEST)
        axes.yaxis.set_major_locator(FixedLocator(_TICKS))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_ylabel("confidence (logit scale)")
        axes.grid(axis="y", color=LIGHT, linewidth=0.6)
        time_axis(axes, figures)
        legend(axes, columns=2)

    caption = (
        "Each mark is a photo. From the threshold on, the model decides a vehicle alone; below it, and for everything "
        "that is no vehicle, a person does. Values above 0.99995 are drawn there."
    )
    return Plan(caption, too_few(len(figures.points)), plot, 3.9)


def class_mix(figures: Figures) -> Plan:
    """Plan the shares of what the model answered."""
    classes = figures.classes

    def plot(axes: Axes) -> None:
        shown = [bucket for bucket in figures.buckets if sum(bucket.classes.values())]
        width = figures.observed.width.total_seconds() / 86400
        left = np.array([x_of(bucket.start) for bucket in shown])
        below = np.zeros(len(shown))
        for name in classes:
            look = look_of(name, classes)
            shares = np.array([bucket.classes.get(name, 0) / sum(bucket.classes.values()) for bucket in shown])
            axes.bar(
                left, shares, width * 0.9, below, align="edge", color=look.colour, hatch=look.hatch, edgecolor="white",
                linewidth=0.4, label=name,
            )  # fmt: skip
            below += shares
        axes.set_ylim(0, 1)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set_ylabel("share of the photos")
        time_axis(axes, figures)
        legend(axes)

    caption = "What the model answered, per interval of time. A change that no event explains may be drift."
    return Plan(caption, too_few(len(figures.points)), plot)


def review_rate(figures: Figures) -> Plan:
    """Plan the shares of photos that went to a reviewer, and that were rejected."""

    def plot(axes: Axes) -> None:
        _shares(axes, figures, lambda bucket: bucket.review, "sent to review", Look(BLUE, "o", ""), -0.12)
        _shares(axes, figures, lambda bucket: bucket.rejected, "rejected", Look(ORANGE, "^", ""), 0.12)
        axes.set_ylim(0, None)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set_ylabel("share of the photos")
        axes.grid(axis="y", color=LIGHT, linewidth=0.6)
        time_axis(axes, figures)
        legend(axes)

    enough = any(bucket.review.share is not None for bucket in figures.buckets)
    caption = f"With 95% intervals; intervals of time with fewer than {FEW} photos are left out."
    return Plan(caption, "" if enough else f"No interval of time has {FEW} classified photos.", plot)


def _shares(axes: Axes, figures: Figures, of: Callable[[Bucket], Share], name: str, look: Look, aside: float) -> None:
    """Draw a share of each bucket with its interval, in the middle of the bucket, `aside` by a part of its width."""
    width = figures.observed.width.total_seconds() / 86400
    found = [(x_of(bucket.start) + width * (0.5 + aside), of(bucket)) for bucket in figures.buckets]
    known = [
        (x, one.share, one.lower, one.upper)
        for x, one in found
        if one.share is not None and one.lower is not None and one.upper is not None
    ]
    if known:
        x, share, lower, upper = np.array(known).T
        axes.errorbar(
            x, share, (share - lower, upper - share), color=look.colour, marker=look.marker, markersize=4,
            linewidth=1, elinewidth=0.8, capsize=1.5, label=name,
        )  # fmt: skip


def audit(figures: Figures) -> Plan:
    """Plan the error of the decisions by model and by vehicle."""
    letters = {service.model_version: service.letter for service in figures.services}
    audit = figures.audit
    newest = letters.get(audit.model_version or "", audit.model_version or "")
    rows: list[tuple[str, Estimate]] = [
        *((f"model {letters.get(name, name)}", one) for name, one in audit.by_model.items()),
        *((f"{newest}: {name}", one) for name, one in audit.by_vehicle.items()),
    ]
    known = [(name, one) for name, one in rows if one.error is not None]

    def plot(axes: Axes) -> None:
        for y, (_, one) in enumerate(known):
            assert one.error is not None and one.lower is not None and one.upper is not None  # noqa: PT018  # types
            axes.errorbar(
                one.error, y, xerr=[[one.error - one.lower], [one.upper - one.error]], color=BLUE, marker="o",
                markersize=5, capsize=3, linewidth=1.4,
            )  # fmt: skip
            axes.annotate(
                f"{one.error:.1%}, {one.wrong} of {one.answered}", (one.error, y), (0, 6),
                textcoords="offset points", fontsize=8, ha="left", bbox=OVER, zorder=4,
            )  # fmt: skip
        allowed = figures.observed.rules.audit_error_limit
        axes.axvline(allowed, color=BLACK, linestyle="--", linewidth=1.2, label=f"limit of the alarm, {allowed:.1%}")
        axes.set_yticks(range(len(known)), [name for name, _ in known])
        axes.set_ylim(len(known) - 0.4, -0.6)
        axes.set_xlim(0, None)
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=1))
        axes.set_xlabel("share of wrong decisions")
        legend(axes)

    opened = sum(one.open for one in audit.by_model.values())
    why = "" if known else f"No photo of the audit has an answer yet; {opened} are open."
    caption = (
        "Wrong decisions that nobody checked, estimated from the audited sample, with 95% intervals. The alarm goes "
        "off when the lower end is above the limit."
    )
    return Plan(caption, why, plot, 1.7 + 0.42 * len(known))


def drift(figures: Figures) -> Plan:
    """Plan the index of each statistic, at the end of each period."""

    def plot(axes: Axes) -> None:
        names = sorted({one.statistic for look in figures.looks for one in look.comparisons})
        for index, name in enumerate(names):
            values = [
                (x_of(look.at), one.psi / one.limit)
                for look in figures.looks
                for one in look.comparisons
                if one.statistic == name
            ]
            colour = (BLUE, ORANGE, GREEN, GREY)[index % 4]
            marker = _SERIES[index % len(_SERIES)]
            inside = colour if index < 4 else "white"
            x, y = zip(*values, strict=True)
            axes.plot(x, y, color=colour, marker=marker, markersize=4, linewidth=1, label=name, markerfacecolor=inside)
        limit(axes, 1, "limit")
        axes.set_ylim(0, None)
        axes.set_ylabel("PSI / its limit")
        axes.grid(axis="y", color=LIGHT, linewidth=0.6)
        time_axis(axes, figures)
        legend(axes, columns=4)

    caption = (
        "Population stability index of the photos of the model in production, at the end of each period of the drift "
        "watch, as a multiple of the limit for that number of photos: above 1 is a drift."
    )
    return Plan(caption, figures.why_no_drift, plot, 3.5)
