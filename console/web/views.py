"""The values that the pages show."""

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from markdown_it import MarkdownIt
from markupsafe import Markup

from console import now
from console.champion import Model
from console.durations import duration
from console.leases import Lease
from console.monitoring import Point
from console.now_figures import Figures
from console.photo_records import describe_outcome
from console.queue import QueueFigures
from console.review_request import REASONS
from console.session import Session
from console.tradeoff import format_with_bound
from console.uploads import Progress
from functions.shared.audit import AUDITED as AUDIT
from functions.shared.audit import SECOND, UNSURE_IN_BATCH
from functions.shared.photo_record import BATCHED, CLASSIFIED, IN_REVIEW, REJECTED, ROUTED, UNROUTED, PhotoRecord

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

# The reasons of rejections of files that cannot be shown.
_NOT_DECODED = {"UnreadablePhoto", "PhotoTooLarge", "PhotoTooComplex", "PhotoMissing"}

STATUS_TEXTS = {
    CLASSIFIED: "Classified",
    IN_REVIEW: "In review",
    ROUTED: "Routed",
    REJECTED: "Rejected",
    UNROUTED: "Not routed",
    BATCHED: "In a batch",
}
"""Display texts of the statuses of photos."""

_ANSWER_TITLES = {AUDIT: "Audit", SECOND: "Second opinion", UNSURE_IN_BATCH: "Label of a batch"}

DECIDED_BY = {"model": "model", "reviewer": "reviewer", "fallback": "timed out"}
"""Display texts of `decided_by`."""


