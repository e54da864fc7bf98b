"""The start address, which signs a browser in."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from console.web.logins import START_PATH
from console.web.services import CurrentLogins, CurrentServices

router = APIRouter()


@router.get(START_PATH)
def start(request: Request, services: CurrentServices, logins: CurrentLogins, token: str = "") -> Response:
    """Sign the browser in and go to the Review page. 401 when `token` was used already or is wrong.

    A page goes there, not a redirect: the browser does not send the cookie along a redirect when a link on another
    site led to the start address (SameSite=Strict, in RFC 6265bis).
    """
    if not logins.has_session(request.cookies):
        session = logins.start_session(token)
        if session is None:
            return services.pages.render_sign_in(used=True)
        response = services.pages.render_signed_in()
        response.set_cookie(logins.session_cookie, session, httponly=True, samesite="strict", path="/")
        return response
    return RedirectResponse("/", status_code=303)
