"""Wait for an effect that becomes visible in a while."""

import time
from collections.abc import Callable
from typing import Any

import pytest


def eventually(
    look: Callable[[], Any], good: Callable[[Any], bool] = bool, *, what: str = "", timeout_s: float = 120
) -> Any:
    """Call `look` until `good` accepts what it returns, and return that; fail the test after `timeout_s`.

    `what` names the effect in the failure's message, which also shows the last value seen.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        seen = look()
        if good(seen):
            return seen
        if time.monotonic() > deadline:
            pytest.fail(f"waited {timeout_s:g} s for {what or 'an effect'}; last seen: {seen}")
        time.sleep(0.05)
