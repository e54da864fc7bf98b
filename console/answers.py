"""The answers that a reviewer can give, their keys, and the guide that says when to give which."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from functions.shared.label import AMBIGUOUS, UNUSABLE
from functions.shared.vehicles import CONFIGURATION, OTHER

GUIDE = CONFIGURATION.with_name("labelling.toml")
_SEVERAL = "several"

# Reserved keys, which no vehicle can have.
OTHER_KEY, UNUSABLE_KEY, AMBIGUOUS_KEY, SKIP_KEY, UNDO_KEY = "n", "u", "x", "s", "z"
GUIDE_KEY, ROTATE_KEY, QUIT_KEY = "g", "r", "q"
_RESERVED = {
    *(OTHER_KEY, UNUSABLE_KEY, AMBIGUOUS_KEY, SKIP_KEY, UNDO_KEY),
    *(GUIDE_KEY, ROTATE_KEY, QUIT_KEY),
}


@dataclass(frozen=True)
class Choice:
    """One answer: its `key` on the keyboard, the `vehicle` of the label, and its displayed `name` and `bay`.

    `guide` are sentences about what counts as it.
    """

    key: str
    vehicle: str
    name: str
    bay: str
    guide: tuple[str, ...] = ()


def choices(path: Path = CONFIGURATION, guide: Path = GUIDE) -> tuple[Choice, ...]:
    """Return the configured vehicles in their order, then `other`, `unusable` and `ambiguous`.

    A vehicle without `review_key`, or with one that is taken, gets its first free letter, else a free digit.
    """
    configuration = tomllib.loads(path.read_text(encoding="utf-8"))
    guides = _read_guide(guide)
    taken = set(_RESERVED)
    found = []

    def add(key: str, vehicle: str, name: str, bay: str) -> None:
        found.append(Choice(key, vehicle, name, bay, guides.get(vehicle, ())))

    for vehicle, settings in configuration["vehicles"].items():
        candidates = [str(settings.get("review_key", "")).lower(), *vehicle.lower(), *"123456789"]
        key = next(key for key in candidates if len(key) == 1 and key.isalnum() and key not in taken)
        taken.add(key)
        add(key, vehicle, vehicle.replace("_", " ").capitalize(), settings["loading_bay"])
    help_desk = configuration["help_desk"]["loading_bay"]
    add(OTHER_KEY, OTHER, "Neither", help_desk)
    add(UNUSABLE_KEY, UNUSABLE, "Unusable", "Rejected")
    add(AMBIGUOUS_KEY, AMBIGUOUS, "Cannot say", help_desk)
    return tuple(found)


def several_vehicles(guide: Path = GUIDE) -> tuple[str, ...]:
    """Return the sentences of the guide that say which of several vehicles in a photo counts."""
    return _read_guide(guide).get(_SEVERAL, ())


def _read_guide(path: Path) -> dict[str, tuple[str, ...]]:
    """Return the sentences about each answer."""
    return {name: tuple(lines) for name, lines in tomllib.loads(path.read_text(encoding="utf-8")).items()}
