"""The access to a console behind a load balancer that signs people in, and the services of each person."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import ClassVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, Response

from console.load_balancer import KeysUnavailable, LoadBalancer, NotSignedIn, SignInEnded
from console.people import NoRole, Person, Roles
from console.web.access import Access, NotAdmitted
from console.web.pages import NOT_PAGES, Pages
from console.web.services import Services

log = logging.getLogger(__name__)

IDLE_S = 3600.0
"""Seconds without a request after which the services of a person are closed."""

SIGN_OUT_PATH = "/sign-out"
"""The page that ends the session of a browser."""

_CLOSING_THREADS = 4


@dataclass(eq=False)
class _Entry:
    """The services of a person, None while they are made, and the time of the last request on the monotonic clock."""

    services: Services | None = None
    seen: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)


class People:
    """The services of each person who uses the console. Its methods can be called from any thread."""

    def __init__(self, make: Callable[[Person], Services], *, idle_s: float = IDLE_S) -> None:
        """`make` returns new services of a person; those without a request for `idle_s` seconds are closed."""
        self._make = make
        self._idle_s = idle_s
        self._entries: dict[Person, _Entry] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(_CLOSING_THREADS, thread_name_prefix="people")

    def services(self, person: Person) -> Services:
        """Return the services of a person. Raises what `make` raises."""
        now = time.monotonic()
        with self._lock:
            entry = self._entries.setdefault(person, _Entry())
            entry.seen = now
            idle = [one for one, found in self._entries.items() if found.seen + self._idle_s < now]
            for services in [self._entries.pop(one).services for one in idle]:
                if services:
                    self._pool.submit(services.close)
        # Not in the lock of all: AWS may take seconds to answer about this person.
        with entry.lock:
            if entry.services is None:
                entry.services = self._make(person)
                log.warning("%s signed in as %s", entry.services.reviewer.id, person.role)
            return entry.services

    def close(self) -> None:
        """Close all services; blocks until every answer is delivered and every lease given back."""
        with self._lock:
            entries, self._entries = list(self._entries.values()), {}
        for entry in entries:
            if entry.services:
                self._pool.submit(entry.services.close)
        self._pool.shutdown(wait=True)


class HostedAccess(Access):
    """The access to a console behind a load balancer: people with a role, as whom the load balancer signed in."""

    headers: ClassVar[Mapping[str, str]] = {"Strict-Transport-Security": "max-age=31536000"}

    def __init__(
        self,
        address: str,
        pages: Pages,
        load_balancer: LoadBalancer,
        roles: Roles,
        people: People,
        *,
        sign_out_address: str = "",
    ) -> None:
        """`address` is that of the console, such as `https://review.example.org`.

        `sign_out_address` is where the identity provider signs people out, "" when it has no such page.
        """
        from console.web.routers import hosted

        self.origins = frozenset({address})
        self.pages = pages
        self.routers = (hosted.router,)
        self.sign_out_address = sign_out_address
        self._load_balancer = load_balancer
        self._roles = roles
        self._people = people

    async def admit(self, connection: HTTPConnection) -> Services:
        """Return the services of the person who sent the request. Raises NotAdmitted.

        The responses are 401 to a request that is not signed in, 403 to a person without a role, and 503 when the
        sign-in cannot be checked.
        """
        refused: tuple[int, str, Exception, tuple[str, str]]
        try:
            return await run_in_threadpool(self._admit, connection.headers)
        except SignInEnded as error:
            refused = 401, "Your sign-in has ended", error, ("Sign in again", "/")
        except NotSignedIn as error:
            log.warning("a request was refused: %s", error)
            refused = 401, "You are not signed in", error, ("Sign in", "/")
        except NoRole as error:
            refused = 403, "You have no role here", error, ("Sign out", SIGN_OUT_PATH)
        except KeysUnavailable as error:
            log.warning("a sign-in cannot be checked: %s", error.__cause__)
            refused = 503, "Your sign-in cannot be checked", error, ("Try again", "/")
        raise NotAdmitted(self._refusal(connection.scope["path"], *refused))

    def _admit(self, headers: Mapping[str, str]) -> Services:
        return self._people.services(self._roles.person(self._load_balancer.claims(headers)))

    def _refusal(self, path: str, status: int, title: str, error: Exception, link: tuple[str, str]) -> Response:
        if path.startswith(NOT_PAGES):
            return JSONResponse({"detail": str(error)}, status_code=status)
        return self.pages.render_message(title, str(error), link, status_code=status)

    def close(self) -> None:
        """Close the services of all people."""
        self._people.close()
