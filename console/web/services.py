"""The objects that the routers share, as FastAPI dependencies."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Annotated
from urllib.parse import unquote

from fastapi import Depends, Request

from console.answers import Choice
from console.attention import Attention
from console.aws import Aws
from console.champion import ChampionReader
from console.corrections import Corrections
from console.desk import UNDO_S, Desk
from console.execution_history import ExecutionHistory
from console.failed_requests import FailedRequests
from console.identity import Reviewer, is_name
from console.leases import LEASE_S
from console.now_reader import NowReader
from console.operations import Operations
from console.photo_finder import PhotoFinder
from console.photo_records import PhotoRecords
from console.photos import Photos
from console.queue import Queue
from console.repair import start_repair
from console.retrainings import Retrainings
from console.reviews import Reviews
from console.uploads import Uploads
from console.web.logins import Logins
from console.web.pages import Pages
from console.web.security import new_token
from console.web.tabs import TAB_TIMEOUT_S, Tabs
from deploy.outputs import Deployed
from functions.shared.drift_state import DriftTable
from functions.shared.events import EventBus
from functions.shared.photo_reader import PhotoReader


@dataclass(frozen=True)
class Services:
    """The objects that the routers share.

    `reviewer` is the identity of the console at AWS. `csrf_token` is what the pages send with every POST.
    `repair` puts the endpoint back and returns the ARN of the execution, None for a reviewer who is no operator,
    as `operations` are.
    """

    stage: str
    reviewer: Reviewer
    choices: tuple[Choice, ...]
    desk: Desk
    tabs: Tabs
    reviews: Reviews
    corrections: Corrections
    attention: Attention
    queue: Queue
    failed_requests: FailedRequests
    photos: Photos
    records: PhotoRecords
    finder: PhotoFinder
    history: ExecutionHistory
    uploads: Uploads
    champion: ChampionReader
    retrainings: Retrainings
    drift: DriftTable
    now: NowReader
    pages: Pages
    repair: Callable[[], str] | None
    operations: Operations | None
    csrf_token: str = field(repr=False)

    @classmethod
    def of(
        cls,
        deployed: Deployed,
        aws: Aws,
        choices: Iterable[Choice],
        reviewer: Reviewer,
        *,
        operator: bool = False,
        undo_s: float = UNDO_S,
        lease_s: int = LEASE_S,
        tab_timeout_s: float = TAB_TIMEOUT_S,
    ) -> "Services":
        """Return the services of one stage; call `close`. The times, in seconds, are those of Desk and Tabs."""
        choices = tuple(choices)
        csrf_token = new_token()
        now = NowReader(deployed, aws)
        desk = Desk(deployed, aws, choices, undo_s=undo_s, lease_s=lease_s)
        records, history = PhotoRecords(deployed, aws), ExecutionHistory(deployed, aws)
        return cls(
            stage=deployed.stage,
            reviewer=reviewer,
            choices=choices,
            desk=desk,
            tabs=Tabs(desk, tab_timeout_s),
            reviews=desk.reviews,
            corrections=Corrections(
                desk.reviews, records, desk.photos, EventBus(deployed.event_bus, aws.events), desk.choices
            ),
            attention=Attention(deployed, aws),
            queue=Queue(deployed, aws, desk.reviews),
            failed_requests=FailedRequests(deployed, aws),
            photos=desk.photos,
            records=records,
            finder=PhotoFinder(PhotoReader(deployed.photo_table, aws.dynamodb)),
            history=history,
            uploads=Uploads(deployed, aws, records, history),
            champion=ChampionReader(deployed, aws),
            retrainings=Retrainings(deployed, aws),
            drift=DriftTable(deployed.model_table, aws.dynamodb),
            now=now,
            repair=(lambda: start_repair(deployed, aws.stepfunctions, reviewer.id)) if operator else None,
            operations=Operations(deployed, aws, reviewer.id) if operator else None,
            pages=Pages(deployed, choices, csrf_token, now.peek),
            csrf_token=csrf_token,
        )

    def close(self) -> None:
        """Deliver every answer and give back every lease; blocks until both are done."""
        self.tabs.close()
        self.desk.close()


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


async def _logins(request: Request) -> Logins:
    logins: Logins = request.app.state.logins
    return logins


def current_reviewer(request: Request) -> Reviewer:
    """Return the reviewer: the identity of the console at AWS, with the name that the browser's cookie has, if any.

    The name is for display only: nothing that a browser sends changes the identity.
    """
    reviewer: Reviewer = request.app.state.services.reviewer
    name = unquote(request.cookies.get(request.app.state.logins.name_cookie, ""))
    return replace(reviewer, name=name) if is_name(name) else reviewer


async def _reviewer(request: Request) -> Reviewer:
    return current_reviewer(request)


CurrentServices = Annotated[Services, Depends(_services)]
"""A parameter of a route: the services of the application."""

CurrentLogins = Annotated[Logins, Depends(_logins)]
"""A parameter of a route: the sessions of browsers."""

CurrentReviewer = Annotated[Reviewer, Depends(_reviewer)]
"""A parameter of a route: the reviewer who sent the request."""
