"""No web page, no other account and nobody with a made-up signature may use the port; every signed client may."""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import http.client
import json
import os
import stat
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from ministack.core import sigv4

import local
from local.settings import HOST
from tests.local.aws import ROLE, Aws, zipped
from tests.support.network import free_port

PATHS_OF_MINISTACK = [
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
OF_A_PAGE = [
    {"Origin": "https://example.com"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:8080"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Host": "rebound.example.com"},
    {"Host": "127.0.0.1"},
    {"Host": "127.0.0.1.example.com:4566"},
]


def ask(
    aws: Aws, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(HOST, aws.server.port, timeout=20)
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    response.read()
    connection.close()
    return response


def signed(
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
    """The headers of a request as botocore signs it, by default with the key of the running server."""
    secret = secret or aws.key.secret_access_key
    request = AWSRequest(method, f"{aws.server.url}{path}", headers=headers or {}, data=body)
    credentials = Credentials(key_id or aws.key.access_key_id, secret)
    signer(credentials, service, aws.server.region, **options).add_auth(request)
    return dict(request.headers.items())


def client(aws: Aws, service: str, key_id: str = "", secret: str = "", token: str | None = None, **options: Any) -> Any:
    """A client of boto3, by default with the key of the running server."""
    return boto3.client(
        service,  # type: ignore[call-overload]
        endpoint_url=aws.server.url,
        region_name=aws.server.region,
        aws_access_key_id=key_id or aws.key.access_key_id,
        aws_secret_access_key=secret or aws.key.secret_access_key,
        aws_session_token=token,
        config=Config(**options),
    )


def cors(response: http.client.HTTPResponse) -> list[str]:
    return [name for name in response.headers if name.lower().startswith("access-control-")]


def function_as_json(name: str) -> bytes:
    code = base64.b64encode(zipped("def handler(event, context): return 1")).decode()
    return json.dumps(
        {
            "FunctionName": name,
            "Runtime": "python3.12",
            "Role": ROLE,
            "Handler": "app.handler",
            "Code": {"ZipFile": code},
        }
    ).encode()


def test_a_page_cannot_create_and_run_a_function_with_a_form(aws: Aws) -> None:
    """A POST of text/plain needs no preflight; ministack created the function, and ran it, without any credentials."""
    page = {"Origin": "https://example.com", "Sec-Fetch-Site": "cross-site", "Content-Type": "text/plain"}
    for headers in (page, {"Content-Type": "text/plain"}):
        made = ask(aws, "POST", "/2015-03-31/functions", function_as_json("from-a-page"), headers)
        run = ask(aws, "POST", "/2015-03-31/functions/from-a-page/invocations", b"{}", headers)
        assert (made.status, run.status) == (403, 403)
        assert not cors(made)
    names = [function["FunctionName"] for function in aws.client("lambda").list_functions()["Functions"]]
    assert "from-a-page" not in names


@pytest.mark.parametrize("headers", OF_A_PAGE, ids=str)
def test_what_only_a_page_sends_is_refused_even_when_it_is_signed(aws: Aws, headers: dict[str, str]) -> None:
    path = "/2015-03-31/functions"
    assert ask(aws, "GET", path, headers=signed(aws, "GET", path)).status == 200
    refused = ask(aws, "GET", path, headers={**signed(aws, "GET", path, headers=headers), **headers})
    assert refused.status == 403
    assert not cors(refused)


@pytest.mark.parametrize("path", ["/", "/2015-03-31/functions", "/bucket/key"])
def test_a_preflight_is_refused(aws: Aws, path: str) -> None:
    asking = {"Origin": "https://example.com", "Access-Control-Request-Method": "POST"}
    for headers in (asking, {}, signed(aws, "OPTIONS", path)):
        answer = ask(aws, "OPTIONS", path, headers=headers)
        assert answer.status == 403
        assert not cors(answer)


def test_an_answer_allows_no_other_origin(aws: Aws) -> None:
    bucket = aws.bucket()
    rule = {"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}
    aws.client("s3").put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})
    for service, path in (("lambda", "/2015-03-31/functions"), ("s3", f"/{bucket}")):
        signer = S3SigV4Auth if service == "s3" else SigV4Auth
        answer = ask(aws, "GET", path, headers=signed(aws, "GET", path, service=service, signer=signer))
        assert answer.status == 200
        assert not cors(answer)


def test_a_web_socket_is_refused(aws: Aws) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    upgrade["Sec-WebSocket-Key"] = "dGhlIHNhbXBsZSBub25jZQ=="
    assert ask(aws, "GET", "/_aws/execute-api/api/stage", headers=upgrade).status == 403


@pytest.mark.parametrize(("method", "path"), PATHS_OF_MINISTACK, ids=str)
def test_no_path_answers_without_credentials(aws: Aws, method: str, path: str) -> None:
    bucket = aws.bucket()
    made_up = signed(aws, method, path, secret="made-up")  # noqa: S106
    for headers in ({}, made_up):
        answer = ask(aws, method, path, headers=headers)
        assert answer.status == 403
        assert not cors(answer)
    assert bucket in [found["Name"] for found in aws.client("s3").list_buckets()["Buckets"]]


@pytest.mark.parametrize("service", ["s3", "sqs", "iam", "dynamodb", "stepfunctions", "sagemaker", "lambda", "sts"])
@pytest.mark.parametrize("key_id", ["", "test", "000000000000", "AKIAIOSFODNN7EXAMPLE"])
def test_a_made_up_signature_is_refused_in_words_that_the_sdk_reads(aws: Aws, service: str, key_id: str) -> None:
    secret = aws.key.secret_access_key if key_id in ("test", "AKIAIOSFODNN7EXAMPLE") else "made-up"
    asking = client(aws, service, key_id, secret)
    calls = {"s3": "list_buckets", "sqs": "list_queues", "iam": "list_users", "dynamodb": "list_tables"}
    calls |= {"stepfunctions": "list_state_machines", "sagemaker": "list_models", "lambda": "list_functions"}
    with pytest.raises(ClientError) as caught:
        getattr(asking, calls.get(service, "get_caller_identity"))()
    error = caught.value.response["Error"]
    unknown = key_id in ("test", "AKIAIOSFODNN7EXAMPLE")
    assert error["Code"] == ("UnrecognizedClientException" if unknown else "SignatureDoesNotMatch")
    assert not unknown or "make -s credentials" in error["Message"]


def test_a_signature_holds_for_its_request_only(aws: Aws) -> None:
    bucket, path = aws.bucket(), "/2015-03-31/functions"
    body = function_as_json("changed")
    good = signed(aws, "POST", path, body)
    assert ask(aws, "POST", path, function_as_json("another"), good).status == 403
    assert ask(aws, "PUT", path, body, good).status == 403
    assert ask(aws, "POST", f"{path}?x=1", body, good).status == 403
    assert ask(aws, "POST", path, body, {**good, "X-Amz-Target": "AWSEvents.ListRules"}).status == 403
    assert (
        ask(aws, "POST", f"{path}?X-Amz-Credential=test/20260101/eu-west-1/lambda/aws4_request", body, good).status
        == 403
    )
    put = signed(aws, "PUT", f"/{bucket}/key", b"one", service="s3", signer=S3SigV4Auth)
    assert ask(aws, "PUT", f"/{bucket}/key", b"two", put).status == 403
    assert ask(aws, "PUT", f"/{bucket}/key", b"one", put).status == 200


@pytest.mark.parametrize(("minutes", "status"), [(-16, 403), (-14, 200), (14, 200), (16, 403)])
def test_a_signature_holds_for_fifteen_minutes(
    aws: Aws, minutes: int, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    then = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=minutes)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: then)
    path = "/2015-03-31/functions"
    assert ask(aws, "GET", path, headers=signed(aws, "GET", path)).status == status


@pytest.mark.parametrize("version", ["s3v4", None], ids=["version 4", "boto3's default, version 2"])
def test_a_presigned_url_opens_one_object_for_its_time(aws: Aws, version: str | None) -> None:
    bucket = aws.bucket()
    s3 = client(aws, "s3", signature_version=version)
    for key in ("a name with + and ü", "other"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"content")
    where = {"Bucket": bucket, "Key": "a name with + and ü"}
    url = s3.generate_presigned_url("get_object", Params=where, ExpiresIn=60)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=20) as response:
        assert response.read() == b"content"
    path = url.removeprefix(aws.server.url)
    assert ask(aws, "GET", path).status == 200
    assert ask(aws, "GET", path, headers={"Sec-Fetch-Site": "none"}).status == 200
    assert ask(aws, "DELETE", path).status == 403
    assert ask(aws, "GET", path.replace("a%20name%20with%20%2B%20and%20%C3%BC", "other")).status == 403
    assert ask(aws, "GET", path, headers={"X-Amz-Target": "AWSEvents.ListRules"}).status == 403
    assert ask(aws, "GET", f"{path}&Action=ListUsers&Version=2010-05-08").status == 403
    expired = s3.generate_presigned_url("get_object", Params=where, ExpiresIn=-1 if version is None else 1)
    time.sleep(0 if version is None else 2.1)
    assert ask(aws, "GET", expired.removeprefix(aws.server.url)).status == 403


