"""The operating policy: what the business tolerates of photos that the model decides without a person."""

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

from training.vehicles import VEHICLES_FILE


@dataclass(frozen=True)
class Policy:
    """Shares, each in (0, 1).

    `wrong_at_most`: of the photos decided without a person, the share sent to a wrong bay; `others_share`: the share of
    uploads that show no vehicle of ours; `others_accepted_at_most`: the share of those that may be sent to a bay.
    """

    wrong_at_most: float = 0.01
    others_share: float = 0.05
    others_accepted_at_most: float = 0.03

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
                raise ValueError(f"[policy] {field.name} is {value!r}; pass a share between 0 and 1, such as 0.01")


def configured_policy(path: Path = VEHICLES_FILE) -> Policy:
    """Return the policy in the table `[policy]` of `path`; what is not there keeps its default.

    Raises ValueError naming a key that is unknown or out of range.
    """
    with path.open("rb") as file:
        given = tomllib.load(file).get("policy", {})
    if unknown := sorted(set(given) - {field.name for field in fields(Policy)}):
        raise ValueError(f"[policy] in {path.name} knows no {', '.join(unknown)}")
    return Policy(**given)
