"""AWS Lambda: fail when the model is not confident."""

import os
from typing import Any

THRESHOLD = float(os.environ["THRESHOLD"])


class ThresholdNotMet(Exception):
    """The confidence is below the threshold."""


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Return the event. Raises ThresholdNotMet."""
    confidence = event["inferences"]["confidence"]
    if confidence < THRESHOLD:
        raise ThresholdNotMet(f"the confidence {confidence:.3f} is below {THRESHOLD}")
    return event
