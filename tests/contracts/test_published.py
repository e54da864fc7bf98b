"""What other teams rely on: programs written for the published schemas work with everything that is written today."""

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

import events
from events import publish
from events.compatibility import differences
from events.publish import READ, WRITTEN, as_published, broken, current, published
from functions.prepare_batch.request import read_request
from functions.shared.batch import KINDS
from functions.shared.errors import InvalidInput
from functions.shared.photo import Photo
from functions.shared.s3 import parse_uri
from tests.contracts.odd_json import from_schema
from tests.support.examples import examples

Schema = dict[str, Any]
Mutation = tuple[str, Schema]


@pytest.mark.parametrize("name", [*WRITTEN, *READ])
def test_todays_schema_breaks_no_program_of_another_team(name: str) -> None:
    """A failure needs a new version: docs/contract.md says how."""
    assert broken(name, current(name), published(name)) == []


def test_exactly_the_public_schemas_are_published() -> None:
    assert {file.stem for file in publish.FOLDER.iterdir()} == {*WRITTEN, *READ}
    assert {kind.lower().replace(" ", "_") for kind in events.DETAIL_TYPES} <= {*WRITTEN}
    page = (Path(__file__).resolve().parents[2] / "docs" / "contract.md").read_text(encoding="utf-8")
    for name in (*WRITTEN, *READ):
        jsonschema.Draft202012Validator.check_schema(published(name))
        assert f"(../events/published/{name}.json)" in page


@pytest.mark.parametrize("detail_type", events.DETAIL_TYPES)
def test_an_event_with_a_field_that_a_consumer_does_not_know_is_valid_by_the_published_schema(detail_type: str) -> None:
    name = detail_type.lower().replace(" ", "_")
    detail = events.sample(name)["detail"] | {"added_later": {"by": 1}}
    jsonschema.validate(detail, published(name))


@pytest.mark.parametrize("name", ["driver_routed", "review_completed", "batch_result", "driver_photo", "driver_error"])
@examples(40)
@given(data=st.data())
def test_any_document_of_today_is_valid_by_the_published_schema(name: str, data: Any) -> None:
    document = data.draw(from_schema(current(name)))
    jsonschema.validate(document, published(name))


# Each kind of change that breaks somebody, everywhere in every schema. The functions below yield changed copies.


def nodes(schema: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Schema]]:
    """Every schema inside a schema that describes a value, with its path. Conditions are left out."""
    if not isinstance(schema, dict):
        return
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from nodes(inner, (*path, "properties", name))
    for name in ("items", "additionalProperties"):
        yield from nodes(schema.get(name), (*path, name))
    for number, inner in enumerate(schema.get("anyOf", ())):
        yield from nodes(inner, (*path, "anyOf", number))


def changed(schema: Schema, path: tuple[Any, ...], change: Callable[[Schema], None]) -> Schema:
    copied = copy.deepcopy(schema)
    node = copied
    for key in path:
        node = node[key]
    change(node)
    return copied


def rename(node: Schema, name: str) -> None:
    node["properties"]["renamed"] = node["properties"].pop(name)
    node["required"] = [other if other != name else "renamed" for other in node["required"]]


def drop(node: Schema, name: str) -> None:
    del node["properties"][name]
    node["required"].remove(name)


def widenings(schema: Schema) -> Iterator[Mutation]:
    """Copies of a schema by which a document may be what no document was before."""
    for path, node in nodes(schema):
        where = "/".join(map(str, path)) or "$"
        for name in node.get("required", ()):
            yield f"{where}: {name} optional", changed(schema, path, lambda one, n=name: one["required"].remove(n))
            if name in node.get("properties", {}):
                yield f"{where}: {name} renamed", changed(schema, path, lambda one, n=name: rename(one, n))
                yield f"{where}: {name} removed", changed(schema, path, lambda one, n=name: drop(one, n))
        if "type" in node:
            kinds = node["type"] if isinstance(node["type"], list) else [node["type"]]
            for kind in ({"null", "string", "object"} - {*kinds}) if "enum" not in node else set():
                if path and not (kind == "null" and path[-2:-1] == ("anyOf",)):
                    wider = [*kinds, kind]
                    yield f"{where}: or {kind}", changed(schema, path, lambda one, w=wider: one.update(type=w))
        if "enum" in node:
            yield f"{where}: new value", changed(schema, path, lambda one: one["enum"].append("new value"))
            yield f"{where}: any value", changed(schema, path, lambda one: one.pop("enum"))
        for name in {"minimum", "maximum", "exclusiveMinimum", "minLength", "minItems", "pattern", "format"} & {*node}:
            yield f"{where}: no {name}", changed(schema, path, lambda one, n=name: one.pop(n))


@pytest.mark.parametrize("name", [*WRITTEN, *READ])
def test_what_is_written_may_not_become_wider_and_what_is_read_not_narrower(name: str) -> None:
    earlier = published(name)
    mutations = list(widenings(earlier))
    assert len(mutations) > 5
    if name in WRITTEN:
        allowed = [what for what, mutated in mutations if not broken(name, mutated, earlier)]
    else:
        # Back from a wider schema: what it accepted is refused again.
        allowed = [what for what, mutated in mutations if not broken(name, earlier, mutated)]
    assert allowed == []


def test_the_changes_are_of_every_kind() -> None:
    made = [what for name in (*WRITTEN, *READ) for what, _ in widenings(published(name))]
    assert len(made) > 500
    for kind in ("optional", "renamed", "removed", "or null", "or string", "new value", "any value", "no minimum"):
        assert any(what.endswith(kind) for what in made), kind


