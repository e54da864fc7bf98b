"""The operators' buttons: retrain, dry run, roll back, set the threshold, send a test event."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Literal

from botocore.exceptions import ClientError
from fastapi import APIRouter, Depends, HTTPException
from pydantic import BaseModel, Field

import events
from console.operations import Operations
from console.other_teams import TEST_SOURCE
from console.web.roles import Allowed, operators
from console.web.services import CurrentServices, Services
from functions.shared.aws import error_code
from functions.shared.errors import EventNotPublished

router = APIRouter()
log = logging.getLogger(__name__)

RETRAIN = operators("retrain a model", "make retrain")
ROLL_BACK = operators("roll back", "make rollback")
SET_THRESHOLD = operators("set the threshold", "make threshold")
SEND_TEST_EVENT = operators("send a test event", "make test-event")


class Confirmed(BaseModel):
    """The body of a request to change something; `confirm` is the name of the stage."""

    confirm: str


class RetrainRequest(Confirmed):
    """The body of a request to retrain; a `dry_run` promotes nothing."""

    dry_run: bool


class ThresholdRequest(Confirmed):
    """The body of a request to set the threshold in force, in [0, 1]; null is the model's own."""

    value: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, strict=True)] | None


class EventRequest(Confirmed):
    """The body of a request to send the sample of an event as a test."""

    detail_type: Literal[events.DETAIL_TYPES]  # type: ignore[valid-type]  # the values are those of the tuple


@router.post("/api/model/retrain", dependencies=[Depends(RETRAIN)])
def retrain(body: RetrainRequest, services: CurrentServices) -> dict[str, str]:
    """Start a retraining; return the address of its page. Errors as in `_operations`."""
    with _operations(services, body, RETRAIN) as operations:
        name = operations.retrain(dry_run=body.dry_run)
    log.warning("%s started the retraining %s", services.reviewer.id, name)
    return {"address": f"/model/runs/{name}"}


@router.post("/api/model/rollback", dependencies=[Depends(ROLL_BACK)])
def roll_back(body: Confirmed, services: CurrentServices) -> dict[str, str]:
    """Start a rollback to the champion's predecessor; return the address of its page. Errors as in `_operations`."""
    with _operations(services, body, ROLL_BACK) as operations:
        name = operations.roll_back()
    log.warning("%s started the rollback %s", services.reviewer.id, name)
    return {"address": f"/model/rollbacks/{name}"}


@router.post("/api/model/threshold", dependencies=[Depends(SET_THRESHOLD)])
def set_threshold(body: ThresholdRequest, services: CurrentServices) -> dict[str, str]:
    """Set the threshold; return the address of the page that shows it. Errors as in `_operations`."""
    with _operations(services, body, SET_THRESHOLD) as operations:
        operations.set_threshold(body.value)
    log.warning(
        "%s set the threshold to %s", services.reviewer.id, "the model's own" if body.value is None else body.value
    )
    return {"address": "/model"}


@router.post("/api/teams/test-event", dependencies=[Depends(SEND_TEST_EVENT)])
def send_test_event(body: EventRequest, services: CurrentServices) -> dict[str, str]:
    """Send the sample of an event as a test; return its id and its source.

    Errors as in `_operations`, and 502 when EventBridge refuses the event.
    """
    with _operations(services, body, SEND_TEST_EVENT) as operations:
        try:
            sent = operations.send_test_event(body.detail_type)
        except EventNotPublished as error:
            raise HTTPException(502, f"Not sent: {error}. Try again in a minute.") from error
    log.warning("%s sent a test event %s, id %s", services.reviewer.id, body.detail_type, sent)
    return {"id": sent, "source": TEST_SOURCE}


@contextmanager
def _operations(services: Services, body: Confirmed, allowed: Allowed) -> Iterator[Operations]:
    """Yield the operations of the stage.

    409 when `confirm` is not the name of the stage, 403 for a reviewer who is no operator or whom AWS denies it.
    """
    stage = services.stage
    if body.confirm != stage:
        raise HTTPException(409, f"This is stage {stage}. Type its name to confirm.")
    assert services.operations is not None
    try:
        yield services.operations
    except ClientError as error:
        if error_code(error) not in {"AccessDeniedException", "AccessDenied"}:
            raise
        raise HTTPException(403, allowed.refusal(stage)) from error
