"""The objects that the routers share, as FastAPI dependencies."""

import getpass
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import unquote

from fastapi import Cookie, Depends, Request

from console.answers import Choice
from console.aws import Aws
from console.champion import ChampionReader
from console.desk import UNDO_S, Desk
from console.execution_history import ExecutionHistory
from console.failed_requests import FailedRequests
from console.identity import Reviewer, find_reviewer
from console.leases import LEASE_S
from console.photo_records import PhotoRecords
from console.photos import Photos
from console.queue import Queue
from console.reviews import Reviews
from console.uploads import Uploads
from console.web.pages import Pages
from console.web.security import new_token
from console.web.tabs import TAB_TIMEOUT_S, Tabs
from deploy.outputs import Deployed

REVIEWER_NAME = re.compile(r"[\w .@'-]{1,40}")
"""The pattern of a reviewer's name."""


@dataclass(frozen=True)
class Services:
    """The objects that the routers share. `csrf_token` is what the pages send with every POST."""

    identity: Reviewer
    choices: tuple[Choice, ...]
    desk: Desk
    tabs: Tabs
    reviews: Reviews
    queue: Queue
    failed_requests: FailedRequests
    photos: Photos
    records: PhotoRecords
    history: ExecutionHistory
    uploads: Uploads
    champion: ChampionReader
    pages: Pages
    csrf_token: str

    @classmethod
    def of(
        cls,
        deployed: Deployed,
        aws: Aws,
        choices: Iterable[Choice],
        *,
        undo_s: float = UNDO_S,
        lease_s: int = LEASE_S,
        tab_timeout_s: float = TAB_TIMEOUT_S,
    ) -> "Services":
        """Return the services of one stage; call `close`. The times, in seconds, are those of Desk and Tabs."""
        choices = tuple(choices)
        csrf_token = new_token()
        desk = Desk(deployed, aws, choices, undo_s=undo_s, lease_s=lease_s)
        records, history = PhotoRecords(deployed, aws), ExecutionHistory(deployed, aws)
        return cls(
            identity=find_reviewer(aws.sts),
            choices=choices,
            desk=desk,
            tabs=Tabs(desk, tab_timeout_s),
            reviews=desk.reviews,
            queue=Queue(deployed, aws, desk.reviews),
            failed_requests=FailedRequests(deployed, aws),
            photos=desk.photos,
            records=records,
            history=history,
            uploads=Uploads(deployed, aws, records, history),
            champion=ChampionReader(deployed, aws),
            pages=Pages(deployed.stage, choices, csrf_token),
            csrf_token=csrf_token,
        )

    def close(self) -> None:
        """Deliver every answer and give back every lease; blocks until both are done."""
        self.tabs.close()
        self.desk.close()


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


async def _reviewer_name(reviewer: Annotated[str | None, Cookie()] = None) -> str:
    return reviewer_name(reviewer)


def reviewer_name(cookie: str | None) -> str:
    """Return the reviewer's name: that of the cookie, else in the variable REVIEWER, else the user of the process."""
    for name in (unquote(cookie or ""), os.environ.get("REVIEWER", "")):
        if REVIEWER_NAME.fullmatch(name):
            return name
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "reviewer"


CurrentServices = Annotated[Services, Depends(_services)]
"""A parameter of a route: the services of the application."""

ReviewerName = Annotated[str, Depends(_reviewer_name)]
"""A parameter of a route: the name of the reviewer who sent the request."""


async def _reviewer(services: CurrentServices, name: ReviewerName) -> Reviewer:
    return Reviewer(services.identity.id, name)


CurrentReviewer = Annotated[Reviewer, Depends(_reviewer)]
"""A parameter of a route: the identity of the console at AWS, with the name of the reviewer who sent the request."""
