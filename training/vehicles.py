"""The configured vehicles, which are the model's classes, and their ImageNet classes."""

import tomllib
from pathlib import Path
from typing import Any

OTHER = "other"
"""The class of photos that show none of the configured vehicles."""

VEHICLES_FILE = Path(__file__).resolve().parent.parent / "vehicles.toml"

IMAGENET_CLASSES = 1000


def configured_vehicles(path: Path = VEHICLES_FILE) -> tuple[str, ...]:
    """Return the names of the vehicles in `path`, in the order of the file and of the model's outputs.

    Raises ValueError when there are fewer than two, or when one is named `other`.
    """
    names = tuple(_vehicles(path))
    if len(names) < 2:
        raise ValueError(f"{path.name} configures {len(names)} vehicles; a classifier needs at least two [vehicles.*]")
    if OTHER in names:
        raise ValueError(f"{path.name} configures a vehicle called '{OTHER}', a reserved name; rename it")
    return names


def imagenet_classes(path: Path = VEHICLES_FILE) -> dict[str, tuple[int, ...]]:
    """Return the numbers of the ImageNet-1k classes that show each vehicle; empty for a vehicle that ImageNet lacks.

    Raises ValueError for a number that is not an ImageNet class, or that two vehicles have.
    """
    result: dict[str, tuple[int, ...]] = {}
    owners: dict[int, str] = {}
    for name, vehicle in _vehicles(path).items():
        numbers = vehicle.get("imagenet_classes", [])
        for number in numbers:
            if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < IMAGENET_CLASSES:
                raise ValueError(
                    f"{path.name}: imagenet_classes of {name} holds {number!r}, not a number from 0 to 999"
                )
            if owners.setdefault(number, name) != name:
                raise ValueError(f"{path.name}: ImageNet class {number} belongs to both {owners[number]} and {name}")
        result[name] = tuple(numbers)
    return result


def _vehicles(path: Path) -> dict[str, dict[str, Any]]:
    with path.open("rb") as file:
        vehicles: dict[str, dict[str, Any]] = tomllib.load(file).get("vehicles", {})
    return vehicles
