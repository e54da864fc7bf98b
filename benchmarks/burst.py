"""The throughput of a burst of photos, and the photos that were lost or decided twice."""

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from benchmarks.designs import OURS, Design, Uploader
from benchmarks.executions import SUCCEEDED, Execution, ExecutionListener
from benchmarks.processes import sampled
from operate.event_listener import EventListener
from operate.uploads import Source

UPLOAD_THREADS = 8
TIMEOUT_S = 120.0
QUIET_S = 10.0
LATE_S = 2.0


@dataclass(frozen=True)
class Burst:
    """A burst of one design. `seconds` is from the first upload to the end of the last execution.

    The lists have keys of photos: without an outcome, with two outcomes, and with an execution that failed. Ours sends
    the photos of failed executions to the unrouted queue, so they are not lost.
    """

    photos: int
    seconds: float
    in_review: int
    lost: list[str]
    doubled: list[str]
    failed: list[str]
    memory: dict[str, Any] | None

    def figures(self) -> dict[str, Any]:
        """Return counts, memory, and the throughput in photos whose execution succeeded."""
        succeeded = self.photos - self.in_review - len(self.lost) - len(self.failed)
        return {
            "photos": self.photos,
            "seconds": round(self.seconds, 1),
            "photos_per_s": round(succeeded / self.seconds, 2),
            "in_review": self.in_review,
            "lost": len(self.lost),
            "doubled": len(self.doubled),
            "failed": len(self.failed),
            "keys": {"lost": self.lost[:20], "doubled": self.doubled[:20], "failed": self.failed[:20]},
            "memory": self.memory,
        }


@dataclass
class _Received:
    """What was received about the photos of a burst."""

    keys: set[str]
    executions: list[Execution] = field(default_factory=list)
    in_review: set[str] = field(default_factory=set)
    outcomes: Counter[str] = field(default_factory=Counter)

    def read_bus(self, bus: EventListener, seconds: float) -> None:
        """Count the events on the bus of the stage until none has arrived for `seconds`."""
        for detail_type, detail in bus.events(seconds):
            key = detail.get("photo", {}).get("key", "")
            if key in self.keys and detail_type == "Review Requested":
                self.in_review.add(key)
            elif key in self.keys and detail_type in ("Driver Routed", "Photo Rejected"):
                self.outcomes[key] += 1

    def read_until_complete(
        self, listener: ExecutionListener, bus: EventListener, progress: Callable[[int], None]
    ) -> None:
        """Receive until each photo has an execution that ended or is in review, or nothing arrives for TIMEOUT_S."""
        last_arrival = time.monotonic()
        waiting = set(self.keys)
        while waiting and time.monotonic() - last_arrival < TIMEOUT_S:
            before = len(self.executions)
            self.executions += listener.collect(waiting, QUIET_S, lambda count: progress(before + count))  # noqa: B023
            if len(self.executions) > before:
                last_arrival = time.monotonic()
            waiting -= {one.key for one in self.executions}
            if waiting:
                self.read_bus(bus, 1)
                waiting -= self.in_review


def run(
    design: Design,
    listener: ExecutionListener,
    uploader: Uploader,
    photos: list[Source],
    event_bus: str,
    is_local: bool,
    progress: Callable[[int], None],
) -> Burst:
    """Upload all photos at once and wait for their executions. `progress` gets the number of executions that ended.

    A photo of ours also needs exactly one event on `event_bus`; those of the chain have none.
    """
    pairs = [(uploader.next_key(design, photo), photo) for photo in photos]
    received = _Received({key for key, _ in pairs})
    with EventListener(event_bus) as bus, sampled(is_local) as samples:
        started = time.time()
        with ThreadPoolExecutor(UPLOAD_THREADS + 1) as pool:
            # The listener receives while the uploads still run.
            receiving = pool.submit(received.read_until_complete, listener, bus, progress)
            for sent in [pool.submit(uploader.put_key, design, key, photo) for key, photo in pairs]:
                sent.result()
            receiving.result()
        seconds = max((one.stop_ms / 1000 for one in received.executions), default=time.time()) - started
        received.executions += listener.collect_late(received.keys, LATE_S)
        received.read_bus(bus, LATE_S)
    ended = Counter(one.key for one in received.executions)
    outcomes = received.outcomes if design.name == OURS else ended
    failed = {one.key for one in received.executions if one.status != SUCCEEDED}
    expected = received.keys - received.in_review - failed
    return Burst(
        photos=len(photos),
        seconds=seconds,
        in_review=len(received.in_review),
        lost=sorted(key for key in expected if not ended[key] or not outcomes[key]),
        doubled=sorted(key for key in received.keys if ended[key] > 1 or outcomes[key] > 1),
        failed=sorted(failed),
        memory=samples.figures(len(photos)),
    )
