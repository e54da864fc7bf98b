"""The objects that the routers work with for one person, as FastAPI dependencies."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from console import monitoring
from console.answers import Choice
from console.attention import Attention
from console.aws import Aws
from console.champion import ChampionReader
from console.corrections import Corrections
from console.desk import UNDO_S, Desk
from console.execution_history import ExecutionHistory
from console.failed_messages import FailedMessage
from console.failed_requests import FailedRequests
from console.identity import Reviewer
from console.leases import LEASE_S
from console.now_reader import NowReader
from console.operations import Operations
from console.photo_finder import PhotoFinder
from console.photo_records import PhotoRecords
from console.photos import Photos
from console.queue import Queue
from console.reading import Reading
from console.repair import start_repair
from console.retrainings import Retrainings
from console.reviews import Reviews
from console.uploads import Uploads
from console.web.pages import Pages
from console.web.security import new_token
from console.web.tabs import TAB_TIMEOUT_S, Tabs
from deploy.outputs import Deployed
from functions.shared.audit import AuditFigures
from functions.shared.drift_state import DriftTable
from functions.shared.events import EventBus
from functions.shared.photo_reader import PhotoReader

if TYPE_CHECKING:
    from console.web.access import Access

_FRESH_S, _USABLE_S = 30.0, 600.0
"""How old the figures of production may be without being read again, and how old to be shown meanwhile."""


@dataclass(frozen=True)
class Services:
    """The objects that the routers work with.

    `reviewer` is the identity at AWS. `csrf_token` is what the pages send with every POST.
    `repair` puts the endpoint back and returns the ARN of the execution, None for a reviewer who is no operator,
    as `operations` are. `failed_messages`, `production` and `audit` take longer to read than a person waits.
    """

    stage: str
    deployed: Deployed
    reviewer: Reviewer
    choices: tuple[Choice, ...]
    desk: Desk
    tabs: Tabs
    reviews: Reviews
    corrections: Corrections
    attention: Attention
    queue: Queue
    failed_requests: FailedRequests
    failed_messages: Reading[tuple[list[FailedMessage], list[FailedMessage]]]
    production: Reading[list[monitoring.Point]]
    audit: Reading[AuditFigures]
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
        operator_aws: Aws | None = None,
        hosted: bool = False,
        undo_s: float = UNDO_S,
        lease_s: int = LEASE_S,
        tab_timeout_s: float = TAB_TIMEOUT_S,
    ) -> "Services":
        """Return the services of one stage; call `close`. The times, in seconds, are those of Desk and Tabs.

        `operator_aws` are the clients for what only operators may do, by default `aws`. `hosted`: for the pages.
        """
        choices = tuple(choices)
        operating = (operator_aws or aws) if operator else None
        csrf_token = new_token()
        now = NowReader(deployed, aws)
        desk = Desk(deployed, aws, choices, undo_s=undo_s, lease_s=lease_s)
        failed_requests = FailedRequests(deployed, operating or aws)
        records, history = PhotoRecords(deployed, aws), ExecutionHistory(deployed, aws)
        return cls(
            stage=deployed.stage,
            deployed=deployed,
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
            failed_requests=failed_requests,
            failed_messages=Reading(
                "the queues of failed requests", failed_requests.list_both, fresh_s=0, usable_s=math.inf
            ),
            production=Reading(
                "the photos in production",
                lambda: monitoring.recent(records, desk.reviews),
                fresh_s=_FRESH_S,
                usable_s=_USABLE_S,
            ),
            audit=Reading("the audit", records.audit, fresh_s=_FRESH_S, usable_s=_USABLE_S),
            photos=desk.photos,
            records=records,
            finder=PhotoFinder(PhotoReader(deployed.photo_table, aws.dynamodb)),
            history=history,
            uploads=Uploads(deployed, aws, records, history),
            champion=ChampionReader(deployed, aws),
            retrainings=Retrainings(deployed, aws),
            drift=DriftTable(deployed.model_table, aws.dynamodb),
            now=now,
            repair=partial(start_repair, deployed, operating.stepfunctions, reviewer.id) if operating else None,
            operations=Operations(deployed, operating, reviewer.id) if operating else None,
            pages=Pages(deployed, choices, csrf_token, now.peek, hosted=hosted),
            csrf_token=csrf_token,
        )

    def close(self) -> None:
        """Deliver every answer and give back every lease; blocks until both are done."""
        self.tabs.close()
        self.desk.close()
        for reading in (self.failed_messages, self.production, self.audit):
            reading.close()


async def _services(request: Request) -> Services:
    services: Services = request.state.services
    return services


async def _reviewer(request: Request) -> Reviewer:
    access: Access = request.app.state.access
    return access.reviewer(request.state.services, request)


CurrentServices = Annotated[Services, Depends(_services)]
"""A parameter of a route: the services of the person who sent the request."""

CurrentReviewer = Annotated[Reviewer, Depends(_reviewer)]
"""A parameter of a route: the reviewer who sent the request."""
