"""The published contracts, `python -m events.publish`: the schemas that other teams rely on (docs/contract.md).

events/published/ has the schemas as they were published. A document that the system writes must stay valid by them, and
a document that is valid by them must stay readable. The version is a part of a name: `driver_routed` is version 1 of
`Driver Routed`, `driver_routed_v2` is `Driver Routed v2`.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import events
from events.compatibility import differences

WRITTEN = (
    *(kind.lower().replace(" ", "_") for kind in events.DETAIL_TYPES),
    *("batch_result", "batch_summary", "endpoint_answer"),
    *("driver_photo", "driver_upload_form", "driver_error"),
)
"""What other teams receive. Published schemas accept fields that they do not know."""

READ = ("classify_photo_input", "classify_batch_input")
"""What other teams send."""

FOLDER = Path(__file__).parent / "published"


def current(name: str) -> dict[str, Any]:
    """Return today's schema of a published contract."""
    kinds = {kind.lower().replace(" ", "_"): kind for kind in events.DETAIL_TYPES}
    return events.schema(kinds[name]) if name in kinds else events.contract(name)


def published(name: str) -> dict[str, Any]:
    """Return the schema as it was published last. Raises FileNotFoundError when it never was."""
    schema: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return schema


def broken(name: str, today: dict[str, Any], earlier: dict[str, Any]) -> list[str]:
    """Return what breaks programs of other teams that were written for the schema `earlier`, of contract `name`."""
    return list(differences(today, earlier) if name in WRITTEN else differences(earlier, today))


def as_published(name: str) -> dict[str, Any]:
    """Return today's schema of a contract as it is published."""
    schema: dict[str, Any] = _open(current(name)) if name in WRITTEN else current(name)
    return schema


def _open(value: Any) -> Any:
    """Return a schema without `additionalProperties: false`, so that it accepts the fields of later schemas."""
    if isinstance(value, dict):
        return {key: _open(inner) for key, inner in value.items() if (key, inner) != ("additionalProperties", False)}
    return [_open(inner) for inner in value] if isinstance(value, list) else value


def _breaks() -> Iterator[str]:
    for name in (*WRITTEN, *READ):
        if (FOLDER / f"{name}.json").exists():
            yield from (f"{name}: {reason}" for reason in broken(name, current(name), published(name)))


def main() -> int:
    """Write today's schemas to events/published/; return 1, and write none, when one breaks what was published."""
    if reasons := list(_breaks()):
        print(*reasons, sep="\n", file=sys.stderr)
        print("Nothing was published: this needs a new version (docs/contract.md).", file=sys.stderr)
        return 1
    FOLDER.mkdir(exist_ok=True)
    for name in (*WRITTEN, *READ):
        text = json.dumps(as_published(name), indent=2, ensure_ascii=False)
        (FOLDER / f"{name}.json").write_text(f"{text}\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
