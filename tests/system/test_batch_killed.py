"""A small batch that is stopped and killed; `make torture SUITE=batch` interrupts one of 10,000 photos."""

from pathlib import Path

from tests.torture import batch


def test_a_batch_continues_after_a_stop_and_a_kill_with_one_result_for_each_photo(tmp_path: Path) -> None:
    assert batch.interrupted(tmp_path, count=300, drivers=2, save_interval_s=1.0).faults() == []
