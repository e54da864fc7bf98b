"""What only a console on the computer of its reviewer has: the start address, and the displayed name."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel

from console.identity import NAME_RULE, is_name
from console.web.access import LocalAccess
from console.web.logins import START_PATH
from console.web.roles import ANYBODY, REVIEWERS

router = APIRouter()

_COOKIE_S = 365 * 86400


async def _access(request: Request) -> LocalAccess:
    access: LocalAccess = request.app.state.access
    return access


CurrentAccess = Annotated[LocalAccess, Depends(_access)]


class RenameRequest(BaseModel):
    """The body of a change of the displayed name."""

    name: str


@router.get(START_PATH, dependencies=[Depends(ANYBODY)])
def start(request: Request, access: CurrentAccess, token: str = "") -> Response:
    """Sign the browser in and go to the Review page. 401 when `token` was used already or is wrong.

    A page goes there, not a redirect: the browser does not send the cookie along a redirect when a link on another
    site led to the start address (SameSite=Strict, in RFC 6265bis).
    """
    logins = access.logins
    if not logins.has_session(request.cookies):
        session = logins.start_session(token)
        if session is None:
            return access.pages.render_sign_in(used=True)
        response = access.pages.render_signed_in()
        response.set_cookie(logins.session_cookie, session, httponly=True, samesite="strict", path="/")
        return response
    return RedirectResponse("/", status_code=303)


@router.post("/api/reviewer", dependencies=[Depends(REVIEWERS)])
def rename(body: RenameRequest, response: Response, access: CurrentAccess) -> dict[str, str]:
    """Change the displayed name of the reviewer, which is kept in a cookie. 422 for an invalid name."""
    name = body.name.strip()
    if not is_name(name):
        raise HTTPException(422, NAME_RULE)
    response.set_cookie(access.logins.name_cookie, quote(name), httponly=True, samesite="strict", max_age=_COOKIE_S)
    return {"reviewer": name}
