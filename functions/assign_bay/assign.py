"""Assign a driver to a bay: one decision per photo, one event per decision."""

from dataclasses import dataclass

from functions.shared.decisions import Decision, DecisionTable
from functions.shared.errors import InvalidInput
from functions.shared.events import EventBus
from functions.shared.photo_table import PhotoTable

DECIDERS = ("model", "reviewer", "fallback")


@dataclass(frozen=True)
class Assignment:
    """The recorded decision, and whether this call published its event."""

    decision: Decision
    announced: bool


def assign(decision: Decision, decisions: DecisionTable, photos: PhotoTable, bus: EventBus) -> Assignment:
    """Record a decision unless its photo has one, and publish its event when this execution made it.

    Only the execution that made the recorded decision publishes. When a function fails after it recorded the decision
    and before it published the event, the retry of the same execution finds its own unannounced decision and publishes
    the event; every other execution returns the decision only. A function that fails between the event and
    `mark_announced` publishes an equal event again: consumers deduplicate on `photo.photo_id`.

    Raises EventNotPublished; InvalidInput when `decided_by` is none of DECIDERS.
    """
    if decision.decided_by not in DECIDERS:
        raise InvalidInput(f"decided_by is {decision.decided_by!r}; it must be one of {', '.join(DECIDERS)}")
    photo_id = decision.photo.photo_id
    recorded = decisions.put_if_absent(decision)
    announce = recorded.decision.execution == decision.execution and not recorded.announced
    if announce:
        bus.publish("Driver Routed", recorded.decision.as_state())
        decisions.mark_announced(photo_id)
    photos.remove(photo_id)
    return Assignment(recorded.decision, announce)
