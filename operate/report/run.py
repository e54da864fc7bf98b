"""Write the report of a stage: an HTML page, the charts as PNG files, and the figures as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from deploy.outputs import Deployed
from functions.shared.times import now, timestamp
from operate.errors import CommandError
from operate.report.charts import Drawn, draw
from operate.report.figures import Figures, compute
from operate.report.page import write_page
from operate.report.stage import Observed, read
from operate.terminal import print_line

DAYS = 28.0


def run(deployed: Deployed, reports: Path, days: float = DAYS) -> Path:
    """Write the report of the last `days` days to a folder in `reports`; return its page. Raises CommandError."""
    if not 0 < days <= 365:
        raise CommandError(f"DAYS is {days:g}. Photos are kept for 365 days: use a number from above 0 to 365.")
    at = now()
    print_line(f"Reading the last {days:g} days of stage {deployed.stage}")
    page = write(read(deployed, days, at), reports / f"{deployed.stage}-{at:%Y%m%d-%H%M%S}")
    print_line(f"Open {page}")
    return page


def write(observed: Observed, folder: Path) -> Path:
    """Write everything about what was observed to a new folder, and return the page."""
    figures = compute(observed)
    folder.mkdir(parents=True)
    charts = []
    for drawn in draw(figures, folder):
        print_line(f"  {drawn.title}: {drawn.why_not or f'{drawn.name}.png'}")
        charts.append(drawn)
    content = json.dumps(as_json(figures, charts), indent=2, ensure_ascii=False)
    (folder / "figures.json").write_text(content + "\n", encoding="utf-8")
    page = folder / "report.html"
    write_page(figures, charts, page)
    return page


def as_json(figures: Figures, charts: Sequence[Drawn]) -> dict[str, Any]:
    """Return all values of the report, with times in UTC (ISO 8601) and durations in seconds."""
    observed = figures.observed
    content: dict[str, Any] = _plain(
        {
            "stage": observed.stage,
            "since": observed.since,
            "until": observed.until,
            "interval_s": observed.width,
            "rules": asdict(observed.rules),
            "photos": len(observed.photos),
            "photos_left_out": observed.left_out,
            "champion": observed.champion,
            "intervals": [asdict(bucket) for bucket in figures.buckets],
            "confidence": [asdict(point) for point in figures.points],
            "audit": figures.audit.as_state(),
            "drift": [asdict(look) for look in figures.looks],
            "latency_ms": [asdict(one) for one in figures.latency],
            "models": [asdict(service) for service in figures.services],
            "changes": [asdict(change) for change in figures.changes],
            "too_little_data": {one.name: one.why_not for one in charts if one.why_not},
        }
    )
    return content


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return timestamp(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
