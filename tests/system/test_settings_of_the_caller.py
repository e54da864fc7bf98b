"""Commands use the embedded AWS regardless of environment variables for other accounts and networks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import local
from deploy.outputs import Deployed
from deploy.target import Target

COMPANY_NETWORK = {
    "HTTP_PROXY": "http://127.0.0.1:9",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "ALL_PROXY": "http://127.0.0.1:9",
    "NO_PROXY": "intranet",
    "AWS_CA_BUNDLE": "/nonexistent",
}
OTHER_TOOLS = {
    "AWS_PROFILE": "work",
    "AWS_DEFAULT_PROFILE": "work",
    "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
    "AWS_ENDPOINT_URL_CLOUDFORMATION": "http://127.0.0.1:9",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_SESSION_TOKEN": "token",
}


def command(target: Target, server: local.ServerInfo, *arguments: str, **variables: str) -> str:
    """Run a command with `variables` in its environment; returns what it printed."""
    address = {"LOCAL_AWS_PORT": str(server.port), "LOCAL_AWS_DIR": str(server.directory)}
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    ran = subprocess.run(
        [sys.executable, "-m", *arguments],
        env={**clean, **address, "TARGET": target.kind, "STAGE": target.stage, **variables},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.mark.parametrize("variables", [COMPANY_NETWORK, OTHER_TOOLS], ids=["a company network", "other AWS tools"])
def test_no_variable_of_the_caller_changes_the_target_of_a_command(
    variables: dict[str, str], embedded_aws: local.ServerInfo, target: Target, deployed: Deployed
) -> None:
    text = command(target, embedded_aws, "deploy", "outputs", **variables)
    assert f"Embedded AWS at {embedded_aws.url}" in text
    assert deployed.uploads_bucket in text
    assert "\nNext: " in command(target, embedded_aws, "operate", "status", **variables)
