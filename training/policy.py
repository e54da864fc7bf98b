"""The operating policy: the error rates that are tolerated in decisions without a review."""

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

from training.vehicles import VEHICLES_FILE


@dataclass(frozen=True)
class Policy:
    """Fractions, each in (0, 1). Raises ValueError for any other value.

    `wrong_at_most`: of the photos decided without a review, those sent to a wrong bay; `others_share`: of the uploads,
    those that show none of the configured vehicles; `others_accepted_at_most`: of these, those that are sent to a bay.
    """

    wrong_at_most: float = 0.01
    others_share: float = 0.05
    others_accepted_at_most: float = 0.03

    def __post_init__(self) -> None:
        """Check the range of each value."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
                raise ValueError(f"[policy] {field.name} is {value!r}; pass a fraction between 0 and 1, such as 0.01")


def configured_policy(path: Path = VEHICLES_FILE) -> Policy:
    """Return the policy in the table `[policy]` of `path`; a missing key keeps its default.

    Raises ValueError for a key that is unknown or out of range.
    """
    with path.open("rb") as file:
        given = tomllib.load(file).get("policy", {})
    if unknown := sorted(set(given) - {field.name for field in fields(Policy)}):
        raise ValueError(f"[policy] in {path.name} has the unknown keys {', '.join(unknown)}")
    return Policy(**given)
