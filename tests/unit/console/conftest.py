"""One stage in moto for the tests of the console."""

from collections.abc import Iterator

import pytest

from deploy.outputs import Deployed
from tests.unit import model_stage


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployed]:
    """The stage without a model and with empty queues."""
    with model_stage.stage(monkeypatch) as deployed:
        yield deployed
