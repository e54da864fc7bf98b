"""The answers that a reviewer can give, and their keys."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from functions.shared.label import UNUSABLE
from functions.shared.vehicles import CONFIGURATION, OTHER

# Reserved keys, which no vehicle can have.
OTHER_KEY, UNUSABLE_KEY, SKIP_KEY, UNDO_KEY = "n", "u", "s", "z"


@dataclass(frozen=True)
class Choice:
    """One answer: its `key` on the keyboard, the `vehicle` of the label, and its displayed `name` and `bay`."""

    key: str
    vehicle: str
    name: str
    bay: str


def choices(path: Path = CONFIGURATION) -> tuple[Choice, ...]:
    """Return the configured vehicles in their order, then `other` and `unusable`.

    A vehicle without `review_key`, or with one that is taken, gets its first free letter, else a free digit.
    """
    configuration = tomllib.loads(path.read_text(encoding="utf-8"))
    taken = {OTHER_KEY, UNUSABLE_KEY, SKIP_KEY, UNDO_KEY}
    found = []
    for vehicle, settings in configuration["vehicles"].items():
        candidates = [str(settings.get("review_key", "")).lower(), *vehicle.lower(), *"123456789"]
        key = next(key for key in candidates if len(key) == 1 and key.isalnum() and key not in taken)
        taken.add(key)
        found.append(Choice(key, vehicle, vehicle.replace("_", " ").capitalize(), settings["loading_bay"]))
    help_desk = configuration["help_desk"]["loading_bay"]
    return (
        *found,
        Choice(OTHER_KEY, OTHER, "Neither", help_desk),
        Choice(UNUSABLE_KEY, UNUSABLE, "Unusable", "Rejected"),
    )
