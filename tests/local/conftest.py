"""One embedded AWS for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import local
from tests.local.aws import Aws
from tests.support import embedded_aws
from tests.support.network import free_port


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    with embedded_aws.started(
        local.Settings(port=free_port(), authorization=False, directory=tmp_path_factory.mktemp("aws"))
    ) as server:
        yield Aws(server)
