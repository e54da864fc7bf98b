"""The Photos page with its search, and the page of one photo."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.responses import HTMLResponse

from console.photo_finder import PAGE
from console.photo_search import STATUSES, Search, quick_days
from console.web import photo_views, views
from console.web.roles import REVIEWERS
from console.web.services import CurrentReviewer, CurrentServices
from functions.shared.label import UNUSABLE
from functions.shared.times import now

router = APIRouter(dependencies=[Depends(REVIEWERS)])

_LISTED_DAYS = 31
"""How many days the list of all photos goes back by itself: a young stage has no photos on earlier ones."""


@router.get("/photos")
def page(
    request: Request,
    services: CurrentServices,
    reviewer: CurrentReviewer,
    after: str = "",
    size: Annotated[int, Query(ge=1, le=PAGE)] = PAGE,
) -> HTMLResponse:
    """Return a page of at most `size` photos that pass the search in the address, the newest first.

    After a moment of searching it has what was found by then; the script of the page searches on.
    """
    search = Search.of(request.query_params)
    found = services.finder.find(search, after, size)
    return services.pages.render(
        "photos",
        reviewer,
        search=search,
        photos=[views.photo(record) for record in found.records],
        found=found,
        goes_on=bool(found.searched_until) and (not search.is_empty or found.searched_until >= _days_ago(_LISTED_DAYS)),
        size=PAGE,
        is_first=not after,
        statuses=STATUSES,
        days=quick_days(now().date()),
        reasons=photo_views.REASON_TEXTS,
        bays=sorted({choice.bay for choice in services.choices if choice.vehicle != UNUSABLE}),
        vehicles=[choice.vehicle for choice in services.choices if choice.vehicle != UNUSABLE],
    )


@router.get("/photos/{photo_id}")
def photo_page(photo_id: str, services: CurrentServices, reviewer: CurrentReviewer) -> HTMLResponse:
    """Return the page of one photo. 404 when it has no record."""
    record = services.records.get(photo_id)
    if record is None:
        raise HTTPException(404, "This photo is unknown: it has no record in the photo table.")
    photo = views.photo(record)
    steps, steps_problem = services.history.find_steps(record.execution)
    return services.pages.render(
        "photo",
        reviewer,
        photo=photo,
        story=photo_views.story(record),
        steps=steps,
        steps_problem=steps_problem,
        lines=services.history.read_log_lines(photo_id, photo["first_seen_at"]),
    )


def _days_ago(days: int) -> str:
    return (now().date() - timedelta(days=days)).isoformat()