@pytest.mark.parametrize("name", READ)
def test_a_new_required_input_breaks_callers(name: str) -> None:
    today = current(name)
    today["properties"]["tenant"] = {"type": "string"}
    assert broken(name, today, published(name)) == []
    today["required"] = [*today.get("required", []), "tenant"]
    assert broken(name, today, published(name)) == ["$.tenant may be missing"]


def test_changes_that_break_nobody_are_allowed() -> None:
    today = current("driver_routed")
    today["properties"]["lane"] = {"type": "integer"}
    today["required"].append("lane")
    today["properties"]["decided_by"]["enum"].remove("fallback")
    today["properties"]["confidence"]["minimum"] = 0.5
    today["properties"]["vehicle"]["type"] = "string"
    today["properties"]["driver_id"]["description"] = "somebody"
    assert broken("driver_routed", today, published("driver_routed")) == []


@pytest.mark.parametrize(
    ("inner", "outer", "reasons"),
    [
        ({"type": "integer"}, {"type": "number"}, []),
        ({"type": "number"}, {"type": "integer"}, ["$ may be of type number"]),
        ({}, {"type": "string"}, ["$ may be of any type"]),
        ({"enum": ["a", None]}, {"type": ["string", "null"]}, []),
        ({"enum": ["a", None]}, {"type": "string"}, ["$ may be None"]),
        ({"type": "string"}, {"enum": ["a", "b"]}, ["$ may be any other value than 'a', 'b'"]),
        ({"type": ["string", "null"]}, {"anyOf": [{"type": "string"}, {"type": "null"}]}, []),
        ({"anyOf": [{"type": "string"}, {"type": "object"}]}, {"type": ["string"]}, ["$ may be of type object"]),
        ({"type": "array", "items": {}}, {"type": "array", "items": {"type": "null"}}, ["$[] may be of any type"]),
        ({"type": "object"}, {"type": "object", "additionalProperties": False}, ["$.* may exist"]),
        ({"type": "object"}, {"type": "object", "properties": {"a": {"type": "null"}}}, ["$.a may be of any type"]),
        ({"type": "string"}, {"type": "string", "not": {"const": "a"}}, ["$ may break the condition `not`"]),
    ],
)  # fmt: skip
def test_differences_are_named(inner: Schema, outer: Schema, reasons: list[str]) -> None:
    assert list(differences(inner, outer)) == reasons


def test_a_keyword_that_is_not_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="does not know dependentRequired"):
        list(differences({"dependentRequired": {}}, {"type": "object"}))


def test_a_breaking_change_is_not_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(publish, "FOLDER", tmp_path / "published")
    assert publish.main() == 0
    file = tmp_path / "published" / "driver_routed.json"
    assert json.loads(file.read_text(encoding="utf-8")) == as_published("driver_routed")
    earlier = as_published("driver_routed")
    earlier["required"].append("lane")
    file.write_text(json.dumps(earlier), encoding="utf-8")
    before = {one.name: one.read_bytes() for one in file.parent.iterdir()}
    assert publish.main() == 1
    assert capsys.readouterr().err.startswith("driver_routed: $.lane may be missing\n")
    assert {one.name: one.read_bytes() for one in file.parent.iterdir()} == before


# Readers of what other teams send.


@examples(50)
@given(document=from_schema(published("classify_photo_input")))
def test_classify_photo_reads_any_input_that_is_valid_by_the_published_schema(document: Any) -> None:
    uploaded_at = document["photo"].get("uploaded_at", "2026")
    if "1970" <= uploaded_at[:4] <= "9000":
        photo = Photo.from_state(document["photo"] | {"added_later": 1})
        assert (photo.bucket, photo.key) == (document["photo"]["bucket"], document["photo"]["key"])


@pytest.mark.parametrize("name", ["bucket", "key"])
def test_classify_photo_needs_what_the_published_schema_requires(name: str) -> None:
    photo = {"bucket": "uploads", "key": "batches/orders/1.jpg"}
    jsonschema.validate({"photo": photo}, published("classify_photo_input"))
    del photo[name]
    assert not jsonschema.Draft202012Validator(published("classify_photo_input")).is_valid({"photo": photo})
    with pytest.raises(InvalidInput, match=rf"photo\.{name}"):
        Photo.from_state(photo)


def read_batch(document: Any) -> None:
    bucket = next((parse_uri(document[kind])[0] for kind in KINDS if kind in document), "uploads")
    read_request(document, name="execution-1", bucket=bucket, concurrency=1, tolerated=5, reviews=200)


@examples(50)
@given(data=st.data())
def test_classify_batch_reads_any_input_that_is_valid_by_the_published_schema(data: Any) -> None:
    kind = data.draw(st.sampled_from(KINDS))
    schema = published("classify_batch_input")
    document = data.draw(from_schema({**schema, "required": [kind]}))
    document = {name: value for name, value in document.items() if name == kind or name not in KINDS}
    jsonschema.validate(document, schema)
    read_batch(document)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"prefix": "s3://uploads/batches/a/", "csv": "s3://uploads/batches/a.csv"},
        {"prefix": "s3://uploads/batches/a"},
        {"inventory": "s3://uploads/batches/data.csv"},
        {"prefix": "s3://uploads/batches/a/", "id": "a b"},
        {"prefix": "s3://uploads/batches/a/", "tolerated_failure_percentage": 101},
        {"prefix": "s3://uploads/batches/a/", "tenant": "orders"},
    ],
)
def test_classify_batch_refuses_what_the_published_schema_refuses(document: Any) -> None:
    assert not jsonschema.Draft202012Validator(published("classify_batch_input")).is_valid(document)
    with pytest.raises(InvalidInput):
        read_batch(document)
