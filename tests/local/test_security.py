"""Web pages and unsigned requests cannot use the port."""

from __future__ import annotations

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth

from tests.local.aws import Aws
from tests.local.http_requests import cors_headers, create_function_body, send, signed_headers

PATHS = [
    ("POST", "/_ministack/reset"),
    ("POST", "/_ministack/config"),
    ("GET", "/_ministack/health"),
    ("GET", "/_localstack/health"),
    ("GET", "/health"),
    ("GET", "/_ministack/ready"),
    ("GET", "/_ministack/sqs/messages"),
    ("GET", "/_ministack/ses/messages"),
    ("GET", "/_ministack/sns/sms-messages"),
    ("GET", "/_ministack/lambda-code/name"),
    ("GET", "/_ministack/lambda-layers/name/1/content"),
    ("POST", "/_ministack/rds/iam-auth"),
    ("POST", "/_ministack/eks-auth/000000000000/cluster/name/0123456789abcdef"),
    ("PUT", "/_ministack/cfn-response/token"),
    ("PUT", "/_ministack/cfn-signal/token"),
    ("GET", "/_aws/execute-api/api/stage"),
    ("GET", "/_aws/lambda-url/id"),
    ("GET", "/_alb/name"),
    ("GET", "/_local/status"),
    ("POST", "/endpoints/name/invocations"),
    ("GET", "/bucket/key"),
]
BROWSER_HEADERS = [
    {"Origin": "https://example.com"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:8080"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Host": "rebound.example.com"},
    {"Host": "127.0.0.1"},
    {"Host": "127.0.0.1.example.com:4566"},
]


def test_a_page_cannot_create_and_run_a_function_with_a_form(aws: Aws) -> None:
    """A POST of text/plain needs no preflight. ministack alone creates and runs the function without credentials."""
    page = {"Origin": "https://example.com", "Sec-Fetch-Site": "cross-site", "Content-Type": "text/plain"}
    for headers in (page, {"Content-Type": "text/plain"}):
        created = send(aws, "POST", "/2015-03-31/functions", create_function_body("from-a-page"), headers)
        invoked = send(aws, "POST", "/2015-03-31/functions/from-a-page/invocations", b"{}", headers)
        assert (created.status, invoked.status) == (403, 403)
        assert not cors_headers(created)
    names = [function["FunctionName"] for function in aws.client("lambda").list_functions()["Functions"]]
    assert "from-a-page" not in names


@pytest.mark.parametrize("headers", BROWSER_HEADERS, ids=str)
def test_a_request_with_headers_of_a_browser_is_refused_even_if_it_is_signed(aws: Aws, headers: dict[str, str]) -> None:
    path = "/2015-03-31/functions"
    assert send(aws, "GET", path, headers=signed_headers(aws, "GET", path)).status == 200
    refused = send(aws, "GET", path, headers={**signed_headers(aws, "GET", path, headers=headers), **headers})
    assert refused.status == 403
    assert not cors_headers(refused)


@pytest.mark.parametrize("path", ["/", "/2015-03-31/functions", "/bucket/key"])
def test_a_preflight_is_refused(aws: Aws, path: str) -> None:
    preflight = {"Origin": "https://example.com", "Access-Control-Request-Method": "POST"}
    for headers in (preflight, {}, signed_headers(aws, "OPTIONS", path)):
        answer = send(aws, "OPTIONS", path, headers=headers)
        assert answer.status == 403
        assert not cors_headers(answer)


def test_a_response_has_no_cors_headers(aws: Aws) -> None:
    bucket = aws.create_bucket()
    rule = {"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}
    aws.client("s3").put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})
    for service, path in (("lambda", "/2015-03-31/functions"), ("s3", f"/{bucket}")):
        signer = S3SigV4Auth if service == "s3" else SigV4Auth
        answer = send(aws, "GET", path, headers=signed_headers(aws, "GET", path, service=service, signer=signer))
        assert answer.status == 200
        assert not cors_headers(answer)


def test_a_web_socket_is_refused(aws: Aws) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    upgrade["Sec-WebSocket-Key"] = "dGhlIHNhbXBsZSBub25jZQ=="
    assert send(aws, "GET", "/_aws/execute-api/api/stage", headers=upgrade).status == 403


@pytest.mark.parametrize(("method", "path"), PATHS, ids=str)
def test_every_path_needs_credentials(aws: Aws, method: str, path: str) -> None:
    bucket = aws.create_bucket()
    wrong_secret = signed_headers(aws, method, path, secret="made-up")  # noqa: S106
    for headers in ({}, wrong_secret):
        answer = send(aws, method, path, headers=headers)
        assert answer.status == 403
        assert not cors_headers(answer)
    assert bucket in [found["Name"] for found in aws.client("s3").list_buckets()["Buckets"]]
