"""The OpenAPI document of the drivers' API."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema

from deploy.openapi import describe_driver_api
from tests.contracts.answers import BODIES

PAGE = Path(__file__).parents[3] / "docs" / "driver-api.json"
DOCUMENT = describe_driver_api()


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        return {value["$ref"]} if "$ref" in value else {one for inner in value.values() for one in references(inner)}
    return {one for inner in value for one in references(inner)} if isinstance(value, list) else set()


def test_the_document_in_docs_is_current() -> None:
    assert json.loads(PAGE.read_text(encoding="utf-8")) == DOCUMENT, "run `make openapi`"


def test_every_parameter_of_a_path_is_described() -> None:
    for path, operations in DOCUMENT["paths"].items():
        for operation in operations.values():
            assert [one["name"] for one in operation["parameters"]] == re.findall(r"\{(\w+)\}", path)


def test_every_answer_of_the_function_is_described_with_its_schema() -> None:
    described = {
        int(status): response["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        for operations in DOCUMENT["paths"].values()
        for operation in operations.values()
        for status, response in operation["responses"].items()
    }
    titles = {"driver_photo": "Photo", "driver_upload_form": "UploadForm", "driver_error": "Error"}
    assert {status: titles[contract] for status, contract in BODIES.items()}.items() <= described.items()


def test_every_reference_leads_to_a_valid_schema() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert references(DOCUMENT["paths"]) == {f"#/components/schemas/{name}" for name in schemas}
    assert not references(schemas)
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_every_request_is_signed() -> None:
    assert DOCUMENT["security"] == [{"sigv4": []}]
    assert not [one for path in DOCUMENT["paths"].values() for one in path.values() if "security" in one]
