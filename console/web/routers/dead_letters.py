"""The page of failed requests: the review dead-letter queue and the unrouted queue."""

from collections import Counter
from typing import Any

from fastapi import APIRouter, HTTPException
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from console.failed_requests import MessageNotFound
from console.web.services import CurrentReviewer, CurrentServices

router = APIRouter()


class RedriveRequest(BaseModel):
    """The body of a request to replay the message with an id, or with None all that can be replayed."""

    id: str | None = None


@router.get("/dead-letters")
def page(services: CurrentServices, reviewer: CurrentReviewer) -> HTMLResponse:
    """Return the page."""
    review, unrouted = services.failed_requests.list_both()
    return services.pages.render("dead-letters", reviewer, review=review, unrouted=unrouted)


@router.post("/api/redrive")
def redrive(body: RedriveRequest, services: CurrentServices) -> dict[str, Any]:
    """Replay messages; return what was done with each, and a summary. 404 for an id that is in neither queue."""
    try:
        results = services.failed_requests.replay(body.id)
    except MessageNotFound as error:
        raise HTTPException(404, str(error)) from error
    counts = Counter(one.result.value for one in results)
    summary = ", ".join(f"{count} {result}" for result, count in counts.items()) or "no failed requests"
    return {
        "results": [{"id": one.message.message_id, "result": one.result.value, "text": one.text} for one in results],
        "summary": f"{summary.capitalize()}.",
    }
