"""One embedded AWS with a deployed stage for all tests of the console."""

import os
import socket
from collections.abc import Iterator

import boto3
import pytest

import local
from deploy import system
from deploy.target import Target
from review.resources import Aws, Resources
from tests.browser.console_world import Stage

REGION = "eu-west-1"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Resources]:
    settings = local.Settings(port=free_port(), directory=tmp_path_factory.mktemp("aws"), region=REGION)
    server, _ = local.start(settings)
    before = dict(os.environ)
    os.environ.update(
        AWS_ENDPOINT_URL=server.url,
        AWS_ACCESS_KEY_ID="test",
        AWS_SECRET_ACCESS_KEY="test",  # noqa: S106  # what the embedded AWS accepts
        AWS_REGION=REGION,
        AWS_DEFAULT_REGION=REGION,
    )
    boto3.setup_default_session()
    yield Resources.from_outputs(system.deploy(Target("local", "test"), progress=lambda line: None))
    os.environ.clear()
    os.environ.update(before)
    boto3.setup_default_session()
    local.stop(settings)


@pytest.fixture(scope="session")
def whole_stage(deployed: Resources) -> Stage:
    return Stage(deployed, Aws())


@pytest.fixture
def stage(whole_stage: Stage) -> Stage:
    """The stage with nothing in its queues."""
    whole_stage.empty()
    return whole_stage
