"""Requests need a valid signature; every signed client works."""

from __future__ import annotations

import datetime
import hashlib
import hmac
import os
import time
import urllib.error
import urllib.request
from typing import Any

import pytest
import urllib3
from botocore.auth import S3SigV4Auth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from ministack.core import sigv4

from tests.local.aws import ROLE, Aws
from tests.local.http_requests import client_with_key, create_function_body, send, signed_headers


@pytest.mark.parametrize("service", ["s3", "sqs", "iam", "dynamodb", "stepfunctions", "sagemaker", "lambda", "sts"])
@pytest.mark.parametrize("key_id", ["", "test", "000000000000", "AKIAIOSFODNN7EXAMPLE"])
def test_an_invalid_signature_is_a_client_error_of_the_sdk(aws: Aws, service: str, key_id: str) -> None:
    secret = aws.key.secret_access_key if key_id in ("test", "AKIAIOSFODNN7EXAMPLE") else "made-up"
    client = client_with_key(aws, service, key_id, secret)
    calls = {"s3": "list_buckets", "sqs": "list_queues", "iam": "list_users", "dynamodb": "list_tables"}
    calls |= {"stepfunctions": "list_state_machines", "sagemaker": "list_models", "lambda": "list_functions"}
    with pytest.raises(ClientError) as caught:
        getattr(client, calls.get(service, "get_caller_identity"))()
    error = caught.value.response["Error"]
    unknown = key_id in ("test", "AKIAIOSFODNN7EXAMPLE")
    assert error["Code"] == ("UnrecognizedClientException" if unknown else "SignatureDoesNotMatch")
    assert not unknown or "make -s credentials" in error["Message"]


def test_a_signature_is_valid_for_its_request_only(aws: Aws) -> None:
    bucket, path = aws.create_bucket(), "/2015-03-31/functions"
    body = create_function_body("changed")
    good = signed_headers(aws, "POST", path, body)
    assert send(aws, "POST", path, create_function_body("another"), good).status == 403
    assert send(aws, "PUT", path, body, good).status == 403
    assert send(aws, "POST", f"{path}?x=1", body, good).status == 403
    assert send(aws, "POST", path, body, {**good, "X-Amz-Target": "AWSEvents.ListRules"}).status == 403
    assert (
        send(aws, "POST", f"{path}?X-Amz-Credential=test/20260101/eu-west-1/lambda/aws4_request", body, good).status
        == 403
    )
    put = signed_headers(aws, "PUT", f"/{bucket}/key", b"one", service="s3", signer=S3SigV4Auth)
    assert send(aws, "PUT", f"/{bucket}/key", b"two", put).status == 403
    assert send(aws, "PUT", f"/{bucket}/key", b"one", put).status == 200


@pytest.mark.parametrize(("minutes", "status"), [(-16, 403), (-14, 200), (14, 200), (16, 403)])
def test_a_signature_is_valid_for_fifteen_minutes(
    aws: Aws, minutes: int, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    then = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=minutes)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: then)
    path = "/2015-03-31/functions"
    assert send(aws, "GET", path, headers=signed_headers(aws, "GET", path)).status == status


@pytest.mark.parametrize("version", ["s3v4", None], ids=["version 4", "boto3's default, version 2"])
def test_a_presigned_url_gives_access_to_one_object_until_it_expires(aws: Aws, version: str | None) -> None:
    bucket = aws.create_bucket()
    s3 = client_with_key(aws, "s3", signature_version=version)
    for key in ("a name with + and ü", "other"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"content")
    where = {"Bucket": bucket, "Key": "a name with + and ü"}
    url = s3.generate_presigned_url("get_object", Params=where, ExpiresIn=60)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=20) as response:
        assert response.read() == b"content"
    path = url.removeprefix(aws.server.url)
    assert send(aws, "GET", path).status == 200
    assert send(aws, "GET", path, headers={"Sec-Fetch-Site": "none"}).status == 200
    assert send(aws, "DELETE", path).status == 403
    assert send(aws, "GET", path.replace("a%20name%20with%20%2B%20and%20%C3%BC", "other")).status == 403
    assert send(aws, "GET", path, headers={"X-Amz-Target": "AWSEvents.ListRules"}).status == 403
    assert send(aws, "GET", f"{path}&Action=ListUsers&Version=2010-05-08").status == 403
    expired = s3.generate_presigned_url("get_object", Params=where, ExpiresIn=-1 if version is None else 1)
    time.sleep(0 if version is None else 2.1)
    assert send(aws, "GET", expired.removeprefix(aws.server.url)).status == 403


def test_a_presigned_upload_and_a_presigned_call_of_another_service_work(aws: Aws) -> None:
    bucket = aws.create_bucket()
    s3 = client_with_key(aws, "s3", signature_version="s3v4")
    url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "k"}).removeprefix(aws.server.url)
    assert send(aws, "PUT", url, b"content").status == 200
    request = AWSRequest("GET", f"{aws.server.url}/?Action=GetCallerIdentity&Version=2011-06-15")
    key = Credentials(aws.key.access_key_id, aws.key.secret_access_key)
    SigV4QueryAuth(key, "sts", aws.server.region, expires=60).add_auth(request)
    path = str(request.url).removeprefix(aws.server.url)
    assert send(aws, "GET", path).status == 200
    assert send(aws, "GET", path.replace("GetCallerIdentity", "GetSessionToken")).status == 403


