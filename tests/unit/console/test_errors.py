"""Responses to errors: 502 when AWS fails, and a page for an unknown path."""

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from deploy.outputs import Deployed
from tests.unit.console.browser_client import BrowserClient
from tests.unit.console.review_requests import FakeAws

ADDRESS = "https://aws.example"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ReadTimeoutError(endpoint_url=ADDRESS), "ReadTimeoutError"),
        (EndpointConnectionError(endpoint_url=ADDRESS), "EndpointConnectionError"),
        (ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "Scan"), "AccessDenied"),
    ],
)
@pytest.mark.parametrize("path", ["/drivers", "/model"])
def test_an_error_of_aws_inside_a_page_is_a_bad_gateway_with_its_code(
    stage: Deployed, monkeypatch: pytest.MonkeyPatch, path: str, error: Exception, code: str
) -> None:
    aws = FakeAws()

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(aws.dynamodb, "get_paginator", fail)
    with BrowserClient(stage, aws) as browser:
        response = browser.get(path)
    assert response.status_code == 502
    assert response.json() == {"detail": f"AWS returned an error ({code})."}


def test_an_error_of_dynamodb_inside_the_page_of_a_photo_is_a_bad_gateway_with_its_code(
    stage: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws = FakeAws()

    def fail(**_: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetItem")

    monkeypatch.setattr(aws.dynamodb, "get_item", fail)
    with BrowserClient(stage, aws) as browser:
        response = browser.get("/drivers/unknown")
    assert response.status_code == 502
    assert response.json() == {"detail": "AWS returned an error (AccessDenied)."}


def test_an_unknown_page_is_an_html_page(stage: Deployed) -> None:
    with BrowserClient(stage, FakeAws()) as browser:
        response = browser.get("/no-such-page")
    assert response.status_code == 404
    assert "<h1>Page not found</h1>" in response.text


@pytest.mark.parametrize("path", ["/api/uploads/unknown", "/photos/unknown", "/static/unknown.js"])
def test_an_unknown_resource_is_a_json_error(stage: Deployed, path: str) -> None:
    with BrowserClient(stage, FakeAws()) as browser:
        response = browser.get(path)
    assert response.status_code == 404
    assert response.json()["detail"]
