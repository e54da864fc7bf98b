"""The latency of warm executions, one photo at a time, the designs in turn."""

import time
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.designs import CHAIN, EMPTY, OURS, Design, Uploader
from benchmarks.executions import SUCCEEDED, Execution, ExecutionListener
from operate.errors import CommandError
from operate.latency import Latency
from operate.uploads import Source

TIMEOUT_S = 60.0
START_TIMEOUT_S = 600.0
"""S3 takes about five minutes to publish the first events of a new bucket (Amazon S3 User Guide)."""
ROUNDS_TO_WARM_UP = 4


@dataclass(frozen=True)
class Comparison:
    """Durations of executions in milliseconds by design, for one kind of photos."""

    durations: dict[str, list[float]]

    def figures(self) -> dict[str, Any]:
        """Return count, median, 95th percentile and maximum by design, and the ratios of the medians to the chain's."""
        latencies = {name: Latency.of(values) for name, values in self.durations.items()}
        ours, chain, empty = (latencies[name].p50 or 0.0 for name in (OURS, CHAIN, EMPTY))
        return {
            **{f"{name}_ms": asdict(latency) for name, latency in latencies.items()},
            "ours_to_chain": round(ours / chain, 3) if chain else None,
            "ours_to_chain_above_empty": round((ours - empty) / (chain - empty), 3) if chain > empty else None,
        }


def warm_up(listener: ExecutionListener, uploader: Uploader, compared: list[Design], photos: list[Source]) -> None:
    """Run executions of each design until one has ended, then a few more.

    Raises CommandError when a design starts no execution within START_TIMEOUT_S.
    """
    for design in compared:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if listener.collect({uploader.put(design, photos[0])}, timeout_s=10):
                break
        else:
            raise CommandError(f"No photo under {design.bucket}/{design.prefix} started {design.state_machine}.")
    for number in range(ROUNDS_TO_WARM_UP):
        for design in compared:
            _run(listener, uploader, design, photos[number % len(photos)])


def compare(
    listener: ExecutionListener, uploader: Uploader, compared: list[Design], photos: list[Source]
) -> Comparison:
    """Send each photo to each design, one after the other; the first design of a photo differs from photo to photo.

    Raises CommandError when a photo has no execution, or one that did not succeed.
    """
    durations: dict[str, list[float]] = {design.name: [] for design in compared}
    for number, photo in enumerate(photos):
        first = number % len(compared)
        for design in (*compared[first:], *compared[:first]):
            durations[design.name].append(_run(listener, uploader, design, photo).duration_ms)
    return Comparison(durations)


def _run(listener: ExecutionListener, uploader: Uploader, design: Design, photo: Source) -> Execution:
    found = listener.collect({uploader.put(design, photo)}, TIMEOUT_S)
    if not found:
        raise CommandError(f"The upload of {photo.name} to {design.name} has no execution that ended in {TIMEOUT_S} s.")
    if found[0].status != SUCCEEDED:
        raise CommandError(f"{found[0].arn} ended as {found[0].status}; its history names the state that failed.")
    return found[0]
