"""Fixtures of the workflow tests."""

from collections.abc import Iterator

import pytest

import workflows
from tests.workflow.lambda_handlers import Handler, invoked_functions, load_handlers
from tests.workflow.moto_patches import mock_stage
from tests.workflow.retrain_stage import CHAMPION, RetrainStage
from tests.workflow.rollback_stage import RollbackStage
from tests.workflow.stage import Stage


@pytest.fixture(scope="session")
def handlers() -> dict[str, Handler]:
    """The real Lambda handlers, loaded once."""
    return load_handlers({folder for name in workflows.NAMES for folder in invoked_functions(name).values()})


@pytest.fixture
def stage(handlers: dict[str, Handler]) -> Iterator[Stage]:
    """A new stage whose endpoint answers with a confident classification."""
    with mock_stage(handlers) as created:
        yield created


@pytest.fixture
def without_champion(stage: Stage) -> RetrainStage:
    """A stage without any model."""
    return RetrainStage(stage)


@pytest.fixture
def with_champion(stage: Stage) -> RetrainStage:
    """A stage whose champion was promoted and is in service."""
    created = RetrainStage(stage)
    created.record_champion(CHAMPION)
    return created


@pytest.fixture
def three_models(stage: Stage) -> RollbackStage:
    """A stage in which three models were promoted one after the other; the third is in service."""
    return RollbackStage(stage)
