"""The ASGI application: middleware, exception handlers and the routers of the pages."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Response
from fastapi.staticfiles import StaticFiles

from console.web.errors import add_exception_handlers, not_signed_in
from console.web.logins import Logins
from console.web.routers import (
    corrections,
    dead_letters,
    images,
    model,
    now,
    operations,
    photos,
    review,
    start,
    upload,
)
from console.web.security import Guard
from console.web.services import Services

STATIC = Path(__file__).parent / "static"


def create_app(services: Services, logins: Logins, *, hosts: Iterable[str]) -> FastAPI:
    """Return the application. It accepts `hosts` as the Host header and closes the services at shutdown."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        services.close()

    app = FastAPI(title="Scones vehicles", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.state.services = services
    app.state.logins = logins
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_middleware(
        Guard,
        hosts=tuple(hosts),
        token=services.csrf_token,
        logins=logins,
        not_signed_in=lambda path: not_signed_in(path, services.pages),
    )
    add_exception_handlers(app)
    app.add_api_route("/favicon.ico", favicon)
    for page in (start, review, corrections, now, photos, images, upload, model, operations, dead_letters):
        app.include_router(page.router)
    return app


def favicon() -> Response:
    """Return the icon. Browsers request it at this path."""
    return Response((STATIC / "icon.svg").read_bytes(), media_type="image/svg+xml")
