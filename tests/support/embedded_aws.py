"""An embedded AWS for the tests of a session."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import boto3

import local


@contextmanager
def started(settings: local.Settings) -> Iterator[local.ServerInfo]:
    """Start an embedded AWS; stop it at the end of the block, even after an error."""
    server, _ = local.start(settings)
    try:
        yield server
    finally:
        local.stop(settings)


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
