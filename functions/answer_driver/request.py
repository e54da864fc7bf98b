"""A request of the drivers' HTTP API: its route, and the parameters of its path."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from functions.shared.errors import InvalidInput
from functions.shared.shapes import Shape, any_text, matching, object_with, optional, values

_EVENT = object_with({"routeKey": any_text}, {"pathParameters": optional(values(any_text))})
# A driver's id has no slash and no wildcard of IAM, and is not `.` or `..`.
PARAMETERS: Mapping[str, str] = {
    "driver_id": "[A-Za-z0-9][A-Za-z0-9_.@-]{0,127}",
    "upload_id": "[0-9a-f]{32}",
    "photo_id": "[0-9a-f]{32}",
}
"""The regular expression of each path parameter as a whole."""

_SHAPES: Mapping[str, Shape] = {name: matching(pattern) for name, pattern in PARAMETERS.items()}


@dataclass(frozen=True)
class Request:
    """A request: the key of its route, such as `GET /drivers/{driver_id}/photos/last`, and its path parameters."""

    route: str
    parameters: Mapping[str, str]

    @classmethod
    def from_event(cls, event: Mapping[str, Any]) -> "Request":
        """Read an event of an HTTP API, payload format 2.0. Raises InvalidInput when it is none.

        API Gateway has matched the route and decoded the parameters; the path itself is not read again.
        """
        _EVENT(event, "event")
        return cls(event["routeKey"], event.get("pathParameters") or {})

    def mistake(self) -> str | None:
        """Return what is wrong with the parameters, None when they are valid."""
        for name, value in self.parameters.items():
            try:
                _SHAPES.get(name, any_text)(value, name)
            except InvalidInput as error:
                return str(error)
        return None
