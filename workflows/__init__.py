"""The state machines: written with the Step Functions Data Science SDK, deployed as the JSON files in `asl/`.

`python -m workflows` renders each definition to `asl/{name}.asl.json` and its flowchart to `docs/workflows/{name}.md`.
Both are under version control: importing the SDK takes seconds and hundreds of megabytes, so deployment and tests read
the JSON with `load_definition` instead.
"""

import json
from pathlib import Path
from typing import Any

NAMES = ("classify-photo", "retrain-model", "rollback-model", "classify-batch")
ASL_FOLDER = Path(__file__).parent / "asl"
PAGE_FOLDER = Path(__file__).parent.parent / "docs" / "workflows"


def asl_path(name: str) -> Path:
    """Return the file with the rendered definition of workflow `name`."""
    return ASL_FOLDER / f"{name}.asl.json"


def page_path(name: str) -> Path:
    """Return the Markdown page with the flowchart of workflow `name`."""
    return PAGE_FOLDER / f"{name}.md"


def load_definition(name: str) -> dict[str, Any]:
    """Return the Amazon States Language definition of workflow `name`, with its `${Substitution}` placeholders.

    Raises:
        KeyError: there is no workflow of that name.
    """
    if name not in NAMES:
        raise KeyError(f"There is no workflow {name!r}; there are {', '.join(NAMES)}.")
    loaded: dict[str, Any] = json.loads(asl_path(name).read_text(encoding="utf-8"))
    return loaded
