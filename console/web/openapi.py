"""The OpenAPI documents of the console and of the drivers' API, and what their page shows of them."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from fastapi import FastAPI
from fastapi.routing import APIRoute

from console.web.roles import allowed

_PREFIXES = ("/api/", "/images/")
_ABOUT = (
    "What the pages of the console request. It is no part of the contract with other teams and changes with the pages. "
    "A request needs the cookie of a signed-in browser, and a POST also Origin and the header X-CSRF-Token of a page."
)


class Operation(NamedTuple):
    """One operation of a document: who may use it if the document says so, answers by status, JSON schemas as texts.

    A schema is empty when there is none, or when an answer before has the same.
    """

    method: str
    path: str
    text: str
    who: str
    parameters: list[str]
    body: str
    answers: list[tuple[str, str, str]]

    @property
    def anchor(self) -> str:
        """The id of its place on the page."""
        return f"{self.method}{self.path}".translate(str.maketrans("/", "-", "{}")).lower()


def describe_console(app: FastAPI) -> dict[str, Any]:
    """Return the document of what the console serves, without the pages themselves; `x-who` may use an operation."""
    document = app.openapi()
    paths = {path: dict(one) for path, one in document["paths"].items() if path.startswith(_PREFIXES)}
    for route in app.state.routes:
        if isinstance(route, APIRoute) and route.path in paths:
            for method in route.methods or ():
                paths[route.path][method.lower()] |= {"x-who": allowed(route).who}
    return {**document, "info": {"title": "Console", "version": "1", "description": _ABOUT}, "paths": paths}


def operations(document: dict[str, Any]) -> Iterator[Operation]:
    """Yield the operations of a document, with the schemas that they refer to in their places."""
    for path, methods in document["paths"].items():
        for method, one in methods.items():
            body = one.get("requestBody", {})
            yield Operation(
                method=method.upper(),
                path=path,
                text=one.get("description") or one.get("summary", ""),
                who=one.get("x-who", ""),
                parameters=[_parameter(parameter) for parameter in one.get("parameters", ())],
                body=_schema(body, document),
                answers=list(_answers(one["responses"], document)),
            )


def _answers(responses: dict[str, Any], document: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    seen = set()
    for status, answer in responses.items():
        schema = _schema(answer, document)
        yield status, answer["description"], "" if schema in seen else schema
        seen.add(schema)


def _parameter(parameter: dict[str, Any]) -> str:
    return f"{parameter['name']} (in the {parameter['in']}{'' if parameter.get('required') else ', optional'})"


def _schema(content: dict[str, Any], document: dict[str, Any]) -> str:
    """Return the schema of JSON content as text, empty when there is none."""
    schema = content.get("content", {}).get("application/json", {}).get("schema")
    return json.dumps(_resolved(schema, document), indent=2, ensure_ascii=False) if schema else ""


def _resolved(value: Any, document: dict[str, Any]) -> Any:
    """Return a schema with the components that it refers to; no component refers to itself."""
    if isinstance(value, dict):
        if "$ref" in value:
            return _resolved(document["components"]["schemas"][value["$ref"].rpartition("/")[2]], document)
        return {key: _resolved(inner, document) for key, inner in value.items()}
    return [_resolved(inner, document) for inner in value] if isinstance(value, list) else value
