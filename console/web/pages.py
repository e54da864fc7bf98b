"""Render the templates."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from console.answers import Choice
from console.web import views

TEMPLATES = Path(__file__).parent / "templates"


class Pages:
    """The pages of one stage."""

    def __init__(self, stage: str, choices: tuple[Choice, ...], csrf_token: str) -> None:
        """`csrf_token`: the token that pages send with every POST."""
        self._environment = Environment(
            loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        self._environment.filters.update(views.FILTERS)
        self._environment.globals.update(stage=stage, choices=choices, token=csrf_token)

    def render(self, name: str, reviewer: str, *, status_code: int = 200, **values: Any) -> HTMLResponse:
        """Return the page of the template `name` with its values."""
        template = self._environment.get_template(f"{name}.html")
        html = template.render(page=name, reviewer=reviewer, now=datetime.now(UTC), **values)
        return HTMLResponse(html, status_code=status_code)
