"""Write the page of the report: one HTML file that needs no other file and no network."""

import base64
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from functions.shared.decision import MODEL, REVIEWER
from functions.shared.drift_state import TOO_FEW
from operate.report.charts import Drawn
from operate.report.figures import FEW, Bucket, Figures, Share, decided_alone
from operate.report.stage import MOST_PER_BUCKET
from operate.terminal import duration

_TIME = "%Y-%m-%d %H:%M:%S"


def write_page(figures: Figures, charts: Sequence[Drawn], file: Path) -> None:
    """Write the page to `file`, with the PNG files of the charts in its folder inside it."""
    observed = figures.observed
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    page = environment.get_template("page.html").render(
        stage=observed.stage,
        since=_local(figures, observed.since),
        until=_local(figures, observed.until),
        zone=observed.rules.time_zone,
        width=_width(observed.width),
        left_out=observed.left_out,
        most=MOST_PER_BUCKET,
        numbers=list(_numbers(figures)),
        charts=[
            {
                "name": one.name,
                "title": one.title,
                "caption": one.caption,
                "why_not": one.why_not,
                "content": "" if one.why_not else _content(file.parent / f"{one.name}.png"),
            }
            for one in charts
        ],
        classes=figures.classes,
        rows=[_row(figures, bucket) for bucket in figures.buckets if bucket.photos],
        changes=list(_changes(figures)),
    )
    file.write_text(page, encoding="utf-8")


def _content(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()


def _numbers(figures: Figures) -> Iterator[dict[str, str]]:
    """Yield the numbers at the top: of the whole time of the report."""
    observed = figures.observed
    more = " or more" if observed.left_out else ""
    in_production = f"{observed.champion} in production" if observed.champion else "no model in production"
    yield {"name": "photos", "value": f"{len(observed.photos):,}{more}", "note": in_production}
    yield {"name": "decided by the model alone", **_share(decided_alone(figures))}
    reviewed = sum(bucket.review.number for bucket in figures.buckets)
    yield {
        "name": "sent to review",
        **_share(Share.of(reviewed, sum(bucket.review.photos for bucket in figures.buckets))),
    }
    yield {
        "name": "rejected",
        **_share(Share.of(sum(b.rejected.number for b in figures.buckets), len(observed.photos))),
    }
    current = figures.audit.current
    if current and current.error is not None and current.lower is not None and current.upper is not None:
        note = f"95%: {current.lower:.1%} to {current.upper:.1%}, {current.answered} answers"
        yield {"name": "error of its decisions", "value": f"{current.error:.1%}", "note": note}
    else:
        opened = sum(one.open for one in figures.audit.by_model.values())
        yield {"name": "error of its decisions", "value": "unknown", "note": f"audit: no answer yet, {opened} open"}
    yield {"name": "drift", **_drift(figures)}


def _share(share: Share) -> dict[str, str]:
    if share.share is None or share.lower is None or share.upper is None:
        return {"value": f"{share.number} of {share.photos}", "note": f"fewer than {FEW} photos"}
    return {"value": f"{share.share:.1%}", "note": f"{share.number:,} of {share.photos:,}"}


def _drift(figures: Figures) -> dict[str, str]:
    state = figures.observed.drift
    if state is None or state.look is None:
        return {"value": "unknown", "note": figures.why_no_drift or "the drift watch has not looked yet"}
    if state.drift:
        return {"value": "yes", "note": ", ".join(one.statistic for one in state.drift.statistics)}
    if state.look.result == TOO_FEW:
        return {"value": "unknown", "note": f"{state.look.photos} photos are too few"}
    return {"value": "none", "note": f"{state.look.photos:,} photos until {_local(figures, state.look.until)}"}


def _row(figures: Figures, bucket: Bucket) -> list[str]:
    return [
        _local(figures, bucket.start),
        f"{bucket.photos:,}",
        *(f"{bucket.classes.get(name, 0):,}" for name in figures.classes),
        *(_cell(share) for share in (bucket.review, bucket.rejected)),
        *(_wait(bucket, name) for name in (MODEL, REVIEWER)),
    ]


def _cell(share: Share) -> str:
    return f"{share.number} of {share.photos}" if share.share is None else f"{share.share:.1%}"


def _wait(bucket: Bucket, name: str) -> str:
    wait = bucket.waits.get(name)
    if wait is None:
        return "—"
    return f"{wait.median:.2f} s" if wait.median < 10 else duration(wait.median)


def _changes(figures: Figures) -> Iterator[dict[str, Any]]:
    services = {service.model_version: service for service in figures.services}
    verdicts = {one.model_version: one.verdict for one in figures.rejected}
    for change in figures.changes:
        service = services.get(change.model_version)
        rejected = change.what == "rejected"
        yield {
            "at": _local(figures, change.at),
            "what": change.what,
            "model": change.model_version,
            "letter": service.letter if service and not rejected else "",
            "note": verdicts.get(change.model_version, "") if rejected else service.note if service else "",
        }


def _local(figures: Figures, at: datetime | str) -> str:
    time = datetime.fromisoformat(at) if isinstance(at, str) else at
    return f"{time.astimezone(figures.observed.zone):{_TIME}}"


def _width(width: timedelta) -> str:
    """Return the length of an interval.

    >>> _width(timedelta(days=1)), _width(timedelta(minutes=5))
    ('1 d', '5 min')
    """
    return " ".join(part for part in _parts(duration(width.total_seconds())) if not part.startswith("0 "))


def _parts(text: str) -> list[str]:
    words = text.split()
    return [f"{number} {unit}" for number, unit in zip(words[::2], words[1::2], strict=True)]
