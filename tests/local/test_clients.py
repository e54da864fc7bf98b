"""Clients use the embedded AWS regardless of environment variables and configuration files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import local
from local import clients
from local.lifecycle import ServerInfo
from tests.local.aws import Aws
from tests.support import embedded_aws
from tests.support.network import free_port

CONFIGURATION = """
[default]
region = us-east-1
endpoint_url = http://127.0.0.1:9
ca_bundle = /nonexistent
services = elsewhere
s3 =
    addressing_style = virtual

[services elsewhere]
s3 =
    endpoint_url = http://127.0.0.1:9
"""
CALLER_VARIABLES = [
    {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9", "NO_PROXY": "intranet"},
    {"HTTPS_PROXY": "http://127.0.0.1:9", "ALL_PROXY": "socks5://127.0.0.1:9"},
    {"AWS_PROFILE": "work"},
    {"AWS_DEFAULT_PROFILE": "work"},
    {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"},
    {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"},
    {"AWS_ENDPOINT_URL_SFN": "http://127.0.0.1:9", "AWS_ENDPOINT_URL_SQS": "http://127.0.0.1:9"},
    {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
    {"AWS_SESSION_TOKEN": "token"},
    {"AWS_ACCESS_KEY_ID": "theirs", "AWS_SECRET_ACCESS_KEY": "theirs"},
    {"AWS_CA_BUNDLE": "/nonexistent", "REQUESTS_CA_BUNDLE": "/nonexistent"},
    {"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"},
    {"AWS_USE_FIPS_ENDPOINT": "true"},
    {"AWS_USE_DUALSTACK_ENDPOINT": "true"},
    {"AWS_ROLE_ARN": "arn:aws:iam::111122223333:role/x", "AWS_WEB_IDENTITY_TOKEN_FILE": "/nonexistent"},
    {"AWS_CONFIG_FILE": "configuration"},
    {"AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", "BOTO_CONFIG": "/nonexistent"},
    {"AWS_MAX_ATTEMPTS": "none"},
]
PROGRAM = """
import boto3, local
local.use(local.running())
boto3.client("s3").create_bucket(Bucket="clients", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
boto3.client("s3").list_objects_v2(Bucket="clients")
boto3.client("sqs").list_queues()
boto3.client("stepfunctions").list_state_machines()
print(boto3.client("sts").get_caller_identity()["Account"], boto3.client("s3").meta.region_name)
boto3.client("s3").delete_bucket(Bucket="clients")
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder with an AWS configuration for other endpoints."""
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text(CONFIGURATION)
    return tmp_path


def caller(aws: Aws, home: Path, variables: dict[str, str]) -> dict[str, str]:
    """An environment with `variables` and the settings for the embedded AWS of these tests."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    chosen = {name: value.replace("configuration", str(home / ".aws" / "config")) for name, value in variables.items()}
    address = {"LOCAL_AWS_PORT": str(aws.server.port), "LOCAL_AWS_DIR": str(aws.server.directory)}
    return {**clean, "HOME": str(home), **address, **chosen}


@pytest.mark.parametrize("variables", CALLER_VARIABLES, ids=str)
def test_no_variable_of_the_caller_changes_the_endpoint(aws: Aws, home: Path, variables: dict[str, str]) -> None:
    environment = caller(aws, home, variables)
    ran = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == ["000000000000", aws.server.region]


def test_a_proxy_is_kept_for_other_hosts(aws: Aws) -> None:
    given = {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "intranet", "HOME": "/home/ada"}
    environment = clients.environment(aws.server, given)
    assert environment["HTTPS_PROXY"] == "http://proxy:3128"
    assert environment["no_proxy"] == environment["NO_PROXY"] == "intranet,127.0.0.1,localhost"
    assert environment["HOME"] == "/home/ada"


def test_a_function_does_not_read_the_configuration_of_the_user(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(home))
    settings = local.Settings(port=free_port(), authorization=False, directory=home / "aws")
    with embedded_aws.started(settings) as server:
        aws = Aws(server)
        code = """
            import boto3
            def handler(event, context):
                return [bucket["Name"] for bucket in boto3.client("s3").list_buckets()["Buckets"]]
        """
        bucket = aws.create_bucket()
        assert aws.invoke(aws.create_function(code)) == ([bucket], False)


def shell(script: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    export_credentials = f'eval "$({sys.executable} -m local credentials)"'
    return subprocess.run(
        ["sh", "-ec", f"{export_credentials}\n{script}"], env=environment, capture_output=True, text=True, timeout=120
    )


@pytest.mark.skipif(shutil.which("aws") is None, reason="the AWS CLI is not installed")
def test_the_aws_cli_works_with_the_exports(aws: Aws, home: Path) -> None:
    environment = caller(aws, home, {"AWS_PROFILE": "work", "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"})
    environment |= {"HTTP_PROXY": "http://127.0.0.1:9", "AWS_SESSION_TOKEN": "it's $theirs"}
    definition = '{"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}'
    script = f"""
        aws s3 mb s3://from-the-cli
        head -c 20000000 /dev/urandom > large
        aws s3 cp large s3://from-the-cli/large
        aws s3 cp s3://from-the-cli/large again && cmp large again
        aws s3 ls s3://from-the-cli
        curl --silent --fail "$(aws s3 presign s3://from-the-cli/large)" | cmp large -
        aws stepfunctions create-state-machine --name from-the-cli --role-arn arn:aws:iam::000000000000:role/x \\
            --definition '{definition}'
        aws stepfunctions list-state-machines
        aws --endpoint-url {aws.server.url} sagemaker list-models
    """
    ran = shell(f"cd {home}\n{script}", environment)
    assert ran.returncode == 0, ran.stderr
    assert "20000000 large" in ran.stdout
    assert "stateMachine:from-the-cli" in ran.stdout
    assert '"Models"' in ran.stdout


def test_credentials_of_a_stopped_server_are_an_error(home: Path) -> None:
    stopped = ServerInfo(0, free_port(), "eu-west-1", home / "aws")
    environment = {**os.environ, "LOCAL_AWS_PORT": str(stopped.port), "LOCAL_AWS_DIR": str(stopped.directory)}
    command = [sys.executable, "-m", "local", "credentials"]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "make up" in ran.stderr
