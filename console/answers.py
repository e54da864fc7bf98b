"""The answers a reviewer can give, and the keys that give them."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

OTHER = "other"
UNUSABLE = "unusable"

# Keys with a fixed meaning; no vehicle can have them.
NEITHER_KEY, UNUSABLE_KEY, SKIP_KEY, UNDO_KEY = "n", "u", "s", "z"

CONFIGURATION = Path(__file__).parents[1] / "vehicles.toml"


@dataclass(frozen=True)
class Choice:
    """One answer: its `key` on the keyboard, the `vehicle` that goes into the label, and where the driver goes."""

    key: str
    vehicle: str
    name: str
    bay: str


def choices(path: Path = CONFIGURATION) -> tuple[Choice, ...]:
    """The configured vehicles in their order, then neither and unusable.

    A vehicle without `review_key`, or with one that is taken, gets its first free letter, then a free digit.
    """
    configuration = tomllib.loads(path.read_text(encoding="utf-8"))
    taken = {NEITHER_KEY, UNUSABLE_KEY, SKIP_KEY, UNDO_KEY}
    found = []
    for vehicle, about in configuration["vehicles"].items():
        wishes = [str(about.get("review_key", "")).lower(), *vehicle.lower(), *"123456789"]
        key = next(wish for wish in wishes if len(wish) == 1 and wish.isalnum() and wish not in taken)
        taken.add(key)
        found.append(Choice(key, vehicle, vehicle.replace("_", " ").capitalize(), about["loading_bay"]))
    help_desk = configuration["help_desk"]["loading_bay"]
    return (
        *found,
        Choice(NEITHER_KEY, OTHER, "Neither", help_desk),
        Choice(UNUSABLE_KEY, UNUSABLE, "Unusable", "Rejected"),
    )
