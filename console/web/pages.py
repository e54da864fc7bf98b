"""Render the templates."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from console.answers import Choice, several_vehicles
from console.identity import Reviewer
from console.now_figures import Figures
from console.web import views
from deploy.outputs import Deployed

# "A server generating a 401 response must send a WWW-Authenticate header field" (RFC 9110, 15.5.2).
CHALLENGE = {"WWW-Authenticate": 'StartAddress realm="console"'}
NOT_PAGES = ("/api/", "/images/", "/static/")
"""The beginnings of the paths that scripts and images request: their errors are JSON."""
PRODUCTION = "prod"
"""The stage whose pages look different from all others, so that nobody takes it for another one."""

TEMPLATES = Path(__file__).parent / "templates"


class Pages:
    """The pages of one stage."""

    def __init__(
        self,
        deployed: Deployed,
        choices: tuple[Choice, ...],
        csrf_token: str,
        figures: Callable[[], Figures | None],
        *,
        hosted: bool = False,
    ) -> None:
        """`csrf_token`: the token that pages send with every POST. `figures`: those of the last reading, if any.

        `hosted`: people sign out instead of choosing a name, which their identity provider knows.
        """
        self._figures = figures
        self._environment = Environment(
            loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        self._environment.filters.update(views.FILTERS)
        self._environment.globals.update(
            stage=deployed.stage,
            account=deployed.account,
            region=deployed.region,
            is_production=deployed.stage == PRODUCTION,
            choices=choices,
            several_vehicles=several_vehicles(),
            token=csrf_token,
            hosted=hosted,
        )

    def render(self, name: str, reviewer: Reviewer, *, status_code: int = 200, **values: Any) -> HTMLResponse:
        """Return the page of the template `name` with its values."""
        template = self._environment.get_template(f"{name}.html")
        strip = views.strip(self._figures())
        html = template.render(page=name, reviewer=reviewer, now=datetime.now(UTC), strip=strip, **values)
        return HTMLResponse(html, status_code=status_code)

    def render_sign_in(self, *, used: bool = False) -> HTMLResponse:
        """Return the page for a browser that is not signed in, without the CSRF token and the name of the reviewer.

        `used`: the browser opened a start address that does not work any more.
        """
        html = self._environment.get_template("sign-in.html").render(used=used)
        return HTMLResponse(html, status_code=401, headers=CHALLENGE)

    def render_message(self, title: str, detail: str, link: tuple[str, str], *, status_code: int = 200) -> HTMLResponse:
        """Return a page for somebody who is not signed in; `link` are the text and the address of its link."""
        html = self._environment.get_template("message.html").render(title=title, detail=detail, link=link)
        return HTMLResponse(html, status_code=status_code)

    def render_signed_in(self) -> HTMLResponse:
        """Return the page that goes to the Review page, for a browser that was just signed in."""
        return HTMLResponse(self._environment.get_template("signed-in.html").render())
