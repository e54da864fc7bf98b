"""The Drivers page with its filter, and the page of one photo."""

from fastapi import APIRouter, HTTPException
from fastapi.responses import HTMLResponse

from console.photo_records import DAYS, Filter
from console.web import views
from console.web.services import CurrentReviewer, CurrentServices
from functions.shared.label import UNUSABLE

router = APIRouter()

_MAX_SHOWN = 60


@router.get("/drivers")
def page(
    services: CurrentServices,
    reviewer: CurrentReviewer,
    status: str = "",
    bay: str = "",
    decided_by: str = "",
    least: str = "",
    most: str = "",
) -> HTMLResponse:
    """Return the newest photos that pass the filter; `least` and `most` are confidences in [0, 1]."""
    wanted = Filter(status or None, bay or None, decided_by or None, _confidence(least), _confidence(most))
    records = services.records.list_newest()
    matching = [record for record in records if wanted.matches(record)]
    return services.pages.render(
        "drivers",
        reviewer,
        photos=[views.photo(record) for record in matching[:_MAX_SHOWN]],
        matching=len(matching),
        total=len(records),
        days=DAYS,
        statuses=views.STATUS_TEXTS,
        bays=sorted({choice.bay for choice in services.choices if choice.vehicle != UNUSABLE}),
        wanted=wanted,
    )


@router.get("/drivers/{photo_id}")
def photo_page(photo_id: str, services: CurrentServices, reviewer: CurrentReviewer) -> HTMLResponse:
    """Return the page of one photo. 404 when it has no record."""
    record = services.records.get(photo_id)
    if record is None:
        raise HTTPException(404, "This photo is unknown: it has no record in the photo table.")
    photo = views.photo(record)
    return services.pages.render(
        "driver",
        reviewer,
        photo=photo,
        steps=services.history.read_steps(record.execution),
        lines=services.history.read_log_lines(photo_id, photo["first_seen_at"]),
    )


def _confidence(text: str) -> float | None:
    try:
        return min(1.0, max(0.0, float(text)))
    except ValueError:  # typed by a person: no limit
        return None
