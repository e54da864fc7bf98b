"""CloudWatch refuses a dashboard whose body it could not show; ministack keeps every text.

Patch: `cloudwatch._put_dashboard` answers with InvalidParameterInput, and `cloudwatch.cloudformation_put_dashboard`
fails the resource. Source: "PutDashboard" and "Dashboard Body Structure and Syntax", Amazon CloudWatch API Reference.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ministack.services import cloudwatch

from local import patches

TYPES = ("metric", "text", "log", "alarm", "explorer", "chart")
# The least and the largest value of a field of a widget.
RANGES = {"x": (0, 23), "y": (0, None), "width": (1, 24), "height": (1, 1000)}


def problems(text: str) -> list[str]:
    """Return what is wrong with the body of a dashboard, each with the place in it."""
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return ["The field DashboardBody must be a valid JSON object"]
    widgets = body.get("widgets")
    if not isinstance(widgets, list):
        return ["/: Should have required property 'widgets', an array"]
    return [f"/widgets/{number}{found}" for number, widget in enumerate(widgets) for found in _problems(widget)]


def _problems(widget: Any) -> Iterator[str]:
    if not isinstance(widget, dict) or not isinstance(widget.get("properties"), dict):
        yield ": Should have required property 'properties', an object"
        return
    if widget.get("type") not in TYPES:
        yield f"/type: Should be equal to one of the allowed values: {', '.join(TYPES)}"
    for name, (least, largest) in RANGES.items():
        value = widget.get(name, least)
        if not isinstance(value, int) or value < least or (largest is not None and value > largest):
            yield f"/{name}: Should be an integer from {least}{'' if largest is None else f' to {largest}'}"
    if widget.get("type") == "metric" and "metrics" in widget["properties"] and "region" not in widget["properties"]:
        yield "/properties: Should have required property 'region'"


def check(text: str) -> None:
    """Raise ValueError for a body that CloudWatch refuses."""
    if found := problems(text):
        raise ValueError(f"The dashboard body is invalid, there are {len(found)} validation errors: {'; '.join(found)}")


def install() -> None:
    """Apply the patches of this module."""

    def put(params: Any, cbor_data: Any, is_cbor: bool, is_json: bool = False) -> Any:
        try:
            return answer(params, cbor_data, is_cbor, is_json)
        except ValueError as error:
            return cloudwatch._error("InvalidParameterInput", str(error), 400, use_json=is_json, use_cbor=is_cbor)

    def keep(name: str, body: str) -> str:
        check(body)
        arn: str = store(name, body)
        return arn

    answer = patches.replace(cloudwatch, "_put_dashboard", "params cbor_data is_cbor is_json", put)
    store = patches.replace(cloudwatch, "cloudformation_put_dashboard", "name body", keep)
