"""Render the graphs of the SDK to the JSON that is deployed."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from workflows import graph

# The order of the fields in the rendered JSON. The SDK's own order is that of its constructors.
FIELD_ORDER = (
    *("Comment", "StartAt", "Type", "Resource", "InputPath", "Parameters", "ResultSelector", "ResultPath"),
    *("OutputPath", "Label", "ItemReader", "ItemSelector", "ItemBatcher", "MaxConcurrency", "MaxConcurrencyPath"),
    *("ToleratedFailurePercentage", "ToleratedFailurePercentagePath", "ItemProcessor", "ResultWriter"),
    *("Result", "TimeoutSeconds", "TimeoutSecondsPath", "Seconds", "SecondsPath", "Error", "Cause"),
    *("ErrorPath", "CausePath", "Choices", "Default", "Retry", "Catch", "Next", "End", "States"),
)


def render(name: str) -> str:
    """Return the text of the `.asl.json` file of workflow `name`, the same in every region."""
    with _fixed_region():
        from workflows import classify_batch, classify_photo, retrain_model, rollback_model

        builders = {
            "classify-photo": classify_photo.build,
            "retrain-model": retrain_model.build,
            "rollback-model": rollback_model.build,
            "classify-batch": classify_batch.build,
        }
        definition: dict[str, Any] = builders[name]().to_dict()
    definition["States"] = {state: _in_order(definition["States"][state]) for state in graph.reachable(definition)}
    return json.dumps(_in_order(definition), indent=2, ensure_ascii=False) + "\n"


def _in_order(fields: dict[str, Any]) -> dict[str, Any]:
    known = {key: fields[key] for key in FIELD_ORDER if key in fields}
    return known | fields


@contextmanager
def _fixed_region() -> Iterator[None]:
    """Fixes the region, because the SDK writes the partition of the caller's region into every ARN."""
    before = {name: os.environ.get(name) for name in ("AWS_REGION", "AWS_DEFAULT_REGION")}
    os.environ.update(dict.fromkeys(before, "eu-west-1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
