"""Responses to errors: 502 when AWS fails, and a page for an unknown path."""

import html

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError
from httpx import Response

from deploy.outputs import Deployed
from tests.unit.console.browser_client import TAB, BrowserClient
from tests.unit.console.review_requests import FakeAws

ADDRESS = "https://aws.example"


def refused(code: str, message: str = "no") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "Scan")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ReadTimeoutError(endpoint_url=ADDRESS), "AWS cannot be reached (ReadTimeoutError)."),
        (EndpointConnectionError(endpoint_url=ADDRESS), "AWS cannot be reached (EndpointConnectionError)."),
        (refused("AccessDenied"), "AWS denied a request of the console (AccessDenied)"),
        (refused("ExpiredToken"), "Log in to AWS again"),
        (refused("UnrecognizedClientException"), "Stop the console and start it again"),
    ],
)
@pytest.mark.parametrize("path", ["/photos", "/model"])
def test_an_error_of_aws_inside_a_page_is_a_page_with_words_and_a_retry(
    stage: Deployed, monkeypatch: pytest.MonkeyPatch, path: str, error: Exception, words: str
) -> None:
    aws = FakeAws()

    def fail(*_: object, **__: object) -> None:
        raise error

    for call in ("get_paginator", "query"):
        monkeypatch.setattr(aws.dynamodb, call, fail)
    with BrowserClient(stage, aws) as browser:
        response = browser.get(path)
    assert_is_page_with_retry(response, words)


def test_an_error_of_dynamodb_inside_the_page_of_a_photo_is_a_page_with_words_and_a_retry(
    stage: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws = FakeAws()

    def fail(**_: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetItem")

    monkeypatch.setattr(aws.dynamodb, "get_item", fail)
    with BrowserClient(stage, aws) as browser:
        response = browser.get("/photos/unknown")
    assert_is_page_with_retry(response, "AWS denied a request of the console (AccessDenied)")


def test_an_error_of_aws_in_a_request_of_a_script_is_json_with_words(
    stage: Deployed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    aws = FakeAws()

    def fail(**_: object) -> None:
        raise refused("ExpiredToken", "secret of uploads/ana/bike.jpg")

    monkeypatch.setattr(aws.sqs, "receive_message", fail)
    with BrowserClient(stage, aws) as browser:
        response = browser.post("/api/take", tab=TAB)
    assert response.status_code == 502
    assert "Log in to AWS again" in response.json()["detail"]
    assert "bike.jpg" not in response.text + caplog.text


def test_an_error_of_the_console_is_a_page_without_a_traceback(
    stage: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws = FakeAws()

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("of-the-code")

    for call in ("get_paginator", "query"):
        monkeypatch.setattr(aws.dynamodb, call, fail)
    with BrowserClient(stage, aws) as browser:
        client = browser.new_client(raise_server_exceptions=False, cookies=browser.client.cookies)
        response = client.get("/photos")
    assert response.status_code == 500
    assert "<h1>The console failed</h1>" in response.text
    assert "of-the-code" not in response.text
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert response.headers["cache-control"] == "no-store"


def assert_is_page_with_retry(response: Response, words: str) -> None:
    assert response.status_code == 502
    assert response.headers["content-type"].startswith("text/html")
    assert words in html.unescape(response.text)
    assert 'id="retry"' in response.text
    assert "Traceback" not in response.text


def test_an_unknown_page_is_an_html_page(stage: Deployed) -> None:
    with BrowserClient(stage, FakeAws()) as browser:
        response = browser.get("/no-such-page")
    assert response.status_code == 404
    assert "<h1>Page not found</h1>" in response.text


@pytest.mark.parametrize("path", ["/api/uploads/unknown", "/images/unknown", "/static/unknown.js"])
def test_an_unknown_resource_is_a_json_error(stage: Deployed, path: str) -> None:
    with BrowserClient(stage, FakeAws()) as browser:
        response = browser.get(path)
    assert response.status_code == 404
    assert response.json()["detail"]
