"""The page for other teams: names, events and schemas to copy, and what the HTTP APIs offer."""

from typing import Any

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import HTMLResponse, JSONResponse

from console import other_teams
from console.web.openapi import describe_console, operations
from console.web.roles import REVIEWERS
from console.web.services import CurrentReviewer, CurrentServices
from deploy.openapi import describe_driver_api
from events import publish

router = APIRouter(dependencies=[Depends(REVIEWERS)])


@router.get("/teams")
def page(services: CurrentServices, reviewer: CurrentReviewer) -> HTMLResponse:
    """Return the page."""
    deployed = services.deployed
    return services.pages.render(
        "teams",
        reviewer,
        names=other_teams.names(deployed),
        published=other_teams.published_events(deployed),
        documents=[*other_teams.outputs(deployed), *other_teams.inputs(deployed)],
        pattern=other_teams.pattern(),
        test_source=other_teams.TEST_SOURCE,
        may_operate=services.operations is not None,
    )


@router.get("/teams/api")
def api_page(request: Request, services: CurrentServices, reviewer: CurrentReviewer) -> HTMLResponse:
    """Return the page of the OpenAPI documents."""
    documents = {"driver-api": describe_driver_api(), "console": describe_console(request.app)}
    apis = [(name, document["info"], list(operations(document))) for name, document in documents.items()]
    return services.pages.render("teams-api", reviewer, apis=apis)


@router.get("/api/openapi/{name}")
def openapi(name: str, request: Request) -> dict[str, Any]:
    """Return an OpenAPI document: `console`, or `driver-api` of the drivers' API. 404 for any other name."""
    if name == "console":
        return describe_console(request.app)
    if name == "driver-api":
        return describe_driver_api()
    raise HTTPException(404, "There are two documents: console and driver-api.")


@router.get("/api/schemas/{name}")
def schema(name: str) -> JSONResponse:
    """Return a published JSON Schema, such as `driver_routed`. 404 for any other name."""
    if name not in (*publish.WRITTEN, *publish.READ):
        raise HTTPException(404, f"No schema of this name is published. There are {', '.join(publish.WRITTEN)}.")
    return JSONResponse(publish.published(name), media_type="application/schema+json")