@pytest.mark.parametrize("size", [0, 3, 20_000_000])
@pytest.mark.parametrize("payload_signing", [True, False])
def test_bodies_of_every_size_arrive_whole(aws: Aws, size: int, payload_signing: bool) -> None:
    s3 = client_with_key(aws, "s3", s3={"payload_signing_enabled": payload_signing})
    bucket, body = aws.create_bucket(), os.urandom(size)
    s3.put_object(Bucket=bucket, Key="k", Body=body, Metadata={"name": "a  b"}, ContentType="text/plain")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == body


@pytest.mark.parametrize("changed", [False, True])
def test_a_body_that_is_signed_in_chunks_is_verified(aws: Aws, changed: bool) -> None:
    """Other SDKs upload like this ("Signature calculations: transferring payload in multiple chunks", S3 API)."""
    bucket, content = aws.create_bucket(), b"x" * 1000
    headers = {"x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "x-amz-decoded-content-length": "1000"}
    headers["content-encoding"] = "aws-chunked"
    chunk = (
        len(b"3e8;chunk-signature=" + b"0" * 64 + b"\r\n" + content + b"\r\n" + b"0;chunk-signature=" + b"0" * 64) + 4
    )
    headers["content-length"] = str(chunk)

    class Chunks(SigV4Auth):  # type: ignore[misc]
        def _normalize_url_path(self, path: str) -> str:
            return path

    request = AWSRequest("PUT", f"{aws.server.url}/{bucket}/k", headers=headers)
    Chunks(Credentials(aws.key.access_key_id, aws.key.secret_access_key), "s3", aws.server.region).add_auth(request)
    date = request.context["timestamp"]
    secret_key = sigv4.derive_signing_key(aws.key.secret_access_key, date[:8], aws.server.region, "s3")
    previous, parts = request.headers["Authorization"].rpartition("=")[2], []
    for part in (content, b""):
        text = ["AWS4-HMAC-SHA256-PAYLOAD", date, f"{date[:8]}/{aws.server.region}/s3/aws4_request", previous]
        text += [hashlib.sha256(b"").hexdigest(), hashlib.sha256(part).hexdigest()]
        previous = hmac.new(secret_key, "\n".join(text).encode(), hashlib.sha256).hexdigest()
        parts.append(f"{len(part):x};chunk-signature={previous}\r\n".encode() + part + b"\r\n")
    body = b"".join(parts)
    if changed:
        body = body.replace(b"xx\r\n", b"xy\r\n")
    answer = send(aws, "PUT", f"/{bucket}/k", body, dict(request.headers.items()))
    assert answer.status == (403 if changed else 200)
    if not changed:
        assert aws.client("s3").get_object(Bucket=bucket, Key="k")["Body"].read() == content


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("x-amz-signature", "0" * 64),
        ("x-amz-signature", ""),
        ("policy", "e30="),
        ("x-amz-credential", "AKIAUNKNOWN/20261128/eu-west-1/s3/aws4_request"),
    ],
)
def test_a_form_without_a_valid_signature_is_refused(aws: Aws, field: str, value: str) -> None:
    bucket = aws.create_bucket()
    form = client_with_key(aws, "s3", signature_version="s3v4").generate_presigned_post(bucket, "k")
    file = {"file": ("k", b"content")}

    def status(fields: dict[str, Any]) -> int:
        return urllib3.request("POST", form["url"], fields={**fields, **file}).status

    assert status(form["fields"]) == 204
    assert status({**form["fields"], field: value}) == 403
    assert status({"key": "k"}) == 403


def test_users_and_sessions_sign_with_their_own_secrets(aws: Aws) -> None:
    def identity(key_id: str, secret: str, token: str | None = None) -> str:
        return str(client_with_key(aws, "sts", key_id, secret, token).get_caller_identity()["Arn"])

    iam = aws.client("iam")
    iam.create_user(UserName="ada")
    key = iam.create_access_key(UserName="ada")["AccessKey"]
    identity(key["AccessKeyId"], key["SecretAccessKey"])
    session = aws.client("sts").assume_role(RoleArn=ROLE, RoleSessionName="session")["Credentials"]
    session_key = session["AccessKeyId"], session["SecretAccessKey"]
    identity(*session_key, session["SessionToken"])
    for wrong in (
        (key["AccessKeyId"], aws.key.secret_access_key),
        (key["AccessKeyId"], key["SecretAccessKey"], "token"),
        session_key,
        (*session_key, "another token"),
        (session["AccessKeyId"], aws.key.secret_access_key, session["SessionToken"]),
    ):
        with pytest.raises(ClientError):
            identity(*wrong)
    iam.update_access_key(UserName="ada", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    with pytest.raises(ClientError):
        identity(key["AccessKeyId"], key["SecretAccessKey"])
