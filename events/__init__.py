"""Rules of EventBridge, JSON Schemas and samples of events, and the contracts of documents between components."""

import json
from functools import cache
from pathlib import Path
from typing import Any

# The detail types of the events that the system publishes on the bus of a stage, source `scones.vehicles`.
DETAIL_TYPES = (
    "Driver Routed",
    "Photo Rejected",
    "Review Requested",
    "Review Completed",
    "Model Promoted",
    "Model Rejected",
    "Model Rolled Back",
    "Drift Detected",
    "Retraining Needed",
    "Batch Completed",
)

_HERE = Path(__file__).parent


def schema(detail_type: str) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of an event's `detail`. Raises KeyError for any other event."""
    if detail_type not in DETAIL_TYPES:
        raise KeyError(f"no event has the detail type {detail_type!r}; there are {', '.join(DETAIL_TYPES)}")
    return _load("schemas", detail_type.lower().replace(" ", "_"))


def contract(name: str) -> dict[str, Any]:
    """Return the JSON Schema of a document that one component writes and another reads.

    `name` is `dataset_manifest`, `evaluation_report`, `review_request`, or the answer of a function, such as
    `classify_photo_answer`. Raises KeyError for any other one.
    """
    return _load("contracts", name)


def sample(name: str) -> dict[str, Any]:
    """Return a sample event, such as `s3_object_created` or `driver_routed`. Raises KeyError when there is none."""
    return _load("samples", name)


def samples() -> list[str]:
    """Return the names of all sample events."""
    return sorted(path.stem for path in (_HERE / "samples").glob("*.json"))


def rule(name: str, **resources: str) -> dict[str, Any]:
    """Return a rule's `EventPattern` and its target's `InputTransformer`, if it has one, for CloudFormation.

    A `{"Ref": …}` in it names a resource or parameter of the stack. Values for these are keyword arguments:
    `rule("photo_uploaded", UploadsBucket="scones-dev-uploads")`. Raises KeyError when there is no such rule.
    """
    return _substitute(_load("rules", name), resources)  # type: ignore[no-any-return]  # an object stays an object


def _substitute(value: Any, resources: dict[str, str]) -> Any:
    if isinstance(value, dict):
        if set(value) == {"Ref"} and value["Ref"] in resources:
            return resources[value["Ref"]]
        if set(value) == {"Fn::Split"}:
            separator, text = _substitute(value["Fn::Split"], resources)
            return text.split(separator) if isinstance(text, str) else value
        return {key: _substitute(inner, resources) for key, inner in value.items()}
    if isinstance(value, list):
        return [_substitute(inner, resources) for inner in value]
    return value


def _load(folder: str, name: str) -> dict[str, Any]:
    return json.loads(_text(folder, name))  # type: ignore[no-any-return]  # a new object for each caller


@cache
def _text(folder: str, name: str) -> str:
    path = _HERE / folder / f"{name}.json"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in path.parent.glob("*.json")))
        raise KeyError(f"no {name!r} in events/{folder}; there is {known}")
    return path.read_text(encoding="utf-8")
