"""The configured vehicles: which classes the model tells apart."""

import tomllib
from pathlib import Path

OTHER = "other"
"""The class of every photo that shows none of the configured vehicles."""

VEHICLES_FILE = Path(__file__).resolve().parent.parent / "vehicles.toml"


def configured_vehicles(path: Path = VEHICLES_FILE) -> tuple[str, ...]:
    """Return the vehicle names of `path` in their order in the file, which is the order of the model's outputs.

    Raises ValueError when there are fewer than two or when one is called `other`.
    """
    with path.open("rb") as file:
        names = tuple(tomllib.load(file).get("vehicles", {}))
    if len(names) < 2:
        raise ValueError(f"{path.name} configures {len(names)} vehicles; a classifier needs at least two [vehicles.*]")
    if OTHER in names:
        raise ValueError(f"{path.name} configures a vehicle called '{OTHER}', which means 'none of our vehicles'")
    return names
