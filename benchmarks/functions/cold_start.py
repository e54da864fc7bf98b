"""AWS Lambda: import the handler that is measured, and do nothing when invoked.

The initialisation is that of the measured function, and no invocation has an effect.
"""

import importlib
import os
from typing import Any

if measured := os.environ.get("MEASURED_MODULE"):
    importlib.import_module(measured)


def handler(_event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Return an empty object."""
    return {}
