"""Wait for an effect that becomes visible later."""

import time
from collections.abc import Callable
from typing import Any

import pytest


def eventually(
    read: Callable[[], Any], condition: Callable[[Any], bool] = bool, *, what: str = "", timeout_s: float = 120
) -> Any:
    """Call `read` until its result meets `condition`, and return the result; fail the test after `timeout_s`.

    The failure message contains `what`, the name of the effect, and the last result.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        seen = read()
        if condition(seen):
            return seen
        if time.monotonic() > deadline:
            pytest.fail(f"waited {timeout_s:g} s for {what or 'an effect'}; last result: {seen}")
        time.sleep(0.05)
