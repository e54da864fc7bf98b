"""The stage of the contract tests."""

from collections.abc import Iterator

import pytest

from tests.contracts.lambdas import FOLDERS, Lambdas
from tests.workflow.lambda_handlers import load_handlers
from tests.workflow.moto_patches import mock_stage


@pytest.fixture(scope="module")
def lambdas() -> Iterator[Lambdas]:
    """Every Lambda, with the events of workflows that were run; hypothesis runs all its examples in this stage."""
    handlers = load_handlers(FOLDERS)
    with mock_stage(handlers) as stage:
        created = Lambdas(stage, handlers)
        created.collect()
        yield created
