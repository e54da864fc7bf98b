"""What the pages show, as plain values."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from markdown_it import MarkdownIt

from console.champion import Model
from console.desk import Held, Seat
from console.monitoring import Point
from console.queue import Figures
from console.tradeoff import bounded
from console.uploads import Progress

FIGURES = (
    ("accuracy", "Accuracy", "bicycle against motorcycle"),
    ("accuracy_with_other", "Accuracy with other", "three-way"),
    ("coverage", "Coverage", "vehicles decided without a person"),
    ("error_accepted", "Wrong among accepted", "at most 1% is the aim"),
    ("other_accepted", "Other things accepted", "should have gone to a person"),
    ("auroc", "AUROC", "vehicles against everything else"),
    ("ece", "Calibration error", "15 bins; 0 is perfect"),
)


def desk(seat: Seat, hands: Sequence[Held], undo_s: float) -> dict[str, Any]:
    """What lies before one reviewer: requests, answers that can still be taken back, and what became of others."""
    now = datetime.now(UTC)
    moment = time.monotonic()
    return {
        "hands": [held(one, now) for one in hands],
        "pending": [
            {
                "photo_id": pending.held.request.photo.photo_id,
                "vehicle": pending.vehicle,
                "left_s": max(0.0, pending.due - moment),
                "total_s": undo_s,
            }
            for pending in list(seat.pending)
            if not pending.tries and not pending.leaving
        ],
        "notices": [asdict(notice) for notice in seat.notices],
    }


def held(one: Held, now: datetime) -> dict[str, Any]:
    """A request in a reviewer's hands. Nothing of it is a task token."""
    request = one.request
    return {
        "id": one.id,
        "photo_id": request.photo.photo_id,
        "driver": request.driver_id,
        "file": request.file_name,
        "reason": request.why,
        "vehicle": request.vehicle,
        "confidence": request.confidence,
        "probabilities": sorted((request.probabilities or {}).items(), key=lambda item: -item[1]),
        "threshold": request.threshold,
        "model_version": request.model_version,
        "waited_s": (now - request.requested_at).total_seconds(),
        "expires_in_s": (request.expires_at - now).total_seconds(),
        "only_label": one.only_label(now),
        "sent_to": one.decision["loading_bay"] if one.decision else None,
    }


def figures(counted: Figures) -> dict[str, Any]:
    """The numbers at the top of the Review page."""
    return asdict(counted)


def progress(made: Progress) -> dict[str, Any]:
    """How far an uploaded photo has come."""
    entry = made.entry or {}
    return {
        "status": made.status,
        "steps": [{"state": step.state, "seconds": step.seconds, "error": step.error} for step in made.steps],
        "bay": entry.get("loading_bay"),
        "vehicle": entry.get("vehicle"),
        "decided_by": entry.get("decided_by"),
        "confidence": entry.get("confidence"),
        "reason": entry.get("reason"),
        "message": entry.get("message"),
    }


def decision(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A decision as a card of the Drivers page."""
    return {
        **entry,
        "photo_id": entry.get("photo_id") or entry["photo"]["photo_id"],
        "file": str(entry["photo"]["key"]).rsplit("/", 1)[-1],
        "at": datetime.fromisoformat(entry["decided_at"]),
    }


def story(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Everything known about one photo, whether it has a decision or not."""
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
    """The headline figures of a model's report; those that it lacks are left out."""
    if model is None:
        return []
    found = [(name, title, hint, model.figure(name), model.interval(name)) for name, title, hint in FIGURES]
    return [
        {"name": name, "title": title, "hint": hint, "value": value, "interval": interval}
        for name, title, hint, value, interval in found
        if value is not None
    ]


def card(model: Model | None) -> str | None:
    """A model card as HTML. Its Markdown may hold file names, so HTML in it stays text."""
    if model is None or model.card is None:
        return None
    text = "\n".join(line for line in model.card.splitlines() if not line.lstrip().startswith("!["))
    html = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["image", "link"]).render(text)
    # The page has one h1 of its own, and the card's title lies below its section.
    for level in (4, 3, 2, 1):
        html = html.replace(f"<h{level}>", f"<h{level + 2}>").replace(f"</h{level}>", f"</h{level + 2}>")
    return str(html)


def summary(seen: Sequence[Point]) -> dict[str, Any]:
    """The observed photos in four numbers."""
    reviewed = [point for point in seen if point.reviewed]
    compared = [point.agrees for point in reviewed if point.agrees is not None]
    return {
        "photos": len(seen),
        "review_rate": len(reviewed) / len(seen) if seen else None,
        "agreement": sum(compared) / len(compared) if compared else None,
        "compared": len(compared),
    }


def percent(value: float | None, digits: int = 1) -> str:
    """A share for people; a dash when nobody knows it."""
    return "–" if value is None or math.isnan(value) else f"{value:.{digits}%}"


def clock(at: datetime | None) -> str:
    """A point in time, in the time zone of the console."""
    return "–" if at is None else f"{at.astimezone():%d %b %Y, %H:%M:%S}"


def seconds(value: float | None) -> str:
    """A duration for people.

    >>> seconds(0.034), seconds(75)
    ('34 ms', '1:15 min')
    """
    if value is None:
        return "running"
    if value < 1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.1f} s" if value < 60 else f"{int(value) // 60}:{int(value) % 60:02} min"


FILTERS: dict[str, Callable[..., str]] = {"bounded": bounded, "percent": percent, "clock": clock, "seconds": seconds}