def test_a_presigned_upload_and_a_presigned_call_of_another_service_work(aws: Aws) -> None:
    bucket = aws.bucket()
    s3 = client(aws, "s3", signature_version="s3v4")
    url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "k"}).removeprefix(aws.server.url)
    assert ask(aws, "PUT", url, b"content").status == 200
    request = AWSRequest("GET", f"{aws.server.url}/?Action=GetCallerIdentity&Version=2011-06-15")
    key = Credentials(aws.key.access_key_id, aws.key.secret_access_key)
    SigV4QueryAuth(key, "sts", aws.server.region, expires=60).add_auth(request)
    path = str(request.url).removeprefix(aws.server.url)
    assert ask(aws, "GET", path).status == 200
    assert ask(aws, "GET", path.replace("GetCallerIdentity", "GetSessionToken")).status == 403


@pytest.mark.parametrize("size", [0, 3, 20_000_000])
@pytest.mark.parametrize("payload_signing", [True, False])
def test_bodies_of_every_size_arrive_whole(aws: Aws, size: int, payload_signing: bool) -> None:
    s3 = client(aws, "s3", s3={"payload_signing_enabled": payload_signing})
    bucket, body = aws.bucket(), os.urandom(size)
    s3.put_object(Bucket=bucket, Key="k", Body=body, Metadata={"name": "a  b"}, ContentType="text/plain")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == body


