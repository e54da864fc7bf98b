"""The Now page: what is so in the stage, and what to do."""

import logging
from typing import Any

from botocore.exceptions import ClientError
from fastapi import APIRouter, Depends, HTTPException
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from console import now
from console.web import views
from console.web.roles import REVIEWERS, operators
from console.web.services import CurrentReviewer, CurrentServices
from functions.shared.aws import error_code

router = APIRouter()
log = logging.getLogger(__name__)

REPAIR = operators("put the endpoint back", "make repair")


class RepairRequest(BaseModel):
    """The body of a request to put the endpoint back; `confirm` is the name of the stage."""

    confirm: str


@router.get("/now", dependencies=[Depends(REVIEWERS)])
def page(services: CurrentServices, reviewer: CurrentReviewer) -> HTMLResponse:
    """Return the page. A figure that AWS does not return is shown as unknown."""
    figures = services.now.read()
    found = now.rows(figures)
    return services.pages.render(
        "now", reviewer, rows=found, read_at=figures.read_at, may_repair=services.repair is not None
    )


@router.post("/api/repair", dependencies=[Depends(REPAIR)])
def repair(body: RepairRequest, services: CurrentServices) -> dict[str, str]:
    """Put the endpoint of the champion back; return the ARN of the execution that does it.

    403 for a reviewer who is no operator or whom AWS denies it, 409 when `confirm` is not the name of the stage.
    """
    stage = services.now.read().stage
    if body.confirm != stage:
        raise HTTPException(409, f"This is stage {stage}. Type its name to confirm.")
    assert services.repair is not None
    try:
        execution = services.repair()
    except ClientError as error:
        if error_code(error) != "AccessDeniedException":
            raise
        raise HTTPException(403, REPAIR.refusal(stage)) from error
    log.warning("%s started %s to put the endpoint back", services.reviewer.id, execution)
    return {"execution": execution}


@router.get("/api/now", dependencies=[Depends(REVIEWERS)])
def state(services: CurrentServices) -> dict[str, Any]:
    """Return what the strip at the top of each page says."""
    return views.strip(services.now.read())
