"""The ASGI application: middleware, exception handlers and the routers of the pages."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Response
from fastapi.staticfiles import StaticFiles

from console.answers import Choice
from console.aws import Aws
from console.web.errors import add_exception_handlers
from console.web.routers import dead_letters, drivers, model, photos, review, upload
from console.web.security import Guard, new_token
from console.web.services import Services
from deploy.outputs import Deployed

STATIC = Path(__file__).parent / "static"


def create_app(
    resources: Deployed, aws: Aws, choices: Iterable[Choice], *, hosts: Iterable[str], **options: Any
) -> FastAPI:
    """Return the console of one stage.

    `hosts` are the values of the Host header that it accepts. `options` are `undo_s`, `lease_s` and `tab_timeout_s` of
    Services.
    """
    token = new_token()
    services = Services.of(resources, aws, choices, csrf_token=token, **options)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        services.close()

    app = FastAPI(title="Scones vehicles", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.state.services = services
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_middleware(Guard, hosts=tuple(hosts), token=token)
    add_exception_handlers(app)
    app.add_api_route("/favicon.ico", favicon)
    for page in (review, photos, upload, drivers, model, dead_letters):
        app.include_router(page.router)
    return app


def favicon() -> Response:
    """Return the icon; browsers ask for it at this path."""
    return Response((STATIC / "icon.svg").read_bytes(), media_type="image/svg+xml")
