"""An embedded AWS for the tests of a session."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import boto3
import psutil

import local


@contextmanager
def started(settings: local.Settings) -> Iterator[local.ServerInfo]:
    """Start an embedded AWS; stop it at the end of the block, even after an error."""
    server, _ = local.start(settings)
    try:
        yield server
    finally:
        local.stop(settings)


def restart(settings: local.Settings, *, kill: bool) -> local.ServerInfo:
    """Stop a running embedded AWS, by SIGKILL with `kill`, and start it again on its port, inside of `used`."""
    server = local.running(settings)
    assert server, "the embedded AWS is not running"
    if kill:
        children = psutil.Process(server.pid).children(recursive=True)
        psutil.Process(server.pid).kill()
        for child in children:
            if child.is_running():
                child.kill()
        psutil.wait_procs(children, timeout=10)
    else:
        local.stop(settings)
    started, _ = local.start(settings)
    local.use(started)
    boto3.setup_default_session()
    return started


@contextmanager
def used(server: local.ServerInfo) -> Iterator[None]:
    """Point the boto3 clients of this process at `server` during the block."""
    before = dict(os.environ)
    local.use(server)
    boto3.setup_default_session()
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        boto3.setup_default_session()
