"""What the drift watch knows about the champion: the references, the last look, and the drift that goes on.

One item of the model table. WatchQuality writes it; the console and `make status` read it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from functions.shared.aws import error_code
from functions.shared.drift import Comparison, Histogram
from functions.shared.dynamodb import deserialize, serialize
from functions.shared.errors import SconesError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_ID = "drift"

# Results of a look.
TOO_FEW, NO_DRIFT, DRIFT = "too few photos", "no drift", "drift"


class WatchRunning(SconesError):
    """Another run of the watch has written its result meanwhile. The next one continues."""


@dataclass(frozen=True)
class Look:
    """One look at the photos first seen from `since` to `until` (ISO 8601) that the champion classified.

    `result` is one of TOO_FEW, NO_DRIFT and DRIFT. `review_rate` in [0, 1] is the share that the model, with its own
    threshold, sends to a reviewer; None without photos.
    """

    since: str
    until: str
    photos: int
    result: str
    review_rate: float | None = None
    comparisons: tuple[Comparison, ...] = ()


@dataclass(frozen=True)
class Drift:
    """A drift that goes on. It is announced once, whatever drifts later.

    `since` is when the period began after which it was detected; `window_since`, `window_until` and `photos` are those
    of the window that showed it. `statistics` are the comparisons that were above their limits. `labels` of the
    `required` labels exist since then; with them, `retraining_at` is when a retraining was requested. `share_before` is
    the value of the audit share's parameter that the watch replaced with `share`. `announced`: the event was published.
    """

    since: str
    window_since: str
    window_until: str
    detected_at: str
    photos: int
    statistics: tuple[Comparison, ...]
    required: int
    labels: int = 0
    announced: bool = False
    retraining_at: str | None = None
    share: str | None = None
    share_before: str | None = None


@dataclass(frozen=True)
class DriftState:
    """What is known about one champion.

    `threshold` is its own. `since` is when its photos began to count, `looked_until` the end of the last
    window. `references` are the distributions that photos are compared with, by statistic; for a statistic
    without one, it is being collected. `undecided` are those whose reference is the validation of the model and was not
    compared yet; `unlike_validation` are the comparisons that showed that the validation photos differ from the photos
    of this stage, so that the reference comes from production. `revision` counts the writes.
    """

    model_version: str
    threshold: float
    since: str
    looked_until: str
    references: Mapping[str, Histogram] = field(default_factory=dict)
    undecided: tuple[str, ...] = ()
    unlike_validation: tuple[Comparison, ...] = ()
    look: Look | None = None
    drift: Drift | None = None
    revision: int = 0

    def as_state(self) -> dict[str, Any]:
        """Return the state as JSON."""
        return {
            "model_version": self.model_version,
            "threshold": self.threshold,
            "since": self.since,
            "looked_until": self.looked_until,
            "references": {name: histogram.as_state() for name, histogram in self.references.items()},
            "undecided": list(self.undecided),
            "unlike_validation": [comparison.as_state() for comparison in self.unlike_validation],
            "look": self.look and _as_state(self.look, "comparisons"),
            "drift": self.drift and _as_state(self.drift, "statistics"),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], revision: int = 0) -> "DriftState":
        """Read what `as_state` returned."""
        references = {name: Histogram.from_state(histogram) for name, histogram in state["references"].items()}
        look, drift = state["look"], state["drift"]
        return cls(
            **{name: state[name] for name in ("model_version", "threshold", "since", "looked_until")},
            references=references,
            undecided=tuple(state["undecided"]),
            unlike_validation=_comparisons(state["unlike_validation"]),
            look=Look(**{**look, "comparisons": _comparisons(look["comparisons"])}) if look else None,
            drift=Drift(**{**drift, "statistics": _comparisons(drift["statistics"])}) if drift else None,
            revision=revision,
        )


class DriftTable:
    """Reads and writes the item of the drift watch in the model table."""

    def __init__(self, name: str, dynamodb: "DynamoDBClient") -> None:
        """`name` is the name of the model table."""
        self._name = name
        self._dynamodb = dynamodb

    def read(self) -> DriftState | None:
        """Return the state, read consistently; None before the first run of the watch. Raises ClientError."""
        answer = self._dynamodb.get_item(TableName=self._name, Key=serialize({"id": _ID}), ConsistentRead=True)
        if "Item" not in answer:
            return None
        item = deserialize(answer["Item"])
        # A text, because DynamoDB has no lists of floating-point numbers.
        return DriftState.from_state(json.loads(item["state"]), item["revision"])

    def write(self, state: DriftState) -> DriftState:
        """Write a state that continues the one of its revision; return it with its new revision.

        Raises WatchRunning when another run has written since.
        """
        written = replace(state, revision=state.revision + 1)
        try:
            self._dynamodb.put_item(
                TableName=self._name,
                Item=serialize({"id": _ID, "revision": written.revision, "state": json.dumps(written.as_state())}),
                ConditionExpression="attribute_not_exists(id) OR revision = :before",
                ExpressionAttributeValues=serialize({":before": state.revision}),
            )
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise
            raise WatchRunning("another run of watch-quality has written its result; the next one continues") from error
        return written


def _as_state(value: Look | Drift, comparisons: str) -> dict[str, Any]:
    return {**value.__dict__, comparisons: [one.as_state() for one in getattr(value, comparisons)]}


def _comparisons(states: list[Any]) -> tuple[Comparison, ...]:
    return tuple(Comparison.from_state(state) for state in states)
