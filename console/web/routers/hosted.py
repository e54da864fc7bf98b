"""What only a console behind a load balancer has: its health, and signing out."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, PlainTextResponse

from console.web.hosted import SIGN_OUT_PATH, HostedAccess
from console.web.roles import ANYBODY
from console.web.security import HEALTH_PATH

router = APIRouter()

# "Authentication logout and session timeout", Elastic Load Balancing User Guide. A cookie of more than 4 KB is several.
SESSION_COOKIES = tuple(f"AWSELBAuthSessionCookie-{number}" for number in range(4))


async def _access(request: Request) -> HostedAccess:
    access: HostedAccess = request.app.state.access
    return access


CurrentAccess = Annotated[HostedAccess, Depends(_access)]


@router.get(HEALTH_PATH, dependencies=[Depends(ANYBODY)], response_class=PlainTextResponse)
def health() -> str:
    """Return that the console runs, and nothing else."""
    return "ok"


@router.get(SIGN_OUT_PATH, dependencies=[Depends(ANYBODY)])
def sign_out(access: CurrentAccess) -> HTMLResponse:
    """End the browser's session at the load balancer, and say so."""
    detail = "Your identity provider may still know this browser, and sign you in again without asking."
    if access.sign_out_address:
        link = "Sign out of the identity provider, too", access.sign_out_address
    else:
        detail += " On a computer that others use, sign out there, too, and close the browser."
        link = "Sign in again", "/"
    page = access.pages.render_message("You are signed out of the console", detail, link)
    for name in SESSION_COOKIES:
        page.delete_cookie(name, path="/", secure=True, httponly=True)
    return page
