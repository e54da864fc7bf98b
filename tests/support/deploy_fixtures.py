"""Fixtures: an account in this process for each test of a deployment."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy import system
from tests.support.account import empty_account
from tests.support.rehearsal import Account, build_once


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("artefacts")


@pytest.fixture
def account(build: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    monkeypatch.setattr(system, "EVENTS_AFTER_S", 0)
    monkeypatch.setattr(system, "build_artefacts", build_once)
    with empty_account() as empty:
        yield Account(empty, build)


@pytest.fixture
def deployed(account: Account) -> Account:
    account.deploy()
    return account
