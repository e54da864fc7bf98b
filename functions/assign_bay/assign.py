"""Sending a driver to a bay: one decision per photo, one event per decision."""

from dataclasses import dataclass

from functions.shared.decisions import Decision, DecisionTable
from functions.shared.errors import InvalidInput
from functions.shared.events import EventBus
from functions.shared.photo_table import PhotoTable

DECIDERS = ("model", "reviewer", "fallback")


@dataclass(frozen=True)
class Assignment:
    """The decision that stands, and whether it was announced just now."""

    decision: Decision
    announced: bool


def assign(decision: Decision, decisions: DecisionTable, photos: PhotoTable, bus: EventBus) -> Assignment:
    """Record a decision unless its photo has one, and announce it if it is this execution's.

    Only the execution whose decision stands announces it. When a function dies after the decision was recorded
    and before its event, the retry of the same execution finds its own unannounced decision and publishes the
    event; every other execution returns the decision silently. A function that dies between the event and the
    mark publishes a second, equal event: listeners tell by `photo.photo_id`.

    Raises EventNotPublished; InvalidInput when nobody known decided.
    """
    if decision.decided_by not in DECIDERS:
        raise InvalidInput(f"decided_by is {decision.decided_by!r}; it must be one of {', '.join(DECIDERS)}")
    photo_id = decision.photo.photo_id
    standing = decisions.put_first(decision)
    announce = standing.decision.execution == decision.execution and not standing.announced
    if announce:
        bus.publish("Driver Routed", standing.decision.as_state())
        decisions.mark_announced(photo_id)
    photos.remove(photo_id)
    return Assignment(standing.decision, announce)
