"""Photos that people labelled."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from operate.synthetic_photos import synthetic_photos
from tests.support.training import write_labelled_photos
from training import labels
from training.images import downscale
from training.labels import Label, read_labelled


def test_a_photo_for_evaluation_is_not_among_those_for_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_labelled_photos(tmp_path)
    training = read_labelled(tmp_path / "snapshot", tmp_path / "labelled", use="train").photos
    evaluation = read_labelled(tmp_path / "snapshot", tmp_path / "labelled", use="evaluate").photos
    assert len(training) == len(evaluation) == 6
    assert not {i.tobytes() for i in training.images} & {i.tobytes() for i in evaluation.images}
    assert "labelled photo broken is skipped" in capsys.readouterr().out


def write_snapshot(folder: Path, *photos: tuple[str, str, str, bytes]) -> None:
    """Write photos (id, use, label, file) that reviewer `bo` labelled to `snapshot` and `labelled` in `folder`."""
    entries = []
    for name in ("snapshot", "labelled"):
        (folder / name).mkdir()
    for photo_id, use, label, content in photos:
        (folder / "labelled" / f"{photo_id}.jpg").write_bytes(content)
        entry = {"photo_id": photo_id, "file": f"{photo_id}.jpg", "use": use, "label": label, "labelled_by": "bo"}
        entries.append(entry)
    (folder / "snapshot" / "manifest.json").write_text(json.dumps({"photos": entries}))


def picture(number: int, quality: int = 90, side: int = 96) -> bytes:
    """Return one of twelve different pictures as a JPEG file."""
    file = io.BytesIO()
    image = Image.fromarray(synthetic_photos(2, seed=4).images[number]).resize((side, side), Image.Resampling.BICUBIC)
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def read(folder: Path, use: str) -> labels.LabelledPhotos:
    return read_labelled(folder / "snapshot", folder / "labelled", use)


def ids(photos: labels.LabelledPhotos) -> list[str]:
    return [label.photo_id for label in photos.labels]


def test_labels_of_a_distrusted_reviewer_are_left_out_and_contest_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_snapshot(
        tmp_path, ("a", "evaluate", "bicycle", picture(0)), ("b", "evaluate", "motorcycle", picture(1)),
        ("c", "train", "motorcycle", picture(0, 70)),
    )  # fmt: skip
    manifest = tmp_path / "snapshot" / "manifest.json"
    entries = json.loads(manifest.read_text())["photos"]
    for entry in entries:
        entry["labelled_by"] = "ada" if entry["photo_id"] == "a" else "eve"
    manifest.write_text(json.dumps({"photos": entries}))
    assert ids(read(tmp_path, "evaluate")) == ["b"]
    found = read_labelled(tmp_path / "snapshot", tmp_path / "labelled", "evaluate", {"eve"})
    assert (ids(found), found.left_out) == (["a"], {"reviewer": 1})
    assert "labelled photo b is not used: the labels of its reviewer contradict" in capsys.readouterr().out


def test_photos_of_the_same_picture_count_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copies = [(f"c{number}", "train", "bicycle", picture(0, 60 + number, 90 + number)) for number in range(30)]
    write_snapshot(tmp_path, *copies, ("d", "train", "bicycle", picture(1)))
    found = read(tmp_path, "train")
    assert ids(found) == ["c0", "d"]
    assert found.labels[0] == Label("c0", "bo")
    assert found.left_out == {"same_picture": 29}
    assert "labelled photo c7 counts once with c0" in capsys.readouterr().out


def test_a_picture_with_two_labels_is_contested_and_not_used(tmp_path: Path) -> None:
    write_snapshot(
        tmp_path,
        ("a", "train", "bicycle", picture(0)),
        ("b", "train", "other", picture(0, 70)),
        ("c", "evaluate", "bicycle", picture(0, 80)),
        ("d", "train", "other", picture(1)),
    )
    assert (ids(read(tmp_path, "train")), read(tmp_path, "train").left_out) == (["d"], {"contested": 2})
    assert (ids(read(tmp_path, "evaluate")), read(tmp_path, "evaluate").left_out) == ([], {"contested": 1})


def test_no_model_is_evaluated_on_a_picture_that_it_was_trained_on(tmp_path: Path) -> None:
    write_snapshot(
        tmp_path,
        ("a", "evaluate", "bicycle", picture(0)),
        ("b", "train", "bicycle", picture(0, 70)),
        ("c", "evaluate", "bicycle", picture(1)),
        ("d", "evaluate", "bicycle", picture(1, 60)),
    )
    assert ids(read(tmp_path, "train")) == ["b"]
    assert ids(read(tmp_path, "evaluate")) == ["c"]


def test_a_picture_of_the_holdout_is_not_trained_on(tmp_path: Path) -> None:
    """CIFAR is public: a driver can upload images of the holdout, in any size and encoding."""
    holdout = [downscale(picture(number, 95, 32)) for number in range(3)]
    write_snapshot(
        tmp_path,
        ("a", "train", "bicycle", picture(0, 70, 200)),
        ("b", "train", "other", picture(1, 90, 64)),
        ("c", "train", "bicycle", picture(5)),
    )
    found = read_labelled(tmp_path / "snapshot", tmp_path / "labelled", "train", holdout=holdout)
    assert (ids(found), found.left_out) == (["c"], {"holdout": 2})


def test_a_file_outside_the_folder_is_refused(tmp_path: Path) -> None:
    write_snapshot(tmp_path, ("a", "train", "bicycle", picture(0)))
    manifest = tmp_path / "snapshot" / "manifest.json"
    (tmp_path / "secret.jpg").write_bytes(picture(1))
    for name in ("../secret.jpg", str(tmp_path / "secret.jpg"), "..", ""):
        entry = {"photo_id": "a", "file": name, "use": "train", "label": "bicycle", "labelled_by": "bo"}
        manifest.write_text(json.dumps({"photos": [entry]}))
        with pytest.raises(ValueError, match="make a new snapshot"):
            read(tmp_path, "train")


def test_a_file_larger_than_an_upload_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "MAX_FILE_BYTES", len(picture(1)))
    write_snapshot(
        tmp_path, ("a", "train", "bicycle", picture(1)), ("b", "train", "bicycle", picture(0) + bytes(100_000))
    )
    assert ids(read(tmp_path, "train")) == ["a"]
    assert read(tmp_path, "train").left_out == {"unreadable": 1}


def test_a_photo_with_more_pixels_than_an_upload_is_skipped(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.fromarray(np.zeros((7_200, 7_200), np.uint8)).save(file, "PNG")
    write_snapshot(tmp_path, ("a", "train", "other", file.getvalue()))
    assert read(tmp_path, "train").left_out == {"unreadable": 1}
