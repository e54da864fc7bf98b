"""The report of a reconciliation: how many photos are in which state, and the names of those that needed something."""

from dataclasses import asdict, dataclass, field
from typing import Any

from functions.reconcile_photos.request import Position, Request
from functions.shared.photo import Photo
from functions.shared.texts import shortened
from functions.shared.times import timestamp

# The answer of a Lambda has at most 6 MB. The counts contain every photo, the lists the first ones, and the log names
# all with their whole keys. A character takes up to six bytes in JSON.
LONGEST_LIST = 1000
_LONGEST_ADDRESS, _LONGEST_DRIVER_ID = 160, 40


@dataclass
class Counts:
    """Numbers of photos. `uploads`, `with_outcome` and `without_outcome` count listed objects, all others photos.

    `uploads`: objects in the time window; each has an outcome or not. `too_young`: objects that are newer than it.
    `waiting_for_review` and `in_progress`: photos with a running execution. `announced`: outcomes whose overdue event
    was published. `restarted`: photos for which an execution was started. `unexplained`: all others without an outcome,
    and outcomes that could not be announced.
    """

    uploads: int = 0
    with_outcome: int = 0
    without_outcome: int = 0
    too_young: int = 0
    waiting_for_review: int = 0
    in_progress: int = 0
    announced: int = 0
    restarted: int = 0
    unexplained: int = 0


@dataclass
class Report:
    """The report of one call; `continuation` is where it stopped, None when it is complete."""

    request: Request
    counts: Counts = field(default_factory=Counts)
    announced: list[dict[str, Any]] = field(default_factory=list)
    restarted: list[dict[str, Any]] = field(default_factory=list)
    unexplained: list[dict[str, Any]] = field(default_factory=list)
    continuation: Position | None = None

    def add_announced(self, photo: Photo, execution: str, reason: str) -> None:
        """Count and name a photo whose outcome was announced."""
        self.counts.announced += 1
        _append(self.announced, photo, execution, reason)

    def add_restarted(self, photo: Photo, execution: str, reason: str) -> None:
        """Count and name a photo for which `execution` was started."""
        self.counts.restarted += 1
        _append(self.restarted, photo, execution, reason)

    def add_unexplained(self, photo: Photo, execution: str | None, reason: str) -> None:
        """Count and name a photo that needs an operator."""
        self.counts.unexplained += 1
        _append(self.unexplained, photo, execution, reason)

    @property
    def found(self) -> int:
        """The photos that this call found without an outcome and an execution, or without an announcement."""
        return self.counts.restarted + self.counts.unexplained

    @property
    def unaccounted(self) -> int:
        """`found` of this call and of those that it continues."""
        return self.request.position.unaccounted + self.found

    def as_state(self) -> dict[str, Any]:
        """Return the report as JSON."""
        request = self.request
        return {
            "complete": self.continuation is None,
            "continuation": self.continuation.as_state() if self.continuation else None,
            "started_at": timestamp(request.position.started_at),
            "since": timestamp(request.since) if request.since else None,
            "until": timestamp(request.until),
            "counts": asdict(self.counts),
            "announced": self.announced,
            "restarted": self.restarted,
            "unexplained": self.unexplained,
        }


def _append(names: list[dict[str, Any]], photo: Photo, execution: str | None, reason: str) -> None:
    if len(names) < LONGEST_LIST:
        names.append(
            {
                "photo_id": photo.photo_id,
                "photo": shortened(photo.address, _LONGEST_ADDRESS),
                "driver_id": shortened(photo.driver_id, _LONGEST_DRIVER_ID),
                "execution": execution,
                "reason": reason,
            }
        )
