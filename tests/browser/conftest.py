"""One embedded AWS with a deployed stage for all tests of the console."""

import os
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
import uvicorn
from playwright.sync_api import Browser, sync_playwright

import local
from console.answers import choices
from console.aws import Aws
from console.web.app import create_app
from deploy import system
from deploy.outputs import Deployed
from deploy.target import Target
from tests.browser.console_world import Stage, eventually

REGION = "eu-west-1"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    settings = local.Settings(port=free_port(), directory=tmp_path_factory.mktemp("aws"), region=REGION)
    server, _ = local.start(settings)
    before = dict(os.environ)
    local.use(server)
    os.environ.update(settings.as_environment())
    boto3.setup_default_session()
    yield Deployed.of(system.deploy(Target("local", "test"), progress=lambda line: None))
    os.environ.clear()
    os.environ.update(before)
    boto3.setup_default_session()
    local.stop(settings)


@pytest.fixture(scope="session")
def whole_stage(deployed: Deployed) -> Stage:
    return Stage(deployed, Aws())


@pytest.fixture
def stage(whole_stage: Stage) -> Stage:
    """The stage with nothing in its queues."""
    whole_stage.empty()
    return whole_stage


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, or whichever is on the path. Without one these tests are skipped."""
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not executable:
        pytest.skip("no Chromium is installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def served(whole_stage: Stage) -> Iterator[str]:
    """The console's address."""
    with serving(whole_stage) as address:
        yield address


@contextmanager
def serving(stage: Stage, **options: Any) -> Iterator[str]:
    port = free_port()
    hosts = [f"127.0.0.1:{port}", f"localhost:{port}"]
    app = create_app(stage.resources, stage.aws, choices(), hosts=hosts, **options)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", access_log=False))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    eventually(lambda: server.started)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(timeout=20)
