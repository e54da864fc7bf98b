"""Checks of a verdict: a value compared with a limit, and the text that logs, events and pages show for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

AT_LEAST = "at least"
AT_MOST = "at most"
# Differences of decimal fractions such as 0.95 - 0.92 are off by less than this.
_ROUNDING = 1e-9
_FEWEST_DIGITS = 3
_MOST_DIGITS = 12


@dataclass(frozen=True)
class Check:
    """One check: `value` must be `direction` (AT_LEAST or AT_MOST) `limit`.

    `value` or `limit` is None when it could not be computed; such a check fails.
    """

    check: str
    value: float | None
    limit: float | None
    direction: str = AT_LEAST

    @property
    def passed(self) -> bool:
        """Whether value and limit are both known and the value satisfies the limit."""
        if self.value is None or self.limit is None:
            return False
        short = self.limit - self.value if self.direction == AT_LEAST else self.value - self.limit
        return short <= _ROUNDING

    @property
    def numbers(self) -> tuple[str, str]:
        """Value and limit as text, with enough digits to show why a check failed.

        >>> Check("loss", 0.0304, 0.03, AT_MOST).numbers
        ('0.0304', '0.0300')
        """
        if self.value is None or self.limit is None:
            return _format(self.value), _format(self.limit)
        digits = _FEWEST_DIGITS
        while not self.passed and digits < _MOST_DIGITS and _format(self.value, digits) == _format(self.limit, digits):
            digits += 1
        return _format(self.value, digits), _format(self.limit, digits)

    def __str__(self) -> str:
        """Return the check as a clause.

        >>> str(Check("accuracy", 0.8, 0.85))
        'accuracy is 0.800, at least 0.850 is required'
        >>> str(Check("calibration error", None, 0.15, AT_MOST))
        'calibration error could not be computed, at most 0.150 is allowed'
        """
        value, limit = self.numbers
        found = "could not be computed" if self.value is None else f"is {value}"
        if self.limit is None:
            return f"{self.check} {found}, its limit could not be computed"
        verb = "required" if self.direction == AT_LEAST else "allowed"
        return f"{self.check} {found}, {self.direction} {limit} is {verb}"

    def as_state(self) -> dict[str, Any]:
        """Return the check as JSON, as the workflow's state and the events contain it."""
        return {
            "check": self.check,
            "value": self.value,
            "limit": self.limit,
            "direction": self.direction,
            "passed": self.passed,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Check":
        """Read back what `as_state` wrote."""
        return cls(state["check"], state["value"], state["limit"], state["direction"])


def _format(value: float | None, digits: int = _FEWEST_DIGITS) -> str:
    # Adding 0.0 turns -0.0 into 0.0.
    if value is None or isinstance(value, int):
        return "unknown" if value is None else str(value)
    return f"{round(value, digits) + 0.0:.{digits}f}"
