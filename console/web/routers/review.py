"""The Review page."""

from typing import Any

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field

from console.session import NotChosen, Session
from console.web import photo_views, views
from console.web.roles import REVIEWERS
from console.web.services import CurrentReviewer, CurrentServices, Services
from functions.shared.photo_record import IN_REVIEW

router = APIRouter(dependencies=[Depends(REVIEWERS)])


class TabRequest(BaseModel):
    """The body of a request from a browser tab, which is identified by 32 hexadecimal digits.

    With `blind`, the response has no prediction of the model.
    """

    tab: str = Field(pattern="^[0-9a-f]{32}$")
    blind: bool = False


class TakeRequest(TabRequest):
    """The body of a request for the current photo; with `photo`, the id of one, for that photo."""

    photo: str | None = Field(None, pattern="^[0-9a-f]{32}$")


class LeaseRequest(TabRequest):
    """The body of a request about a leased review request; `id` is the id of the lease."""

    id: str


class AnswerRequest(LeaseRequest):
    """The body of an answer to a review request."""

    vehicle: str


@router.get("/")
def page(services: CurrentServices, reviewer: CurrentReviewer) -> HTMLResponse:
    """Return the Review page."""
    return services.pages.render("review", reviewer)


@router.post("/api/take")
def take(body: TakeRequest, services: CurrentServices, reviewer: CurrentReviewer) -> dict[str, Any]:
    """Return the session of a tab with its current and next request, the figures of the queue, and a text or null.

    `not_chosen` is why the chosen photo is not the current one, null when it is or none was chosen.
    """
    session = services.tabs.session(body.tab, reviewer)
    not_chosen = _choose(services, session, body.photo) if body.photo else None
    state = _state(services, session, body, ahead=2)
    figures = views.figures(services.queue.figures())
    return {**state, "figures": figures, "attention": services.attention.text(), "not_chosen": not_chosen}


@router.post("/api/answer")
def answer(body: AnswerRequest, services: CurrentServices, reviewer: CurrentReviewer) -> dict[str, Any]:
    """Answer a request. 409 when the session does not hold it, 422 for an unknown answer."""
    session = services.tabs.session(body.tab, reviewer)
    services.desk.answer(session, body.id, body.vehicle)
    return _state(services, session, body)


@router.post("/api/skip")
def skip(body: LeaseRequest, services: CurrentServices, reviewer: CurrentReviewer) -> dict[str, Any]:
    """Give a request back to the queue. 409 when the session does not hold it."""
    session = services.tabs.session(body.tab, reviewer)
    services.desk.skip(session, body.id)
    return _state(services, session, body)


@router.post("/api/undo")
def undo(body: TabRequest, services: CurrentServices, reviewer: CurrentReviewer) -> dict[str, Any]:
    """Undo the last answer; `undone` is false when it is too late."""
    session = services.tabs.session(body.tab, reviewer)
    undone = services.desk.undo(session)
    return _state(services, session, body) | {"undone": undone is not None}


@router.post("/api/close-session")
def close_session(body: TabRequest, services: CurrentServices, reviewer: CurrentReviewer) -> dict[str, bool]:
    """Close the session of a tab."""
    services.tabs.close_session(body.tab, reviewer)
    return {"closed": True}


def _choose(services: Services, session: Session, photo_id: str) -> str | None:
    """Make a photo the current one of a session; return why that is not possible, or None."""
    record = services.records.get(photo_id)
    if record is None:
        return "This photo is unknown: it has no record in the photo table."
    if record.status != IN_REVIEW:
        return f"This photo does not wait for a reviewer. {photo_views.story(record).title}."
    try:
        services.desk.choose(session, photo_id)
    except NotChosen as error:
        return f"{error} Another reviewer may have it open: try again in a minute, or look among the failed requests."
    return None


def _state(services: Services, session: Session, body: TabRequest, *, ahead: int = 1) -> dict[str, Any]:
    """Return the state of a session. `ahead` is 1 after an action, because the next request is leased already."""
    leased = services.desk.take(session, ahead=ahead)
    return views.session(session, leased, services.desk.undo_s, blind=body.blind)
