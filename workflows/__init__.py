"""The state machines: written with the Step Functions Data Science SDK, deployed as the JSON under `asl/`.

`python -m workflows` renders the SDK's definitions into `asl/*.asl.json`, which are kept under version control:
importing the SDK takes seconds and hundreds of megabytes, so deployment and tests read the JSON through `definition`.
"""

import json
from pathlib import Path
from typing import Any

NAMES = ("classify-photo", "retrain-model", "rollback-model")
ASL_FOLDER = Path(__file__).parent / "asl"
PICTURE_FOLDER = Path(__file__).parent.parent / "docs"


def path(name: str) -> Path:
    """Where the rendered definition of workflow `name` lives."""
    return ASL_FOLDER / f"{name}.asl.json"


def picture_path(name: str) -> Path:
    """Where the picture of workflow `name` lives."""
    return PICTURE_FOLDER / f"{name}.svg"


def definition(name: str) -> dict[str, Any]:
    """The Amazon States Language definition of workflow `name`, with its `${Substitution}` placeholders still in place.

    Raises:
        KeyError: there is no workflow of that name.
    """
    if name not in NAMES:
        raise KeyError(f"There is no workflow {name!r}; there are {', '.join(NAMES)}.")
    loaded: dict[str, Any] = json.loads(path(name).read_text(encoding="utf-8"))
    return loaded
