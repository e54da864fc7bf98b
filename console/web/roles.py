"""Who may use a route: each one has exactly one of ANYBODY, REVIEWERS and `operators(…)` among its dependencies."""

from collections.abc import Iterable
from dataclasses import dataclass

from fastapi import HTTPException, Request
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute


@dataclass(frozen=True)
class Allowed:
    """A dependency of a route that says who may use it: `who` is `anybody`, `reviewers` or `operators`.

    `what` an operator does with the route and the `command` that does the same are for people who may not.
    """

    who: str
    what: str = ""
    command: str = ""

    async def __call__(self, request: Request) -> None:
        """Raise HTTPException 403 when the person who sent the request is not one of `who`."""
        # The Guard has refused everybody who is not signed in, except where `anybody` is allowed.
        if self.who == "operators" and request.state.services.operations is None:
            raise HTTPException(403, self.refusal(request.state.services.stage))

    def refusal(self, stage: str) -> str:
        """Return the text for somebody who may not use the route."""
        return f"You may not {self.what}; an operator has to do it: {self.command} STAGE={stage}"


ANYBODY = Allowed("anybody")
"""For routes that say nothing about the stage, such as its health."""

REVIEWERS = Allowed("reviewers")
"""For everybody who is signed in, and has a role where there are several."""


def operators(what: str, command: str) -> Allowed:
    """Return the dependency of a route for operators only."""
    return Allowed("operators", what, command)


def allowed(route: BaseRoute) -> Allowed:
    """Return who may use a route. Raises RuntimeError unless it says so exactly once."""
    dependencies = route.dependant.dependencies if isinstance(route, APIRoute) else []
    found = [one.call for one in dependencies if isinstance(one.call, Allowed)]
    if len(found) != 1:
        raise RuntimeError(f"{getattr(route, 'path', route)} has {len(found)} roles, not one: see console/web/roles.py")
    return found[0]


def open_paths(routes: Iterable[BaseRoute]) -> frozenset[str]:
    """Return the paths that need no sign-in. Raises RuntimeError for a route that does not say who may use it."""
    return frozenset(route.path for route in routes if allowed(route) is ANYBODY and isinstance(route, APIRoute))
