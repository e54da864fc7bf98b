"""Finding photos in folders: nested ones, hidden copies, invalid names and files that cannot be read."""

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from operate.evaluate import EvaluationError, evaluate_photos, format_report
from operate.photo_folders import (
    PhotoFolderError,
    describe_left_out,
    find_photos,
    key_name,
    printable,
    read_any_folder,
    read_class_folders,
)
from operate.stage_data import StagingError, stage
from training import dataset

VEHICLES = ("bicycle", "motorcycle")


def write(path, content=b"photo"):
    name = os.fsencode(path)
    os.makedirs(os.path.dirname(name), exist_ok=True)
    with open(name, "wb") as file:
        file.write(content)


def write_photos(folder, count, seed=0):
    generator = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        pixels = generator.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03}.jpg")


def write_classes(folder, each=12):
    for seed, name in enumerate((*VEHICLES, "scenery")):
        write_photos(folder / name, each, seed)


class Model:
    """Answers every photo with the first class."""

    side = 32
    classes = (*VEHICLES, "other")
    threshold = 0.9
    version = "test"

    def probabilities(self, images):
        return np.tile(np.array([0.95, 0.03, 0.02]), (len(images), 1))


def staged(folder, out, monkeypatch, **options):
    monkeypatch.setenv("TRAINING_PHOTOS", str(folder))
    lines = []
    return stage(out, lines.append, **options), lines


def total(found):
    """Training and test images of each class together."""
    names = {*found.counts, *found.test_counts}
    return {name: found.counts.get(name, 0) + found.test_counts.get(name, 0) for name in sorted(names)}


def reasons(found):
    return {one.name: one.reason for one in found.left_out}


# What is a photo


def test_every_usual_suffix_is_a_photo_and_others_are_left_out_with_the_reason(tmp_path):
    for name in ("a.JPG", "b.jpeg", "c.jpe", "d.jfif", "e.png", "f.WebP", "g.HEIC", "h.avif", "i.gif", "notes.txt"):
        write(tmp_path / "bicycle" / name)
    found = read_class_folders(tmp_path, VEHICLES)
    assert [photo.path.name for photo in found.photos] == [
        "a.JPG", "b.jpeg", "c.jpe", "d.jfif", "e.png", "f.WebP", "g.HEIC", "h.avif",
    ]  # fmt: skip
    assert reasons(found) == {"bicycle/i.gif": "not a JPEG, PNG, WebP, HEIC or AVIF file"}
    assert {photo.media_type for photo in found.photos[:4]} == {"image/jpeg"}
    assert [photo.media_type for photo in found.photos[-2:]] == ["image/heic", "image/avif"]


def test_hidden_files_and_folders_are_left_out_at_any_level(tmp_path):
    write(tmp_path / "bicycle" / "2025" / "a.jpg")
    for name in ("bicycle/._a.jpg", "bicycle/2025/.thumbnails/a.jpg", ".ipynb_checkpoints/a.jpg", "__MACOSX/a.jpg"):
        write(tmp_path / name)
    write(tmp_path / "bicycle" / ".DS_Store")
    found = read_class_folders(tmp_path, VEHICLES)
    assert found.counts() == {"bicycle": 1}
    assert set(reasons(found)) == {
        "bicycle/._a.jpg", "bicycle/2025/.thumbnails", ".ipynb_checkpoints", "__MACOSX",
    }  # fmt: skip


def test_photos_in_nested_folders_belong_to_the_class_folder_at_the_top(tmp_path):
    for name in ("bicycle/a.jpg", "bicycle/2025/a.jpg", "bicycle/2025/may/a.jpg", "scenery/a.jpg", "outside.jpg"):
        write(tmp_path / name)
    found = read_class_folders(tmp_path, VEHICLES)
    assert found.counts() == {"bicycle": 3, "scenery": 1}
    assert reasons(found) == {"outside.jpg": "not in a class folder"}