def session(state: Session, leased: Sequence[Lease], undo_s: float, *, blind: bool) -> dict[str, Any]:
    """Return a session for its page: leased requests, answers that can be undone, and notices.

    The prediction is that of the first request only, and not if the reviewer answers `blind`.
    """
    now = datetime.now(UTC)
    moment = time.monotonic()
    return {
        "leased": [leased_request(lease, now, blind=blind or number > 0) for number, lease in enumerate(leased)],
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


def leased_request(lease: Lease, now: datetime, *, blind: bool) -> dict[str, Any]:
    """Return a leased request for its page, without the task token.

    One that is answered blind, which an audit always is, has no prediction; an audit has no outcome either.
    """
    request = lease.request
    blind = blind or request.is_blind
    lease.opinion_shown |= not blind and request.vehicle is not None
    shown = replace(request, vehicle=None, confidence=None, probabilities=None, threshold=None) if blind else request
    return {
        "id": lease.id,
        "photo_id": request.photo.photo_id,
        "driver": request.driver_id,
        "file": request.file_name,
        "reason": request.explanation,
        "vehicle": shown.vehicle,
        "confidence": shown.confidence,
        "probabilities": sorted((shown.probabilities or {}).items(), key=lambda item: -item[1]),
        "threshold": shown.threshold,
        "model_version": request.model_version,
        "waited_s": (now - request.requested_at).total_seconds(),
        "expires_in_s": (request.expires_at - now).total_seconds() if request.expires_at else None,
        "label_only": lease.is_label_only(now),
        "blind": blind,
        "audit": request.is_blind,
        "ended": None if request.is_blind else describe_outcome(lease.record),
    }


def figures(counted: QueueFigures) -> dict[str, Any]:
    """Return the figures at the top of the Review page."""
    return asdict(counted)


def progress(upload: Progress) -> dict[str, Any]:
    """Return the progress of an uploaded photo."""
    shown = photo(upload.record) if upload.record else {}
    names = ("loading_bay", "vehicle", "confidence", "reason", "message")
    return {
        "status": upload.status,
        "steps": [{"state": step.state, "seconds": step.seconds, "error": step.error} for step in upload.steps],
        "decided_by": DECIDED_BY.get(str(shown.get("decided_by"))),
        **{name: shown.get(name) for name in names},
    }


def photo(record: PhotoRecord) -> dict[str, Any]:
    """Return a photo for its card on the Photos page and for its own page, in whatever status it is.

    `vehicle` and `confidence` are the decision's, else the model's. `reason` and `message` are why the photo has no
    decision, None when it is decided or classified.
    """
    outcome = record.outcome or {}
    reason, message = _reason(record)
    prediction = record.classification or {}
    decided = outcome if record.status == ROUTED else prediction
    return {
        "photo_id": record.photo.photo_id,
        "key": record.photo.key,
        "file": record.photo.key.rsplit("/", 1)[-1],
        "driver_id": record.photo.driver_id,
        "status": record.status,
        "status_text": STATUS_TEXTS[record.status],
        "status_at": datetime.fromisoformat(record.status_at),
        "first_seen_at": datetime.fromisoformat(record.first_seen_at),
        "execution": record.execution,
        "loading_bay": outcome.get("loading_bay"),
        "order_range": outcome.get("order_range"),
        "decided_by": outcome.get("decided_by"),
        "vehicle": decided.get("vehicle"),
        "confidence": decided.get("confidence"),
        "model_version": decided.get("model_version"),
        "classification": record.classification,
        "threshold": record.threshold,
        "reason": reason,
        "message": message,
        "has_image": reason not in _NOT_DECODED,
        "expires_at": datetime.fromisoformat(record.review["expires_at"]) if record.review else None,
        "answers": list(_later_answers(record)),
    }


def _later_answers(record: PhotoRecord) -> Iterator[dict[str, Any]]:
    """Yield what reviewers answered after the decision about a photo, which their answers do not change."""
    decided = (record.outcome or {}).get("vehicle")
    for request, answer in (
        (record.label_request, record.label_answer),
        (record.second_request, record.second_answer),
    ):
        if request:
            vehicle = answer["vehicle"] if answer else None
            title = _ANSWER_TITLES.get(request["reason"], "Late answer")
            yield {"title": title, "vehicle": vehicle, "differs": None not in (vehicle, decided) and vehicle != decided}


def _reason(record: PhotoRecord) -> tuple[str | None, str | None]:
    """Return why a photo has no decision, and the text of the error; None where there is none."""
    if record.status == REJECTED and record.outcome:
        return record.outcome["rejected"]["reason"], record.outcome["rejected"]["message"]
    if record.status == IN_REVIEW and record.review:
        reason = str(record.review["reason"])
        return reason, REASONS.get(reason)
    if record.status == UNROUTED and record.error:
        return record.error.get("Error"), record.error.get("Cause")
    return None, None


def strip(figures: Figures | None) -> dict[str, Any]:
    """Return the strip at the top of each page: `text` is empty while nothing is wrong or nothing is known."""
    wrong = [row for row in now.rows(figures) if row.state is now.State.ACT] if figures else []
    more = f" And {len(wrong) - 1} more." if len(wrong) > 1 else ""
    return {"text": f"{wrong[0].title}: {wrong[0].text}{more}" if wrong else "", "wrong": len(wrong)}


def state_class(state: now.State) -> str:
    """Return the CSS class of a state.

    >>> state_class(now.State.ACT)
    'state-act-now'
    """
    return f"state-{state.value.replace(' ', '-')}"


def commands(text: str) -> Markup:
    """Return a text with the parts between backticks as code.

    >>> commands("Run `make up`, <b>")
    Markup('Run <code>make up</code>, &lt;b&gt;')
    """
    parts = text.split("`")
    return Markup().join(Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in enumerate(parts))


def as_json(value: Any) -> str:
    """Return a document as JSON, with two spaces for each level."""
    return json.dumps(value, indent=2, ensure_ascii=False)


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
    """Format a time; a dash for None.

    In UTC, as the days of the Photos page, the axes of the plots and the logs of AWS are.

    >>> clock(datetime.fromisoformat("2026-11-28T14:05:09+02:00"))
    '28 Nov 2026, 12:05:09 UTC'
    """
    return "–" if at is None else f"{at.astimezone(UTC):%d %b %Y, %H:%M:%S} UTC"


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
    "commands": commands,
    "decided_by": decided_by,
    "json": as_json,
    "percent": percent,
    "seconds": seconds,
    "state_class": state_class,
}
"""The filters of the templates."""
