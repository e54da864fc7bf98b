"""The OpenAPI document of the drivers' HTTP API, made from the routes of the template and the contracts."""

import re
from typing import Any, NamedTuple

import events
from deploy.templates import load_template
from functions.answer_driver.request import PARAMETERS

_SCHEMAS = {"driver_photo": "Photo", "driver_upload_form": "UploadForm", "driver_error": "Error"}
_REFUSALS = {
    400: "The driver id, upload id or photo id is malformed.",
    403: "The request is not signed, or not with the credentials of this driver.",
    404: "The driver has no such photo, or has not sent the form.",
    429: "Too many requests of all drivers; repeat it with exponential backoff.",
    500: "The request failed, and an operator is notified; repeat it with exponential backoff.",
}


class _Operation(NamedTuple):
    """What an operation does, the status and the contract of its answer, and the statuses of its refusals."""

    summary: str
    status: int
    answer: str
    refusals: tuple[int, ...]


_SHOWING = (200, "driver_photo", (400, 403, 404, 429, 500))
_OPERATIONS = {
    "createUpload": _Operation(
        "Request a form that uploads one photo to S3.", 201, "driver_upload_form", (400, 403, 429, 500)
    ),
    "showUpload": _Operation("Return the state of the photo that was uploaded with a form.", *_SHOWING),
    "showPhoto": _Operation("Return the state of a photo of the driver.", *_SHOWING),
    "showLastPhoto": _Operation("Return the state of the driver's photo that was seen last.", *_SHOWING),
}


def describe_driver_api() -> dict[str, Any]:
    """Return the document (OpenAPI 3.1.0)."""
    paths: dict[str, dict[str, Any]] = {}
    for resource in load_template("app")["Resources"].values():
        if resource["Type"] == "AWS::ApiGatewayV2::Route":
            method, path = resource["Properties"]["RouteKey"].split()
            paths.setdefault(path, {})[method.lower()] = _describe(resource["Properties"]["OperationName"], path)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Scones Unlimited: drivers' API",
            "version": "1",
            "description": "Upload forms and decisions for drivers' apps. `make openapi` writes this document.",
        },
        "servers": [{"url": "{url}", "variables": {"url": {"default": "", "description": "output `DriverApiUrl`"}}}],
        "security": [{"sigv4": []}],
        "paths": paths,
        "components": {
            "schemas": {name: _schema(contract) for contract, name in _SCHEMAS.items()},
            "securitySchemes": {
                "sigv4": {
                    "type": "apiKey",
                    "name": "Authorization",
                    "in": "header",
                    "x-amazon-apigateway-authtype": "awsSigv4",
                    "description": "AWS Signature Version 4, service `execute-api`",
                }
            },
        },
    }


def _describe(name: str, path: str) -> dict[str, Any]:
    operation = _OPERATIONS[name]
    refusals = {str(status): _response(_REFUSALS[status], "driver_error") for status in operation.refusals}
    return {
        "operationId": name,
        "summary": operation.summary,
        "parameters": [
            {
                "name": one,
                "in": "path",
                "required": True,
                "schema": {"type": "string", "pattern": f"^{PARAMETERS[one]}$"},
            }
            for one in re.findall(r"\{(\w+)\}", path)
        ],
        "responses": {str(operation.status): _response(operation.summary, operation.answer), **refusals},
    }


def _response(description: str, contract: str) -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{_SCHEMAS[contract]}"}
    return {"description": description, "content": {"application/json": {"schema": reference}}}


def _schema(contract: str) -> dict[str, Any]:
    return {key: value for key, value in events.contract(contract).items() if key != "$schema"}
