"""A load balancer and an identity provider on loopback: what is in front of a hosted console, for a browser."""

import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.support.load_balancer import Signer
from tests.support.waiting import eventually

COOKIE = "AWSELBAuthSessionCookie-0"
# The rules of the listener in deploy/templates/console.yaml.
WITHOUT_SIGN_IN = ("/static/", "/favicon.ico", "/sign-out")
OF_SCRIPTS = ("/api/", "/images/")


class Front:
    """The load balancer, at `address`, in front of the console at `target`; `people` are claims by name."""

    def __init__(self, address: str, target: str, signer: Signer, people: Mapping[str, Mapping[str, Any]]) -> None:
        self.address = address
        self.people = dict(people)
        self.target = target
        self._signer = signer
        self._sessions: dict[str, str] = {}
        self.app = Starlette(
            routes=[
                Route("/identity-provider", self.ask),
                Route("/oauth2/idpresponse", self.sign_in),
                Route("/{path:path}", self.forward, methods=["GET", "HEAD", "POST", "PUT", "DELETE"]),
            ]
        )

    def end_sessions(self) -> None:
        """End every session, as after the session timeout."""
        self._sessions.clear()

    async def ask(self, request: Request) -> HTMLResponse:
        """Return the page of the identity provider: who are you?"""
        state = request.query_params["state"]
        links = "".join(
            f'<p><a href="/oauth2/idpresponse?code={one}&state={state}">{one}</a></p>' for one in self.people
        )
        return HTMLResponse(f"<h1>Identity provider</h1>{links}")

    async def sign_in(self, request: Request) -> RedirectResponse:
        """Start a session, and go to where the person wanted to go."""
        session = secrets.token_hex(16)
        self._sessions[session] = request.query_params["code"]
        response = RedirectResponse(request.query_params["state"])
        response.set_cookie(COOKIE, session, httponly=True, path="/")
        return response

    async def forward(self, request: Request) -> Response:
        """Forward a request of somebody who is signed in, with the claims in place of what the client sent as such."""
        path = request.url.path
        headers = {name: value for name, value in request.headers.items() if not name.startswith("x-amzn-oidc-")}
        if not path.startswith(WITHOUT_SIGN_IN):
            name = self._sessions.get(request.cookies.get(COOKIE, ""))
            if name is None:
                if path.startswith(OF_SCRIPTS):
                    return HTMLResponse("<h1>401 Authorization Required</h1>", status_code=401)
                return RedirectResponse(f"/identity-provider?state={path}", status_code=302)
            headers |= self._signer.headers(self.people[name])
        async with httpx.AsyncClient(timeout=30) as client:
            answer = await client.request(
                request.method,
                f"{self.target}{path}",
                params=request.query_params,
                headers=headers,
                content=await request.body(),
            )
        response = Response(answer.content, status_code=answer.status_code)
        skipped = {"content-length", "content-encoding", "transfer-encoding", "connection"}
        response.raw_headers = [
            *(item for item in response.raw_headers if item[0] == b"content-length"),
            *((k.encode(), v.encode()) for k, v in answer.headers.multi_items() if k.lower() not in skipped),
        ]
        return response


@contextmanager
def serve_front(front: Front, port: int) -> Iterator[Front]:
    """Serve the load balancer on a port of 127.0.0.1."""
    server = uvicorn.Server(
        uvicorn.Config(front.app, host="127.0.0.1", port=port, log_level="warning", access_log=False)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    eventually(lambda: server.started)
    try:
        yield front
    finally:
        server.should_exit = True
        thread.join(timeout=20)
