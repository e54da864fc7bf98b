"""The vehicles in `vehicles.toml` and their loading bays."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from functions.shared.errors import InvalidSettings

# The class of a photo that shows none of the configured vehicles.
OTHER = "other"

CONFIGURATION = Path(__file__).parents[2] / "vehicles.toml"


@dataclass(frozen=True)
class Bay:
    """A loading bay, and the range of the orders that are loaded there."""

    loading_bay: str
    order_range: str


@dataclass(frozen=True)
class Vehicles:
    """The bay of each vehicle, in the order of the model's classes, and the help desk for all other photos."""

    bays: Mapping[str, Bay]
    help_desk: Bay

    def bay(self, vehicle: str | None) -> Bay:
        """Return the bay of a vehicle; the help desk for `other`, None and a vehicle that is not configured."""
        return self.help_desk if vehicle is None else self.bays.get(vehicle, self.help_desk)

    def __contains__(self, vehicle: object) -> bool:
        """Whether a vehicle is configured."""
        return vehicle in self.bays


@cache
def load_vehicles(path: Path = CONFIGURATION) -> Vehicles:
    """Return the configuration, read once. Raises InvalidSettings when it is missing or incomplete."""
    try:
        configuration = tomllib.loads(path.read_text(encoding="utf-8"))
        bays = {
            name: Bay(vehicle["loading_bay"], vehicle["order_range"])
            for name, vehicle in configuration["vehicles"].items()
        }
        help_desk = Bay(configuration["help_desk"]["loading_bay"], configuration["help_desk"]["order_range"])
    except OSError as error:
        raise InvalidSettings(f"cannot read {path.name}: {error.strerror}; package it beside functions/") from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidSettings(f"{path.name} is not valid TOML: {error}") from error
    except KeyError as error:
        raise InvalidSettings(f"{path.name} lacks {error}") from error
    if not bays or OTHER in bays:
        raise InvalidSettings(f"{path.name} must configure at least one vehicle, and none called {OTHER!r}")
    return Vehicles(bays, help_desk)
