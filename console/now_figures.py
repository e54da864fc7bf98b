"""What is read of a stage for the Now page and `make status`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from functions.shared.champion import Champion

CLASSIFY, RETRAIN, ROLLBACK, BATCH = "classify-photo", "retrain-model", "rollback-model", "classify-batch"

FAILURES_SHOWN = timedelta(days=1)

SERVING = {"InService", "Updating", "SystemUpdating", "RollingBack"}
"""An endpoint answers requests in all of them ("DescribeEndpoint", Amazon SageMaker API Reference)."""


@dataclass(frozen=True)
class Unreadable:
    """A figure that AWS did not return. `why` is a sentence."""

    why: str


@dataclass(frozen=True)
class Endpoint:
    """The endpoint: its EndpointStatus, None when it does not exist, its configuration, and its instances."""

    status: str | None
    config: str | None = None
    instances: int = 0

    @property
    def is_serving(self) -> bool:
        """Whether it answers requests."""
        return self.status in SERVING


@dataclass(frozen=True)
class Waiting:
    """The drivers who wait for a reviewer, and how many seconds the first of them has waited, None without any."""

    drivers: int
    oldest_s: float | None


@dataclass(frozen=True)
class Messages:
    """The messages of a queue: visible ones, and those that somebody has received."""

    visible: int
    in_flight: int

    @property
    def all(self) -> int:
        """The number of messages."""
        return self.visible + self.in_flight


@dataclass(frozen=True)
class Alarm:
    """An alarm of the stage. `level` is `page` or `inform`; `name` is without the prefix of the stage.

    `without_data`: it has its state because nothing was measured.
    """

    name: str
    state: str
    level: str
    meaning: str
    action: str
    without_data: bool = False

    @property
    def is_on(self) -> bool:
        """Whether it is in the state ALARM."""
        return self.state == "ALARM"


@dataclass(frozen=True)
class Execution:
    """An execution of a workflow. `outcome` is the one in its output, None before its end or after a failure."""

    status: str
    started_at: datetime
    ended_at: datetime | None = None
    outcome: str | None = None


@dataclass(frozen=True)
class Figures:
    """What was read of a stage at the time `read_at`.

    `champion` is the recorded one, None without any. `unrouted` counts the photos without an outcome whose execution
    failed, `failed` the messages in the queues of failed requests. `failures` are the executions that failed, timed out
    or were stopped within FAILURES_SHOWN, by workflow. `retraining` is the last execution of retrain-model.
    """

    read_at: datetime
    stage: str
    account: str
    region: str
    endpoint_name: str
    champion: Champion | Unreadable | None
    endpoint: Endpoint | Unreadable
    waiting: Waiting | Unreadable
    reviews: Messages | Unreadable
    audits: Messages | Unreadable
    unrouted: int | Unreadable
    failed: int | Unreadable
    alarms: Sequence[Alarm] | Unreadable
    failures: Mapping[str, int] | Unreadable
    retraining: Execution | Unreadable | None
