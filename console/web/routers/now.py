"""The Now page: what is so in the stage, and what to do."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from console import now
from console.web import views
from console.web.services import CurrentReviewer, CurrentServices

router = APIRouter()


@router.get("/now")
def page(services: CurrentServices, reviewer: CurrentReviewer) -> HTMLResponse:
    """Return the page. A figure that AWS does not return is shown as unknown."""
    figures = services.now.read()
    found = now.rows(figures)
    return services.pages.render("now", reviewer, rows=found, worst=now.worst(found), read_at=figures.read_at)


@router.get("/api/now")
def state(services: CurrentServices) -> dict[str, Any]:
    """Return what the strip at the top of each page says."""
    return views.strip(services.now.read())
