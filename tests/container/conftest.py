"""A folder in place of /opt/ml, and programs of the image that read it."""

from pathlib import Path

import pytest

from operate.initial_model import write_initial_model
from tests.container.runner import Runner


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("image")


@pytest.fixture
def runner(tmp_path: Path, work: Path) -> Runner:
    return Runner(tmp_path, work)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the initial model."""
    folder = tmp_path_factory.mktemp("model")
    write_initial_model(folder)
    return folder
