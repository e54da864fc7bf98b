"""Strategies of JSON documents: valid ones by a schema, and valid ones with odd values at random paths."""

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

DEEPEST = 200
ODD_TEXTS = (
    *("", " ", "\0", "a\nb", "\x1b[0m", "\uffff", "\ud800", "é" * 300, "x" * 5000, "{}", "null", "[" * 3000),
    *("s3://", "s3:///", "s3://no-such-bucket/key.json", "s3://uploads/none.json", "s3://scones-ml/missing/", "s3://a"),
    *("s3://Not_A_Bucket/a/", "../../etc/passwd", "arn:aws:states:::none", "2026-13-45", "2026-11-27T10:00:00"),
    *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "NaN", "-1", "other", "unusable", "manual", "labels"),
    *("PhotoMissing", "promoted", "failed", "recorded", "reviewer"),
)
ODD_NUMBERS = (
    *(0, 1, -1, 2, 0.5, 1.5, -0.0, 1e-320, 1e308, -1e308, 1e16, 2**31, 2**63, 10**40, -(10**40), 31_536_001),
    *(float("inf"), float("-inf"), float("nan"), 0.1 + 0.2),
)


def nested(depth: int, value: Any = 1, key: str | None = None) -> Any:
    """Lists, or objects with one key, inside each other."""
    for _ in range(depth):
        value = [value] if key is None else {key: value}
    return value


ODD_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(ODD_NUMBERS),
    st.sampled_from(ODD_TEXTS),
    st.text(max_size=8),
    st.sampled_from(([], {}, [None], [[]], [{}], {"": ""}, {"a": None}, {"S": "a"}, ["bicycle"], [1, "a"])),
    st.sampled_from((40, 150)).flatmap(lambda depth: st.sampled_from((nested(depth), nested(depth, key="a")))),
).map(copy.deepcopy)  # a later change must not change the values to choose from
ODD_KEYS = st.sampled_from(("", "extra", "photo", "execution", "a.b", "#", ":at", "\uffff"))


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every path in a document, the root first."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from paths(inner, (*path, key))


def at(document: Any, path: tuple[Any, ...]) -> Any:
    """The value at a path."""
    for key in path:
        document = document[key]
    return document


@st.composite
def mutated(draw: st.DrawFn, document: Any, most: int = 3) -> Any:
    """A document with up to `most` values replaced, deleted, added or copied from another path."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, most))):
        known = list(paths(document))
        # Deeper ones are refused before a function is invoked: by Step Functions and by the JSON reader.
        assume(max(map(len, known)) < DEEPEST)
        path = draw(st.sampled_from(known))
        change = draw(st.sampled_from(("replace", "replace", "delete", "add", "copy")))
        if not path:
            if draw(st.integers(0, 9)) == 0:
                document = draw(ODD_VALUES)
            elif isinstance(document, dict):
                document[draw(ODD_KEYS)] = draw(ODD_VALUES)
            continue
        parent, key = at(document, path[:-1]), path[-1]
        if change == "delete":
            del parent[key]
        elif change == "copy":
            parent[key] = copy.deepcopy(at(document, draw(st.sampled_from(known))))
        elif change == "add" and isinstance(parent[key], dict):
            parent[key][draw(ODD_KEYS)] = draw(ODD_VALUES)
        elif change == "add" and isinstance(parent[key], list):
            parent[key].append(draw(ODD_VALUES))
        else:
            parent[key] = draw(ODD_VALUES)
    assume(max(map(len, paths(document))) < DEEPEST)
    return document


def from_schema(schema: dict[str, Any], root: dict[str, Any] | None = None) -> st.SearchStrategy[Any]:
    """Documents that are valid by a JSON Schema, of the keywords that events/ uses."""
    root = root or schema
    if "$ref" in schema:
        return from_schema(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "anyOf" in schema:
        return st.one_of([from_schema(option, root) for option in schema["anyOf"]])
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return st.one_of([_of_kind(kind, schema, root) for kind in kinds])


def _of_kind(kind: str, schema: dict[str, Any], root: dict[str, Any]) -> st.SearchStrategy[Any]:
    if kind == "null":
        return st.none()
    if kind == "boolean":
        return st.booleans()
    if kind == "integer":
        return st.integers(schema.get("minimum", -(2**40)), schema.get("maximum", 2**40))
    if kind == "number":
        low, high = schema.get("minimum", -1e9), schema.get("maximum", 1e9)
        return st.floats(low, high, allow_nan=False) | st.sampled_from([v for v in (0, 1, 0.5) if low <= v <= high])
    if kind == "string":
        return _texts(schema)
    if kind == "array":
        items = from_schema(schema["items"], root)
        return st.lists(items, min_size=schema.get("minItems", 0), max_size=3, unique_by=repr)
    return _objects(schema, root)


def _texts(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    if schema.get("format") == "date-time":
        return st.datetimes().map(lambda at: at.isoformat(timespec="milliseconds") + "Z")
    if "pattern" in schema:
        return st.from_regex(schema["pattern"], fullmatch=schema["pattern"].endswith("$")).filter(_is_plain)
    named = st.sampled_from(("bicycle", "motorcycle", "other", "uploads/driver-7/a.jpg", "é{}\"'\\"))
    size = max(1, schema.get("minLength", 0))
    return named | st.text(st.characters(codec="utf-8"), min_size=size, max_size=12).filter(str.strip)


def _is_plain(text: str) -> bool:
    return not text.endswith("\n")


def _objects(schema: dict[str, Any], root: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    properties, required = schema.get("properties", {}), schema.get("required", ())
    values = {name: from_schema(inner, root) for name, inner in properties.items()}
    extra = schema.get("additionalProperties")
    if isinstance(extra, dict):
        values |= {name: from_schema(extra, root) for name in (*required, "bicycle", "motorcycle")}
    return st.fixed_dictionaries(
        {name: value for name, value in values.items() if name in required},
        optional={name: value for name, value in values.items() if name not in required},
    )
