"""Who may use the console, and as whom: the rules of a console on the computer of its reviewer."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import ClassVar
from urllib.parse import unquote

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from starlette.requests import HTTPConnection

from console.identity import Reviewer, is_name
from console.web.logins import SIGN_IN, Logins
from console.web.pages import CHALLENGE, NOT_PAGES, Pages
from console.web.services import Services


class NotAdmitted(Exception):
    """The person who sent a request may not use the console; `response` tells them."""

    def __init__(self, response: Response) -> None:
        """`response` is the answer to the request."""
        super().__init__()
        self.response = response


class Access(ABC):
    """Who may use a console.

    `origins` are its addresses, such as `http://127.0.0.1:8080`. `pages` renders what is shown to somebody who is not
    signed in. `routers` are the routes that only consoles with this access have. `headers` are added to each response.
    """

    origins: frozenset[str]
    pages: Pages
    routers: tuple[APIRouter, ...]
    headers: ClassVar[Mapping[str, str]] = {}

    @property
    def hosts(self) -> frozenset[str]:
        """The accepted values of the Host header."""
        return frozenset(origin.partition("://")[2] for origin in self.origins)

    @abstractmethod
    async def admit(self, connection: HTTPConnection) -> Services:
        """Return what the person who sent a request works with. Raises NotAdmitted."""

    def reviewer(self, services: Services, _connection: HTTPConnection) -> Reviewer:
        """Return the reviewer who sent a request that was admitted."""
        return services.reviewer

    @abstractmethod
    def close(self) -> None:
        """Deliver every answer and give back every lease; blocks until both are done."""


class LocalAccess(Access):
    """The access to a console on a computer: whoever opened its start address is its one reviewer."""

    def __init__(self, services: Services, logins: Logins, *, hosts: Iterable[str]) -> None:
        """`hosts` are the addresses without scheme. Closes the services."""
        from console.web.routers import start

        self.origins = frozenset(f"http://{host}" for host in hosts)
        self.pages = services.pages
        self.routers = (start.router,)
        self.services = services
        self.logins = logins

    async def admit(self, connection: HTTPConnection) -> Services:
        """Return the services of the reviewer for a browser that has a session. Raises NotAdmitted."""
        if self.logins.has_session(connection.cookies):
            return self.services
        if connection.scope["path"].startswith(NOT_PAGES):
            raise NotAdmitted(JSONResponse({"detail": SIGN_IN}, status_code=401, headers=CHALLENGE))
        raise NotAdmitted(self.pages.render_sign_in())

    def reviewer(self, services: Services, connection: HTTPConnection) -> Reviewer:
        """Return the identity of the console at AWS, with the name that the browser's cookie has, if any.

        The name is for display only: nothing that a browser sends changes the identity.
        """
        name = unquote(connection.cookies.get(self.logins.name_cookie, ""))
        return replace(services.reviewer, name=name) if is_name(name) else services.reviewer

    def close(self) -> None:
        """Close the services."""
        self.services.close()
