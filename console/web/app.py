"""The ASGI application: middleware, exception handlers and the routers of the pages."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import Depends, FastAPI, Response
from fastapi.staticfiles import StaticFiles
from starlette.concurrency import run_in_threadpool
from starlette.routing import BaseRoute, Mount

from console.web.access import Access
from console.web.errors import add_exception_handlers
from console.web.roles import ANYBODY, open_paths
from console.web.routers import corrections, dead_letters, images, model, now, operations, photos, review, teams, upload
from console.web.security import STATIC_PATH, Guard

STATIC = Path(__file__).parent / "static"
PAGES = (review, corrections, now, photos, images, upload, model, operations, dead_letters, teams)


def create_app(access: Access) -> FastAPI:
    """Return the application, which closes `access` at shutdown.

    Raises RuntimeError when a route does not say who may use it.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(access.close)

    app = FastAPI(title="Scones vehicles", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.state.access = access
    app.mount(STATIC_PATH.rstrip("/"), StaticFiles(directory=STATIC), name="static")
    add_exception_handlers(app)
    app.add_api_route("/favicon.ico", favicon, dependencies=[Depends(ANYBODY)])
    routes: list[BaseRoute] = [route for route in app.routes if not isinstance(route, Mount)]
    for router in (*(page.router for page in PAGES), *access.routers):
        app.include_router(router)
        routes += router.routes
    # Those of included routers are not in app.routes.
    app.state.routes = routes
    app.add_middleware(Guard, access=access, open_paths=open_paths(routes))
    return app


def favicon() -> Response:
    """Return the icon. Browsers request it at this path."""
    return Response((STATIC / "icon.svg").read_bytes(), media_type="image/svg+xml")
