"""Whether every document that is valid by one JSON Schema is valid by another one, too."""

from collections.abc import Iterator
from typing import Any

import jsonschema

Schema = dict[str, Any]

_BOUNDS = {
    "string": (("minLength",), ("maxLength",)),
    "integer": (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")),
    "number": (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")),
    "array": (("minItems",), ("maxItems",)),
    "object": (("minProperties",), ("maxProperties",)),
}
_TEXTS = ("pattern", "format")
# Compared as a whole: what the outer schema has, the inner one must have in the same words.
_CONDITIONS = ("if", "then", "else", "allOf", "oneOf", "not")
_KNOWN = {
    *("$schema", "title", "description", "type", "enum", "anyOf", "items"),
    *("properties", "required", "additionalProperties", *_TEXTS, *_CONDITIONS),
    *(name for bounds in _BOUNDS.values() for names in bounds for name in names),
}


def differences(inner: Schema | bool, outer: Schema | bool, path: str = "$") -> Iterator[str]:
    """Yield why a document that is valid by `inner` may be invalid by `outer`; nothing when every one is valid.

    Schemas are those of draft 2020-12, of the keywords that events/ uses. A difference may be yielded although none
    exists, but none is left out. Raises ValueError for any other keyword.

    >>> list(differences({"type": ["number", "null"]}, {"type": "number"}))
    ['$ may be null']
    """
    if outer is True or inner is False:
        return
    if outer is False:
        yield f"{path} may exist"
        return
    for option in _options({} if inner is True else inner):
        if "enum" in option:
            for value in option["enum"]:
                if not jsonschema.Draft202012Validator(outer).is_valid(value):
                    yield f"{path} may be {value!r}"
            continue
        found = [list(_compared(option, other, path)) for other in _options(outer)]
        if all(found):
            # The reasons of the most similar option.
            yield from min(found, key=lambda reasons: (reasons[0] == _of_any_type(option, path), len(reasons)))


def _options(schema: Schema) -> list[Schema]:
    """Return a schema as schemas of one type each, of which a document meets one at least."""
    if unknown := schema.keys() - _KNOWN:
        raise ValueError(f"events/compatibility.py does not know {', '.join(sorted(unknown))}; teach it")
    if "anyOf" in schema:
        rest = {key: value for key, value in schema.items() if key != "anyOf"}
        return [found for option in schema["anyOf"] for found in _options({**rest, **option})]
    kinds = schema.get("type")
    return [{**schema, "type": kind} for kind in kinds] if isinstance(kinds, list) else [schema]


def _of_any_type(inner: Schema, path: str) -> str:
    return f"{path} may be {_named(inner.get('type'))}"


def _named(kind: str | None) -> str:
    return {None: "of any type", "null": "null"}.get(kind) or f"of type {kind}"


def _compared(inner: Schema, outer: Schema, path: str) -> Iterator[str]:
    """Yield the differences between two schemas of at most one type each."""
    kind = inner.get("type")
    if "type" in outer and kind != outer["type"] and (kind, outer["type"]) != ("integer", "number"):
        yield _of_any_type(inner, path)
        return
    if "enum" in outer:
        yield f"{path} may be any other value than {', '.join(map(repr, outer['enum']))}"
    for name in _TEXTS:
        if name in outer and inner.get(name) != outer[name]:
            yield f"{path} may be outside the {name} {outer[name]}"
    for names, sign in zip(_BOUNDS.get(str(kind), ((), ())), (1, -1), strict=True):
        for name in names:
            if name in outer and (name not in inner or sign * inner[name] < sign * outer[name]):
                yield f"{path} may be beyond the {name} {outer[name]}"
    for name in _CONDITIONS:
        if name in outer and inner.get(name) != outer[name]:
            yield f"{path} may break the condition `{name}`"
    if kind == "object" or "properties" in outer:
        yield from _compared_objects(inner, outer, path)
    if kind == "array" and "items" in outer:
        yield from differences(inner.get("items", True), outer["items"], f"{path}[]")


def _compared_objects(inner: Schema, outer: Schema, path: str) -> Iterator[str]:
    for name in outer.get("required", ()):
        if name not in inner.get("required", ()):
            yield f"{path}.{name} may be missing"
    known, others = inner.get("properties", {}), inner.get("additionalProperties", True)
    expected, more = outer.get("properties", {}), outer.get("additionalProperties", True)
    for name in expected:
        yield from differences(known.get(name, others), expected[name], f"{path}.{name}")
    for name in known.keys() - expected.keys():
        yield from differences(known[name], more, f"{path}.{name}")
    if others is not False:
        yield from differences(others, more, f"{path}.*")
