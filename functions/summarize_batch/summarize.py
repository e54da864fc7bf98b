"""The results of a batch as JSON Lines, and their summary."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import IO, Any

from functions.shared.batch_results import FAILED, OUTCOMES

BINS = 20
"""The histogram has as many bins of the same width, from 0 to 1."""


@dataclass
class Summary:
    """Counts over the results of a batch.

    `histogram` has the number of photos whose confidence is at least the lower and below the upper limit of each bin;
    the last one has 1 too.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    vehicles: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    histogram: list[int] = field(default_factory=lambda: [0] * BINS)

    def add(self, result: dict[str, Any]) -> None:
        """Count a result."""
        self.outcomes[result["outcome"]] += 1
        if result["outcome"] == FAILED:
            self.reasons[result["reason"]] += 1
            return
        self.vehicles[result["vehicle"]] += 1
        self.models[result["model_version"]] += 1
        self.histogram[min(BINS - 1, int(result["confidence"] * BINS))] += 1

    def as_state(self) -> dict[str, Any]:
        """Return the counts as JSON."""
        return {
            "photos": self.outcomes.total(),
            "outcomes": {name: self.outcomes[name] for name in OUTCOMES},
            "vehicles": dict(sorted(self.vehicles.items())),
            "confidence_histogram": list(self.histogram),
            "failures": dict(sorted(self.reasons.items())),
            "model_versions": dict(sorted(self.models.items())),
        }


def write_lines(results: Iterable[dict[str, Any]], file: IO[bytes]) -> Summary:
    """Write each result as a line of JSON; return their summary."""
    summary = Summary()
    for result in results:
        summary.add(result)
        file.write(json.dumps(result, ensure_ascii=False, sort_keys=True).encode() + b"\n")
    return summary
