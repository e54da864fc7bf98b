"""Access keys: a new one at each start, readable by its owner only; functions sign with their role's."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

import local
from local.settings import HOST
from tests.local.aws import Aws
from tests.local.http_requests import client_with_key
from tests.support import embedded_aws
from tests.support.network import free_port


def test_only_a_function_can_sign_as_its_role(tmp_path: Path) -> None:
    settings = local.Settings(port=free_port(), directory=tmp_path / "aws", authorization=True)
    with embedded_aws.started(settings) as server:
        aws = Aws(server)
        allow = {"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}
        trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}
        role = aws.client("iam").create_role(
            RoleName="reader", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        )["Role"]["Arn"]
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
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
        name = aws.create_function(code, Role=role)
        arn = f"arn:aws:sts::000000000000:assumed-role/reader/{name}"
        assert aws.invoke(name) == ([arn, "AccessDenied"], False)
        function = aws.client("lambda").get_function_configuration(FunctionName=name)["FunctionArn"]
        digest = hashlib.sha256(f"{function}:{role}".encode()).hexdigest()
        secret, token = (hashlib.sha256(f"{word}:{digest}".encode()).hexdigest() for word in ("secret", "token"))
        with pytest.raises(ClientError, match="UnrecognizedClientException"):
            client_with_key(aws, "s3", f"ASIA{digest[:16].upper()}", secret, token).list_buckets()


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
        Path(folder).chmod(0o755)  # like a home folder that other users can read
        settings = local.Settings(port=free_port(), directory=Path(folder) / "aws")
        with embedded_aws.started(settings):
            assert as_nobody("ls", folder).returncode == 0
            assert as_nobody("cat", str(settings.directory / "credentials.json")).returncode != 0
            assert as_nobody("ls", str(settings.work)).returncode != 0
            script = f"exec 3<>/dev/tcp/{HOST}/{settings.port}; printf {{}} >&3; head -1 <&3"
            for line in ("GET /2015-03-31/functions", "POST /_ministack/reset"):
                text = rf"'{line} HTTP/1.1\r\nHost: {HOST}:{settings.port}\r\nConnection: close\r\n\r\n'"
                assert b" 403 " in as_nobody("bash", "-c", script.format(text)).stdout
