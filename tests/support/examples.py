"""How many examples hypothesis runs: the same ones in every run of the profile `short`, many new ones in `torture`."""

import os
from typing import Any

from hypothesis import HealthCheck, settings

PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "short")
# No database: a failure prints its example, and nothing is written into the checkout.
_COMMON = settings(database=None, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
PROFILES = {
    "short": settings(_COMMON, derandomize=True, max_examples=50),
    "torture": settings(_COMMON, max_examples=1000),
}
_FACTORS = {"short": 1.0, "torture": float(os.environ.get("TORTURE_FACTOR", "20"))}


def examples(count: int, **more: Any) -> settings:
    """Return the settings of a test that needs `count` examples in the profile `short`."""
    return settings(PROFILES[PROFILE], max_examples=max(1, int(count * _FACTORS[PROFILE])), **more)
