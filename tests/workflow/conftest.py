"""Fixtures of the workflow tests."""

from collections.abc import Iterator

import pytest

from tests.workflow import harness


@pytest.fixture(scope="session")
def handlers() -> dict[str, harness.Handler]:
    """The real Lambda handlers, loaded once."""
    functions = {**harness.CLASSIFY_FUNCTIONS, **harness.RETRAIN_FUNCTIONS, **harness.ROLLBACK_FUNCTIONS}
    return harness.load_handlers(list(functions.values()))


@pytest.fixture
def stage(handlers: dict[str, harness.Handler]) -> Iterator[harness.Stage]:
    """A fresh stage with an endpoint that is sure of itself."""
    with harness.aws(handlers) as fresh:
        yield fresh
