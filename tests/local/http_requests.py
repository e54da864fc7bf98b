"""HTTP requests to an embedded AWS, signed by botocore or not signed."""

from __future__ import annotations

import base64
import http.client
import json
from typing import Any

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from local.settings import HOST
from tests.local.aws import ROLE, Aws, zip_file


def send(
    aws: Aws, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> http.client.HTTPResponse:
    """Send one request without boto3; returns the response, whose body has been read."""
    return exchange(aws, method, path, body, headers)[0]


def send_for_body(aws: Aws, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
    """Send one request without boto3; returns the body of the response."""
    return exchange(aws, method, path, body, headers)[1]


def exchange(
    aws: Aws, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[http.client.HTTPResponse, bytes]:
    """Send one request without boto3; returns the response and its body."""
    connection = http.client.HTTPConnection(HOST, aws.server.port, timeout=20)
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    return response, answer


def signed_headers(
    aws: Aws,
    method: str,
    path: str,
    body: bytes = b"",
    *,
    key_id: str = "",
    secret: str = "",
    headers: dict[str, str] | None = None,
    signer: type[SigV4Auth] = SigV4Auth,
    service: str = "lambda",
    **options: Any,
) -> dict[str, str]:
    """The headers of a request that botocore signed, by default with the key of the running server."""
    secret = secret or aws.key.secret_access_key
    request = AWSRequest(method, f"{aws.server.url}{path}", headers=headers or {}, data=body)
    credentials = Credentials(key_id or aws.key.access_key_id, secret)
    signer(credentials, service, aws.server.region, **options).add_auth(request)
    return dict(request.headers.items())


def client_with_key(
    aws: Aws, service: str, key_id: str = "", secret: str = "", token: str | None = None, **options: Any
) -> Any:
    """A boto3 client, by default with the key of the running server."""
    return boto3.client(
        service,  # type: ignore[call-overload]
        endpoint_url=aws.server.url,
        region_name=aws.server.region,
        aws_access_key_id=key_id or aws.key.access_key_id,
        aws_secret_access_key=secret or aws.key.secret_access_key,
        aws_session_token=token,
        config=Config(**options),
    )


def cors_headers(response: http.client.HTTPResponse) -> list[str]:
    """The names of the response's CORS headers."""
    return [name for name in response.headers if name.lower().startswith("access-control-")]


def create_function_body(name: str) -> bytes:
    """The body of a CreateFunction request."""
    code = base64.b64encode(zip_file("def handler(event, context): return 1")).decode()
    return json.dumps(
        {
            "FunctionName": name,
            "Runtime": "python3.12",
            "Role": ROLE,
            "Handler": "app.handler",
            "Code": {"ZipFile": code},
        }
    ).encode()
