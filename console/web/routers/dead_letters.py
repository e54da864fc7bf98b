"""The page of failed review requests, which are in the dead-letter queue."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from console.web.services import CurrentServices, ReviewerName

router = APIRouter()


@router.get("/dead-letters")
def page(services: CurrentServices, reviewer: ReviewerName) -> HTMLResponse:
    """Return the page."""
    return services.pages.render("dead-letters", reviewer, letters=services.queue.dead_letters())


@router.post("/api/redrive")
def redrive(services: CurrentServices) -> dict[str, int]:
    """Send the requests that can be answered back to the review queue."""
    sent, stayed = services.queue.redrive()
    return {"sent": sent, "stayed": len(stayed)}
