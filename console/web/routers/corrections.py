"""The reviewer's earlier answers, and their corrections."""

from typing import Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from console.web.roles import REVIEWERS
from console.web.services import CurrentReviewer, CurrentServices
from functions.shared.times import now

router = APIRouter(dependencies=[Depends(REVIEWERS)])


class CorrectionRequest(BaseModel):
    """The body of a correction: the photo, and the right answer."""

    photo_id: str
    vehicle: str


@router.get("/api/answers")
def answers(services: CurrentServices, reviewer: CurrentReviewer) -> dict[str, list[dict[str, Any]]]:
    """Return the last answers of the reviewer, the newest first: `ago_s` seconds ago, `before` are corrected ones."""
    moment = now()
    return {
        "answers": [
            {
                "photo_id": given.label.photo_id,
                "driver": given.label.driver_id,
                "vehicle": given.label.vehicle,
                "before": given.before,
                "ago_s": (moment - given.label.answered).total_seconds(),
            }
            for given in services.corrections.recent(reviewer)
        ]
    }


@router.post("/api/correct")
def correct(body: CorrectionRequest, services: CurrentServices, reviewer: CurrentReviewer) -> dict[str, str]:
    """Save another answer. 409 when the reviewer gave none about the photo, 422 for an unknown answer."""
    label = services.corrections.correct(body.photo_id, body.vehicle, reviewer)
    return {"photo_id": label.photo_id, "vehicle": label.vehicle}
