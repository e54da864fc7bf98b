"""One embedded AWS with a deployed stage for all tests of the console, and a Chromium."""

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import boto3
import pytest
import uvicorn
from playwright.sync_api import Browser, expect, sync_playwright

import local
from console.answers import choices
from console.aws import Aws
from console.identity import Reviewer
from console.web.access import LocalAccess
from console.web.app import create_app
from console.web.logins import Logins
from console.web.services import Services
from deploy import system
from deploy.outputs import Deployed
from deploy.target import Target
from tests.browser.deployed_stage import Stage
from tests.support import embedded_aws
from tests.support.network import free_port
from tests.support.waiting import eventually

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


# Four groups of tests share the processors of CI.
expect.set_options(timeout=15_000)


@pytest.fixture(scope="session")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    settings = local.Settings(port=free_port(), directory=tmp_path_factory.mktemp("aws"), region=REGION)
    with ExitStack() as cleanup:
        server, _ = local.start(settings)
        cleanup.callback(local.stop, settings)
        cleanup.callback(boto3.setup_default_session)
        cleanup.enter_context(patch.dict(os.environ))
        local.use(server)
        os.environ.update(settings.as_environment())
        boto3.setup_default_session()
        deployed = Deployed.of(system.deploy(Target("local", "test"), progress=lambda line: None))
        # They run every 15 minutes and would send the requests again that `Stage.purge_queues` deletes.
        for function in ("audit-decisions", "reconcile-photos"):
            boto3.client("events").disable_rule(Name=f"{deployed.app_name}-{function}")
        yield deployed


@pytest.fixture(scope="session")
def session_stage(deployed: Deployed) -> Stage:
    """The stage with the queues as earlier tests left them."""
    return Stage(deployed, Aws())


@pytest.fixture
def stage(session_stage: Stage) -> Stage:
    """The stage with empty queues."""
    session_stage.purge_queues()
    return session_stage


@pytest.fixture(scope="module")
def enforced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A stage on an embedded AWS that enforces IAM. The stage itself calls AWS as the root user."""
    folder = tmp_path_factory.mktemp("enforced")
    settings = local.Settings(port=free_port(), directory=folder, authorization=True)
    with embedded_aws.started(settings) as server, embedded_aws.used(server):
        deployed = Deployed.of(system.deploy(Target("local", "test"), progress=lambda line: None))
        stage = Stage(deployed, Aws())
        stage.create_endpoint()
        with pytest.MonkeyPatch.context() as environment:
            for name, value in settings.as_environment().items():
                environment.setenv(name, value)
            yield stage


@pytest.fixture
def chromium(running_chromium: Browser) -> Iterator[Browser]:
    """A Chromium whose windows are closed after the test, also after one that fails: an open one takes photos."""
    yield running_chromium
    for context in running_chromium.contexts:
        context.close()


@pytest.fixture(scope="session")
def running_chromium() -> Iterator[Browser]:
    """The Chromium that the variable CHROMIUM names or that PATH contains; without one the test is skipped."""
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not executable:
        pytest.skip("no Chromium is installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        browser.close()


@dataclass(frozen=True)
class RunningConsole:
    """A running console: its address, and what signs browsers in."""

    address: str
    logins: Logins


@pytest.fixture(scope="session")
def console(session_stage: Stage) -> Iterator[RunningConsole]:
    """A running console."""
    with serve_console(session_stage) as running:
        yield running


@contextmanager
def serve_console(stage: Stage, aws: Aws | None = None, **options: Any) -> Iterator[RunningConsole]:
    """Serve the console of the reviewer Ada, with her clients or with `aws`."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    logins = Logins(address, announce=lambda line: None)
    hosts = [f"127.0.0.1:{port}", f"localhost:{port}"]
    reviewer = Reviewer(stage.reviewer("ada").id, "Ada")
    services = Services.of(stage.deployed, aws or stage.aws_of("ada"), choices(), reviewer, **options)
    app = create_app(LocalAccess(services, logins, hosts=hosts))
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", access_log=False))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    eventually(lambda: server.started)
    try:
        yield RunningConsole(address, logins)
    finally:
        server.should_exit = True
        thread.join(timeout=20)
