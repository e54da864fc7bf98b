"""Checks of every boto3 call, and the profiles of hypothesis: `short`, and `torture`, chosen by HYPOTHESIS_PROFILE."""

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import JSONFileLoader
from hypothesis import settings
from hypothesis.configuration import set_hypothesis_home_dir

from tests.support import checked_calls, uncalled_operations
from tests.support.examples import PROFILE, PROFILES

_load_file = JSONFileLoader.load_file


@cache
def _load_once(path: str) -> Any:
    return _load_file(JSONFileLoader(), path)


# Many tests have a session of their own, which would parse the models of its services again.
JSONFileLoader.load_file = lambda _, path: _load_once(path)

# Hypothesis caches the constants of the code there.
set_hypothesis_home_dir(Path(__file__).parents[1] / "build" / "hypothesis")
for name, profile in PROFILES.items():
    settings.register_profile(name, profile)
settings.load_profile(PROFILE)

checked_calls.install()


def pytest_sessionfinish() -> None:
    """Write where AWS was called, for `python -m tests`."""
    if file := os.environ.get(uncalled_operations.VARIABLE):
        uncalled_operations.write(Path(file))


@pytest.fixture(autouse=True)
def valid_calls() -> Iterator[None]:
    """Fail a test that caused a call, or got a response, which the model of the service does not allow."""
    yield
    problems = checked_calls.take_problems()
    assert not problems, "\n".join(problems)
