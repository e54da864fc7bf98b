"""The Drivers page with its filter, and the page of one photo."""

from fastapi import APIRouter, HTTPException
from fastapi.responses import HTMLResponse

from console.answers import UNUSABLE
from console.decisions import Filter
from console.web import views
from console.web.services import CurrentServices, ReviewerName

router = APIRouter()

_MAX_SHOWN = 60


@router.get("/drivers")
def page(
    services: CurrentServices,
    reviewer: ReviewerName,
    bay: str = "",
    decided_by: str = "",
    least: str = "",
    most: str = "",
) -> HTMLResponse:
    """Return the newest decisions that pass the filter; `least` and `most` are confidences in [0, 1]."""
    wanted = Filter(bay or None, decided_by or None, _confidence(least), _confidence(most))
    decisions = services.decisions.list_newest()
    matching = [decision for decision in decisions if wanted.matches(decision)]
    return services.pages.render(
        "drivers",
        reviewer,
        decisions=[views.decision(one) for one in matching[:_MAX_SHOWN]],
        matching=len(matching),
        total=len(decisions),
        bays=sorted({choice.bay for choice in services.choices if choice.vehicle != UNUSABLE}),
        wanted=wanted,
    )


@router.get("/drivers/{photo_id}")
def photo_page(photo_id: str, services: CurrentServices, reviewer: ReviewerName) -> HTMLResponse:
    """Return the page of one photo. 404 when it is in neither table."""
    entry = services.decisions.find_entry(photo_id)
    if entry is None:
        raise HTTPException(404, "This photo is unknown: it is neither in the decision table nor in the photo table.")
    photo = views.photo(entry)
    return services.pages.render(
        "driver",
        reviewer,
        photo=photo,
        steps=services.decisions.read_steps(entry["execution"]),
        lines=services.decisions.read_log_lines(photo_id, photo["at"]),
    )


def _confidence(text: str) -> float | None:
    try:
        return min(1.0, max(0.0, float(text)))
    except ValueError:
        return None
