"""The page of failed requests: the review dead-letter queue and the unrouted queue."""

import logging
from collections import Counter
from collections.abc import Collection
from typing import Any

from fastapi import APIRouter, Depends, HTTPException
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from console.failed_requests import MessageNotFound, NotRemoved, Result
from console.web.roles import REVIEWERS
from console.web.services import CurrentReviewer, CurrentServices, Services

router = APIRouter(dependencies=[Depends(REVIEWERS)])
log = logging.getLogger(__name__)

_DELETED = {Result.REPLAYED, Result.REMOVED}


class RedriveRequest(BaseModel):
    """The body of a request to replay the messages with these ids: those on the screen, or one of them."""

    ids: list[str]


class RemovalRequest(BaseModel):
    """The body of a request to remove the message with an id, because nothing is left to do about it."""

    id: str


@router.get("/dead-letters")
def page(services: CurrentServices, reviewer: CurrentReviewer, wait: bool = False) -> HTMLResponse:
    """Return the page with the messages as they were read last; with `wait`, after another reading.

    Receiving all messages of a queue takes a second, because SQS waits for late ones.
    """
    taken = services.failed_messages.renew() if wait else services.failed_messages.get()
    review, unrouted = taken.value
    return services.pages.render("dead-letters", reviewer, review=review, unrouted=unrouted, read_at=taken.at)


@router.post("/api/redrive")
def redrive(body: RedriveRequest, services: CurrentServices) -> dict[str, Any]:
    """Replay messages; return what was done with each, and a summary. One that is gone by now is left out."""
    results = services.failed_requests.replay(only=body.ids)
    _leave_out(services, {one.message.message_id for one in results if one.result in _DELETED})
    gone = len(body.ids) - len(results)
    counts = Counter(one.result.value for one in results)
    if gone:
        counts["gone: replayed or removed by somebody else, or held by another command"] = gone
    summary = ", ".join(f"{count} {result}" for result, count in counts.items()) or "no failed requests"
    return {
        "results": [{"id": one.message.message_id, "result": one.result.value, "text": one.text} for one in results],
        "summary": f"{summary.capitalize()}.",
    }


@router.post("/api/failed/remove")
def remove(body: RemovalRequest, services: CurrentServices) -> dict[str, str]:
    """Remove a message. 404 when it is in neither queue, 409 when it can be replayed and its photo has no outcome."""
    try:
        message = services.failed_requests.remove(body.id)
    except MessageNotFound as error:
        raise HTTPException(404, str(error)) from error
    except NotRemoved as error:
        raise HTTPException(409, str(error)) from error
    _leave_out(services, {message.message_id})
    log.warning("%s removed the failed request %s", services.reviewer.id, message.message_id)
    return {"id": message.message_id}


def _leave_out(services: Services, deleted: Collection[str]) -> None:
    """Leave messages that were deleted out of the list, before it is read again."""
    services.failed_messages.change(
        lambda both: (
            [one for one in both[0] if one.message_id not in deleted],
            [one for one in both[1] if one.message_id not in deleted],
        )
    )
