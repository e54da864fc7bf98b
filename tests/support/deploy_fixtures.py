"""Fixtures: an account in this process for each test of a deployment."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy import system
from tests.support.account import empty_account
from tests.support.rehearsal import Account, build_once

IMAGE = f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/scones-dev@sha256:{'0' * 64}"


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("artefacts")


@pytest.fixture
def account(build: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    monkeypatch.setattr(system, "EVENTS_AFTER_S", 0)
    monkeypatch.setattr(system, "build_artefacts", build_once)
    # test_image.py tests the build of the image.
    for name in ("push_image", "find_image"):
        monkeypatch.setattr(system, name, lambda *_: IMAGE)
    with empty_account() as empty:
        account = Account(empty, build)
        yield account
        assert account.denied == [], "the policies of a deployer do not allow what the commands call"


@pytest.fixture
def deployed(account: Account) -> Account:
    account.deploy()
    return account
