"""A few faults under a short stream of photos; `make torture SUITE=faults` runs all of them under long ones."""

from collections.abc import Iterator

import pytest

from tests.torture import faults
from tests.torture.fault_stage import FaultStage, fault_stage

PHOTOS = 24
SHORT = (
    "events twice and out of order",
    "worker killed in a call",
    "responses of the bus lost",
    "objects deleted and overwritten",
    "embedded AWS restarted",
    "embedded AWS killed",
)


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultStage]:
    with fault_stage(tmp_path_factory.mktemp("faults")) as stage:
        yield stage


@pytest.mark.parametrize("scenario", SHORT)
def test_every_photo_has_one_announced_outcome_after_a_fault(
    disturbed: FaultStage, monkeypatch: pytest.MonkeyPatch, scenario: str
) -> None:
    monkeypatch.setattr(faults, "SHORT_S", 3.0)
    result = faults.run_scenario(disturbed, scenario, PHOTOS)
    assert result.problems == []
    assert result.statuses.total() + result.lost_in_store == PHOTOS
    assert set(result.statuses) <= {"routed", "rejected"}
