"""`make cost PHOTOS_PER_DAY=…`: what a stage costs each month by part, and the quotas that it reaches.

Beside it the usual design of the exercise, with the same endpoint and the same photos.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table

from operate.cost_console import console_usd_per_month
from operate.cost_model import Cost, Part
from operate.errors import CommandError
from operate.terminal import console

# For sums of floating-point numbers.
SHARES_TOLERANCE = 1e-6


def read_shares(text: str, measured: dict[str, float]) -> dict[str, float]:
    """Return the shares of the outcomes from `reviewer=0.05,rejected=0.01`; the model decides the rest.

    Without a text the measured ones. Raises CommandError for another outcome, or a sum above 1.
    """
    if not text:
        return dict(measured)
    shares = dict.fromkeys(measured, 0.0)
    for part in text.split(","):
        name, _, value = part.strip().partition("=")
        try:
            share = float(value)
        except ValueError:  # refused below, with the text
            share = -1.0
        if name not in shares or name == "model" or not 0 <= share <= 1:
            others = ", ".join(one for one in shares if one != "model")
            raise CommandError(f"SHARES has {part.strip()!r}; write for example reviewer=0.05, with one of: {others}")
        shares[name] = share
    shares["model"] = 1 - sum(shares.values())
    if shares["model"] < -SHARES_TOLERANCE:
        raise CommandError(f"The shares in SHARES add up to {1 - shares['model']:g}; they may add up to 1 at most.")
    return shares


def figures(cost: Cost) -> dict[str, Any]:
    """Return the report as JSON values."""
    parts, usual = cost.parts(), cost.usual_design()
    return {
        "photos_per_day": cost.photos_per_day,
        "shares": cost.shares,
        "prices": {"collected": cost.prices["collected"], "currency": cost.prices["currency"]},
        "usd_per_month": round(_total(parts), 2),
        "usd_per_month_without_photos": round(sum(part.fixed for part in parts), 2),
        "usd_per_1000_photos": round(_total(parts) / cost.photos * 1000, 4),
        "parts": [{**asdict(part), "usd": round(part.usd, 2), "fixed": round(part.fixed, 2)} for part in parts],
        "transitions_per_photo": {outcome: path.transitions for outcome, path in cost.paths.items()},
        "endpoint": {
            "instance_type": cost.stage.instance_type,
            "instances": cost.instances,
            "instances_in_the_busiest_hour": cost.peak_instances,
        },
        "quotas": [{**asdict(quota), "share": round(quota.share, 4)} for quota in cost.quotas()],
        "reviewers": round(cost.reviewers(), 2),
        "usual_design": {
            "usd_per_month": round(_total(usual), 2),
            "photo_bytes_at_most": cost.usage["usual_design"]["photo_bytes_at_most"],
            "parts": [{"name": part.name, "usd": round(part.usd, 2)} for part in usual],
        },
    }


def run(cost: Cost, measured: dict[str, int] | None, report: Path) -> None:
    """Print the cost and write the report. `measured` is the number of measured invocations, None without a stage."""
    _print(cost, measured)
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps(figures(cost), indent=2) + "\n", encoding="utf-8")
    console.print(f"Report: {report}")


def _total(parts: list[Part]) -> float:
    return sum(part.usd for part in parts)


def _print(cost: Cost, measured: dict[str, int] | None) -> None:
    parts, usual = cost.parts(), cost.usual_design()
    same = {part.name: part.usd for part in usual}
    grid = Table(title=f"{cost.photos_per_day:,.0f} photos a day: US dollars a month", title_justify="left")
    for heading in ("part", "what", "this system", "of it idle", "usual design"):
        grid.add_column(heading, justify="left" if heading in ("part", "what") else "right")
    for part in parts:
        grid.add_row(part.name, part.why, _usd(part.usd), _usd(part.fixed), _usd(same.get(part.name, 0.0)))
    idle = sum(part.fixed for part in parts)
    grid.add_section()
    grid.add_row("together", "", _usd(_total(parts)), _usd(idle), _usd(_total(usual)))
    console.print(grid)
    limits = Table(title="Quotas in the busiest hour", title_justify="left")
    for heading in ("quota", "used", "limit", "share", "when it does not suffice"):
        limits.add_column(heading, justify="right" if heading in ("used", "limit", "share") else "left")
    for quota in cost.quotas():
        limits.add_row(quota.name, f"{quota.used:,.1f}", f"{quota.limit:,.0f}", f"{quota.share:.1%}", quota.then)
    console.print(limits)
    hour = f"{cost.peak_instances} in the busiest hour"
    console.print(
        f"Endpoint: {cost.instances} × {cost.stage.instance_type}, {hour}; needed at once for an update: twice."
    )
    console.print(f"People who answer reviews for eight hours a day: {cost.reviewers():,.1f}")
    hosted = sum(console_usd_per_month(cost.prices["prices"]).values())
    console.print(
        f"Not in the table: the console behind a load balancer (`make console`), {_usd(hosted)} where there is one."
    )
    largest = cost.usage["usual_design"]["photo_bytes_at_most"]
    console.print(
        f"Usual design: three Lambdas with the photo in the state. It takes photos of at most {largest:,} bytes, and "
        "records and announces nothing."
    )
    if measured is None:
        console.print(
            "No stage is deployed: definition and settings of this checkout, durations of operate/usage.json."
        )
    else:
        found = ", ".join(f"{name} {count}" for name, count in measured.items() if count) or "none"
        console.print(f"Measured invocations: {found}. The other durations are those of operate/usage.json.")
    collected = cost.prices["collected"]
    console.print(f"List prices of {collected} without free tiers: operate/prices.json has the source of each.")


def _usd(value: float) -> str:
    return f"{value:,.2f}" if value else "·"
