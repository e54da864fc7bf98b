"""The values that the pages show."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from markdown_it import MarkdownIt

from console.champion import Model
from console.durations import duration
from console.leases import Lease
from console.monitoring import Point
from console.queue import QueueFigures
from console.session import Session
from console.tradeoff import format_with_bound
from console.uploads import Progress

FIGURES = (
    ("accuracy", "Accuracy, two classes", "bicycle or motorcycle"),
    ("accuracy_with_other", "Accuracy, three classes", "bicycle, motorcycle or other"),
    ("coverage", "Coverage", "vehicles decided automatically"),
    ("error_accepted", "Errors among automatic decisions (target ≤ 1%)", "wrong vehicle"),
    ("other_accepted", "Non-vehicles let through", "decided automatically"),
    ("auroc", "AUROC", "vehicles against non-vehicles"),
    ("ece", "Calibration error (ECE)", "15 bins"),
)
"""The figures of a model's report: name, title, explanation."""

DECIDED_BY = {"model": "model", "reviewer": "reviewer", "fallback": "timed out"}
"""Display texts of `decided_by`."""


def session(state: Session, leased: Sequence[Lease], undo_s: float) -> dict[str, Any]:
    """Return a session for its page: leased requests, answers that can be undone, and notices."""
    now = datetime.now(UTC)
    moment = time.monotonic()
    return {
        "leased": [leased_request(lease, now) for lease in leased],
        "undoable": [
            {
                "photo_id": answer.photo_id,
                "vehicle": answer.vehicle,
                "left_s": max(0.0, answer.due - moment),
                "total_s": undo_s,
            }
            for answer in list(state.answers)
            if not answer.attempts and not answer.delivering
        ],
        "notices": [asdict(notice) for notice in state.notices],
    }


def leased_request(lease: Lease, now: datetime) -> dict[str, Any]:
    """Return a leased request for its page, without the task token."""
    request = lease.request
    return {
        "id": lease.id,
        "photo_id": request.photo.photo_id,
        "driver": request.driver_id,
        "file": request.file_name,
        "reason": request.explanation,
        "vehicle": request.vehicle,
        "confidence": request.confidence,
        "probabilities": sorted((request.probabilities or {}).items(), key=lambda item: -item[1]),
        "threshold": request.threshold,
        "model_version": request.model_version,
        "waited_s": (now - request.requested_at).total_seconds(),
        "expires_in_s": (request.expires_at - now).total_seconds(),
        "label_only": lease.is_label_only(now),
        "sent_to": lease.decision["loading_bay"] if lease.decision else None,
    }


def figures(counted: QueueFigures) -> dict[str, Any]:
    """Return the figures at the top of the Review page."""
    return asdict(counted)


def progress(upload: Progress) -> dict[str, Any]:
    """Return the progress of an uploaded photo."""
    entry = upload.entry or {}
    return {
        "status": upload.status,
        "steps": [{"state": step.state, "seconds": step.seconds, "error": step.error} for step in upload.steps],
        "bay": entry.get("loading_bay"),
        "vehicle": entry.get("vehicle"),
        "decided_by": DECIDED_BY.get(str(entry.get("decided_by"))),
        "confidence": entry.get("confidence"),
        "reason": entry.get("reason"),
        "message": entry.get("message"),
    }


def decision(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a decision for a card of the Drivers page."""
    return {
        **entry,
        "photo_id": entry.get("photo_id") or entry["photo"]["photo_id"],
        "file": str(entry["photo"]["key"]).rsplit("/", 1)[-1],
        "at": datetime.fromisoformat(entry["decided_at"]),
    }


def photo(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entry of a photo for its page, whether it has a decision or not."""
    at = entry.get("decided_at") or entry.get("rejected_at") or entry["requested_at"]
    return {
        **entry,
        "status": entry.get("status", "routed"),
        "photo_id": entry["photo"]["photo_id"],
        "key": entry["photo"]["key"],
        "file": str(entry["photo"]["key"]).rsplit("/", 1)[-1],
        "at": datetime.fromisoformat(str(at)),
    }


def model_figures(model: Model | None) -> list[dict[str, Any]]:
    """Return the figures of a model's report that FIGURES lists; those that it lacks are left out."""
    if model is None:
        return []
    found = [(name, title, hint, model.figure(name), model.interval(name)) for name, title, hint in FIGURES]
    return [
        {"name": name, "title": title, "hint": hint, "value": value, "interval": interval}
        for name, title, hint, value, interval in found
        if value is not None
    ]


def card(model: Model | None) -> str | None:
    """Return a model card as HTML. Its Markdown may contain file names, so HTML in it is escaped."""
    if model is None or model.card is None:
        return None
    text = "\n".join(line for line in model.card.splitlines() if not line.lstrip().startswith("!["))
    html = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["image", "link"]).render(text)
    # The headings of the card are below the h2 of its section.
    for level in (4, 3, 2, 1):
        html = html.replace(f"<h{level}>", f"<h{level + 2}>").replace(f"</h{level}>", f"</h{level + 2}>")
    return str(html)


def summary(seen: Sequence[Point]) -> dict[str, Any]:
    """Return the number of photos, the share reviewed, and the agreement of the model with the reviewers."""
    reviewed = [point for point in seen if point.reviewed]
    compared = [point.agrees for point in reviewed if point.agrees is not None]
    return {
        "photos": len(seen),
        "review_rate": len(reviewed) / len(seen) if seen else None,
        "agreement": sum(compared) / len(compared) if compared else None,
        "compared": len(compared),
    }


def percent(value: float | None, digits: int = 1) -> str:
    """Format a share as a percentage; a dash for None and NaN."""
    return "–" if value is None or math.isnan(value) else f"{value:.{digits}%}"


def clock(at: datetime | None) -> str:
    """Format a time in the local time zone; a dash for None."""
    return "–" if at is None else f"{at.astimezone():%d %b %Y, %H:%M:%S}"


def seconds(value: float | None) -> str:
    """Format the duration of a step; None is a step that has not ended.

    >>> seconds(75), seconds(None)
    ('1 min 15 s', 'running')
    """
    return "running" if value is None else duration(value)


def decided_by(value: str) -> str:
    """Return the display text of `decided_by`."""
    return DECIDED_BY.get(value, value)


FILTERS: dict[str, Callable[..., str]] = {
    "bounded": format_with_bound,
    "clock": clock,
    "decided_by": decided_by,
    "percent": percent,
    "seconds": seconds,
}
"""The filters of the templates."""
