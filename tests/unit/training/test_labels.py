"""Photos that people labelled."""

from pathlib import Path

import pytest

from tests.support.training import write_labelled_photos
from training.labels import load_labelled


def test_a_photo_for_evaluation_is_not_among_those_for_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_labelled_photos(tmp_path)
    training = load_labelled(tmp_path / "snapshot", tmp_path / "labelled", use="train")
    evaluation = load_labelled(tmp_path / "snapshot", tmp_path / "labelled", use="evaluate")
    assert len(training) == len(evaluation) == 6
    assert not {i.tobytes() for i in training.images} & {i.tobytes() for i in evaluation.images}
    assert "labelled photo broken is skipped" in capsys.readouterr().out