@pytest.mark.parametrize("changed", [False, True])
def test_a_body_that_is_signed_in_chunks_is_verified(aws: Aws, changed: bool) -> None:
    """As SDKs other than boto3 upload (Signature calculations: transferring payload in multiple chunks, S3 API)."""
    bucket, content = aws.bucket(), b"x" * 1000
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
    answer = ask(aws, "PUT", f"/{bucket}/k", body, dict(request.headers.items()))
    assert answer.status == (403 if changed else 200)
    if not changed:
        assert aws.client("s3").get_object(Bucket=bucket, Key="k")["Body"].read() == content


def test_users_and_sessions_sign_with_secrets_of_their_own(aws: Aws) -> None:
    def identity(key_id: str, secret: str, token: str | None = None) -> str:
        return str(client(aws, "sts", key_id, secret, token).get_caller_identity()["Arn"])

    iam = aws.client("iam")
    iam.create_user(UserName="ada")
    key = iam.create_access_key(UserName="ada")["AccessKey"]
    identity(key["AccessKeyId"], key["SecretAccessKey"])
    session = aws.client("sts").assume_role(RoleArn=ROLE, RoleSessionName="session")["Credentials"]
    held = session["AccessKeyId"], session["SecretAccessKey"]
    identity(*held, session["SessionToken"])
    for wrong in (
        (key["AccessKeyId"], aws.key.secret_access_key),
        (key["AccessKeyId"], key["SecretAccessKey"], "token"),
        held,
        (*held, "another token"),
        (session["AccessKeyId"], aws.key.secret_access_key, session["SessionToken"]),
    ):
        with pytest.raises(ClientError):
            identity(*wrong)
    iam.update_access_key(UserName="ada", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    with pytest.raises(ClientError):
        identity(key["AccessKeyId"], key["SecretAccessKey"])


def test_a_function_signs_as_its_role_and_nobody_else_can(tmp_path: Path) -> None:
    settings = local.Settings(port=free_port(), directory=tmp_path / "aws", authorization=True)
    server, _started = local.start(settings)
    try:
        aws = Aws(server)
        may = {"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}
        trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}
        role = aws.client("iam").create_role(
            RoleName="reader", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        )["Role"]["Arn"]
        policy = json.dumps({"Version": "2012-10-17", "Statement": [may]})
        aws.client("iam").put_role_policy(RoleName="reader", PolicyName="p", PolicyDocument=policy)
        code = """
            import boto3
            def handler(event, context):
                boto3.client("s3").list_buckets()
                try:
                    boto3.client("sqs").list_queues()
                except Exception as error:
                    return [boto3.client("sts").get_caller_identity()["Arn"], error.response["Error"]["Code"]]
        """
        name = aws.function(code, Role=role)
        arn = f"arn:aws:sts::000000000000:assumed-role/reader/{name}"
        assert aws.invoke(name) == ([arn, "AccessDenied"], False)
        function = aws.client("lambda").get_function_configuration(FunctionName=name)["FunctionArn"]
        digest = hashlib.sha256(f"{function}:{role}".encode()).hexdigest()
        secret, token = (hashlib.sha256(f"{word}:{digest}".encode()).hexdigest() for word in ("secret", "token"))
        with pytest.raises(ClientError, match="UnrecognizedClientException"):
            client(aws, "s3", f"ASIA{digest[:16].upper()}", secret, token).list_buckets()
    finally:
        local.stop(settings)


def test_each_start_has_a_key_of_its_own_that_only_its_user_can_read(tmp_path: Path) -> None:
    settings = local.Settings(port=free_port(), directory=tmp_path / "aws")
    keys = []
    for _ in range(2):
        server, _started = local.start(settings)
        keys.append(server.access_key())
        files = [settings.directory, *settings.directory.rglob("*")]
        modes = {path: stat.S_IMODE(path.stat().st_mode) for path in files}
        assert modes[settings.directory] == modes[settings.work] == 0o700
        assert modes[settings.directory / "credentials.json"] == 0o600
        local.stop(settings)
        assert not (settings.directory / "credentials.json").exists()
    assert keys[0] != keys[1]
    assert len(keys[0].secret_access_key) == 40


NOBODY = 65534


def as_nobody(*command: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, user=NOBODY, group=NOBODY, extra_groups=[], cwd="/", capture_output=True, timeout=30)


@pytest.mark.skipif(os.getuid() != 0, reason="only root may start a process as another account")
def test_another_account_can_neither_read_the_key_nor_use_the_port() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # as a home folder that others may look into
        settings = local.Settings(port=free_port(), directory=Path(folder) / "aws")
        local.start(settings)
        try:
            assert as_nobody("ls", folder).returncode == 0
            assert as_nobody("cat", str(settings.directory / "credentials.json")).returncode != 0
            assert as_nobody("ls", str(settings.work)).returncode != 0
            script = f"exec 3<>/dev/tcp/{HOST}/{settings.port}; printf {{}} >&3; head -1 <&3"
            for line in ("GET /2015-03-31/functions", "POST /_ministack/reset"):
                text = rf"'{line} HTTP/1.1\r\nHost: {HOST}:{settings.port}\r\nConnection: close\r\n\r\n'"
                assert b" 403 " in as_nobody("bash", "-c", script.format(text)).stdout
        finally:
            local.stop(settings)