def test_a_link_to_a_parent_folder_is_left_out_and_a_link_to_a_class_folder_is_followed(tmp_path):
    write(tmp_path / "elsewhere" / "a.jpg")
    (tmp_path / "photos" / "motorcycle").mkdir(parents=True)
    (tmp_path / "photos" / "bicycle").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "photos" / "motorcycle" / "again").symlink_to(tmp_path / "photos")
    (tmp_path / "photos" / "motorcycle" / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    found = read_class_folders(tmp_path / "photos", VEHICLES)
    assert found.counts() == {"bicycle": 1}
    assert set(reasons(found)) == {"motorcycle/again", "motorcycle/gone.jpg"}


def test_a_missing_folder_is_refused_with_its_name(tmp_path):
    with pytest.raises(PhotoFolderError, match="nowhere"):
        find_photos(tmp_path / "nowhere")


# Names of class folders


@pytest.mark.parametrize("name", ["Bicycle", "bicycle ", "bicycles", "BICYCLE", "bi-cycle", "bi_cycle"])
def test_a_class_folder_that_looks_like_a_vehicle_is_refused_with_both_names(tmp_path, name):
    write(tmp_path / "bicycle" / "a.jpg")
    write(tmp_path / name / "b.jpg")
    for read in (read_class_folders, read_any_folder):
        with pytest.raises(PhotoFolderError) as refused:
            read(tmp_path, VEHICLES)
        assert f'"{name}"' in str(refused.value)
        assert '"bicycle"' in str(refused.value)


def test_an_empty_folder_that_looks_like_a_vehicle_is_ignored(tmp_path):
    write(tmp_path / "bicycle" / "a.jpg")
    (tmp_path / "Bicycle").mkdir()
    assert read_class_folders(tmp_path, VEHICLES).counts() == {"bicycle": 1}


def test_photos_have_a_class_only_when_a_folder_is_named_after_a_vehicle(tmp_path):
    write(tmp_path / "flat" / "bikes" / "a.jpg")
    write(tmp_path / "flat" / "b.jpg")
    assert {photo.class_name for photo in read_any_folder(tmp_path / "flat", VEHICLES).photos} == {None}
    write(tmp_path / "classes" / "bicycle" / "2025" / "a.jpg")
    write(tmp_path / "classes" / "cat" / "b.jpg")
    write(tmp_path / "classes" / "c.jpg")
    names = {photo.name: photo.class_name for photo in read_any_folder(tmp_path / "classes", VEHICLES).photos}
    assert names == {"bicycle/2025/a.jpg": "bicycle", "c.jpg": None, "cat/b.jpg": "cat"}


# Staging and evaluation read the same photos


def test_nested_photos_are_staged_and_evaluated_alike(tmp_path, monkeypatch):
    write_classes(tmp_path / "photos")
    write_photos(tmp_path / "photos" / "bicycle" / "2025", 12, seed=10)
    write_photos(tmp_path / "photos" / "bicycle" / "2026" / "may", 12, seed=11)
    found, lines = staged(tmp_path / "photos", tmp_path / "data", monkeypatch)
    assert total(found) == {"bicycle": 36, "motorcycle": 12, "scenery": 12}
    assert f"data: images per class: bicycle {found.counts['bicycle']}" in "\n".join(lines)
    report = evaluate_photos(Model(), tmp_path / "photos")
    assert {name: row["photos"] for name, row in report["classes"].items()} == total(found)


def test_hidden_class_folders_are_neither_staged_nor_evaluated(tmp_path, monkeypatch):
    write_classes(tmp_path / "photos")
    write_photos(tmp_path / "photos" / ".ipynb_checkpoints", 12, seed=10)
    write_photos(tmp_path / "photos" / ".thumbnails", 12, seed=11)
    found, lines = staged(tmp_path / "photos", tmp_path / "data", monkeypatch)
    assert set(total(found)) == {"bicycle", "motorcycle", "scenery"}
    assert any("a hidden folder: 2 (.ipynb_checkpoints, .thumbnails)" in line for line in lines)
    assert set(evaluate_photos(Model(), tmp_path / "photos")["classes"]) == {"bicycle", "motorcycle", "scenery"}


def test_a_class_folder_that_looks_like_a_vehicle_is_neither_staged_nor_evaluated(tmp_path, monkeypatch):
    write_classes(tmp_path / "photos")
    write_photos(tmp_path / "photos" / "bicycles", 12, seed=10)
    with pytest.raises(StagingError, match='"bicycles" looks like the vehicle "bicycle"'):
        staged(tmp_path / "photos", tmp_path / "data", monkeypatch)
    with pytest.raises(EvaluationError, match='"bicycles" looks like the vehicle "bicycle"'):
        evaluate_photos(Model(), tmp_path / "photos")


def test_photos_of_vehicles_alone_are_refused_unless_that_is_accepted(tmp_path, monkeypatch):
    for seed, name in enumerate(VEHICLES):
        write_photos(tmp_path / "photos" / name, 12, seed)
    with pytest.raises(StagingError, match=r"no image of anything but bicycle, motorcycle.*FORCE=yes"):
        staged(tmp_path / "photos", tmp_path / "data", monkeypatch)
    found, _ = staged(tmp_path / "photos", tmp_path / "data", monkeypatch, without_other=True)
    assert set(found.counts) == set(VEHICLES)
    with pytest.raises(StagingError, match="no image of anything but"):
        staged(tmp_path / "photos", tmp_path / "data", monkeypatch)


# Names that are not UTF-8


@pytest.fixture
def latin1_photos(tmp_path):
    write_classes(tmp_path / "photos")
    try:
        write(os.fsencode(tmp_path / "photos" / "bicycle") + b"/v\xe9lo.jpg", b"\xff\xd8 half a photo")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    source = tmp_path / "photos" / "motorcycle" / "000.jpg"
    shutil.copy(source, os.fsencode(tmp_path / "photos" / "motorcycle") + b"/caf\xe9.jpg")
    return tmp_path / "photos"


def test_a_photo_whose_name_is_not_utf_8_is_used_or_reported(latin1_photos, tmp_path, monkeypatch):
    found, lines = staged(latin1_photos, tmp_path / "data", monkeypatch)
    assert total(found) == {"bicycle": 12, "motorcycle": 13, "scenery": 12}
    output = "\n".join(lines)
    assert "bicycle/v\\xe9lo.jpg" in output
    output.encode()
    assert not staged(latin1_photos, tmp_path / "data", monkeypatch)[0].fresh
    report = evaluate_photos(Model(), latin1_photos)
    assert report["classes"]["motorcycle"]["photos"] == 13
    assert report["unreadable_files"] == ["bicycle/v\\xe9lo.jpg"]
    json.dumps(report, ensure_ascii=False).encode()
    format_report(report).encode()


def test_any_name_can_be_printed_and_be_part_of_a_key():
    for name in ("v\udce9lo.jpg", "IMG\x01\n.jpg", "ä€🚲.jpg", "a\\b.jpg", "x" * 300 + ".jpg"):
        printable(name).encode()
        assert "\n" not in printable(name)
        key = key_name(name)
        assert len(key.encode()) < 900
        assert key.isprintable()
        assert key.endswith(".jpg")
    assert key_name("2025/ä b.jpg") == "ä b.jpg"


# Files that cannot be read


@pytest.fixture
def ordinary_user():
    """A folder for a user without the privileges of root."""
    if sys.platform == "win32":
        pytest.skip("file modes are those of POSIX")
    folder = Path(tempfile.mkdtemp(prefix="photos-"))
    folder.chmod(0o777)
    # zipfile imports this codec on first use, and an ordinary user may not be able to read the interpreter's files.
    "".encode("cp437")
    yield SimpleNamespace(folder=folder, become=lambda: os.seteuid(65534) if os.getuid() == 0 else None)
    if os.getuid() == 0:
        os.seteuid(0)
    shutil.rmtree(folder)


def test_a_file_of_another_user_is_reported_and_left_out(ordinary_user, monkeypatch):
    photos = ordinary_user.folder / "photos"
    write_classes(photos)
    (photos / "bicycle" / "003.jpg").chmod(0)
    write_photos(photos / "bicycle" / "private", 2, seed=10)
    (photos / "bicycle" / "private").chmod(0)
    ordinary_user.become()
    found, lines = staged(photos, ordinary_user.folder / "data", monkeypatch)
    assert total(found) == {"bicycle": 11, "motorcycle": 12, "scenery": 12}
    assert "data: left out, cannot be read (Permission denied): 1 (bicycle/003.jpg)" in lines
    assert "data: left out, cannot be listed (Permission denied): 1 (bicycle/private)" in lines
    report = evaluate_photos(Model(), photos)
    assert report["classes"]["bicycle"]["photos"] == 11
    assert (report["unreadable"], report["unreadable_files"]) == (1, ["bicycle/003.jpg"])
    assert "bicycle/private" in format_report(report)


def test_a_file_that_becomes_readable_is_staged_again(ordinary_user, monkeypatch):
    photos = ordinary_user.folder / "photos"
    write_classes(photos)
    (photos / "bicycle" / "003.jpg").chmod(0)
    ordinary_user.become()
    staged(photos, ordinary_user.folder / "data", monkeypatch)
    if os.getuid() == 0:
        os.seteuid(0)
    (photos / "bicycle" / "003.jpg").chmod(0o644)
    ordinary_user.become()
    found, _ = staged(photos, ordinary_user.folder / "data", monkeypatch)
    assert total(found)["bicycle"] == 12
    assert dataset.load(found.train).counts() == found.counts


def test_what_was_left_out_is_one_line_per_reason(tmp_path):
    for number in range(8):
        write(tmp_path / "bicycle" / f"{number}.gif")
    lines = describe_left_out(find_photos(tmp_path).left_out)
    assert lines == [
        "left out, not a JPEG, PNG, WebP, HEIC or AVIF file: 8 (bicycle/0.gif, bicycle/1.gif, bicycle/2.gif, "
        "bicycle/3.gif, bicycle/4.gif, and 3 more)"
    ]
