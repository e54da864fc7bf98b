"""Staging training data from each of its sources."""

import hashlib
import io
import json
import pickle
import tarfile
import urllib.error

import numpy as np
import pytest
from PIL import Image

from operate.cifar100 import ARCHIVE
from operate.stage_data import StagingError, stage
from training import dataset


@pytest.fixture(autouse=True)
def no_configured_source(monkeypatch, tmp_path):
    for name in ("CIFAR100_ARCHIVE", "TRAINING_PHOTOS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def unreachable(*_args, **_options):
        raise urllib.error.URLError("no network in this test")

    monkeypatch.setattr("urllib.request.urlopen", unreachable)


def cifar_archive(path, each=6):
    generator = np.random.default_rng(0)
    names = ["bicycle", "bus", "motorcycle"]
    parts = {"meta": {b"fine_label_names": [name.encode() for name in names]}}
    for part, count in (("train", each), ("test", 3)):
        labels = [label for label in range(3) for _ in range(count)]
        parts[part] = {
            b"data": generator.integers(0, 256, (len(labels), 3072), dtype=np.uint8),
            b"fine_labels": labels,
        }
    with tarfile.open(path, "w:gz") as tar:
        for name, content in parts.items():
            packed = pickle.dumps(content, protocol=2)
            entry = tarfile.TarInfo(f"cifar-100-python/{name}")
            entry.size = len(packed)
            tar.addfile(entry, io.BytesIO(packed))
    return path


def test_the_configured_archive_is_staged_with_its_labels(monkeypatch, tmp_path):
    monkeypatch.setenv("CIFAR100_ARCHIVE", str(cifar_archive(tmp_path / "any.tar.gz")))
    staged = stage(tmp_path / "data", report=lambda _: None)
    assert staged.source == "cifar100"
    assert dataset.load(staged.train).counts() == {"bicycle": 6, "bus": 6, "motorcycle": 6}
    assert dataset.load(staged.test).counts() == {"bicycle": 3, "bus": 3, "motorcycle": 3}
    about = json.loads((staged.train / "about.json").read_text())
    digest = hashlib.sha256((tmp_path / "any.tar.gz").read_bytes()).hexdigest()
    assert about == {"source": "cifar100", "sha256": digest, "counts": {"bicycle": 6, "bus": 6, "motorcycle": 6}}


def test_no_test_image_is_among_the_training_images(monkeypatch, tmp_path):
    monkeypatch.setenv("CIFAR100_ARCHIVE", str(cifar_archive(tmp_path / "any.tar.gz")))
    staged = stage(tmp_path / "data", report=lambda _: None)
    trained = {image.tobytes() for image in dataset.load(staged.train).images}
    tested = [image.tobytes() for image in dataset.load(staged.test).images]
    samples = [np.asarray(Image.open(path)).tobytes() for path in staged.photos.glob("*/*.png")]
    assert trained.isdisjoint(tested)
    assert samples
    assert set(samples) <= set(tested)


def test_the_same_source_gives_the_same_bytes_and_is_staged_once(monkeypatch, tmp_path):
    monkeypatch.setenv("CIFAR100_ARCHIVE", str(cifar_archive(tmp_path / "any.tar.gz")))
    lines = []
    first = stage(tmp_path / "one", report=lines.append)
    other = stage(tmp_path / "two", report=lines.append)
    assert (first.train / "images.npz").read_bytes() == (other.train / "images.npz").read_bytes()
    again = stage(tmp_path / "one", report=lines.append)
    assert first.fresh
    assert not again.fresh
    assert again.sha256 == first.sha256
    assert "already holds" in lines[-1]


def test_a_changed_archive_is_staged_again(monkeypatch, tmp_path):
    archive = cifar_archive(tmp_path / "any.tar.gz")
    monkeypatch.setenv("CIFAR100_ARCHIVE", str(archive))
    stage(tmp_path / "data", report=lambda _: None)
    cifar_archive(archive, each=9)
    staged = stage(tmp_path / "data", report=lambda _: None)
    assert staged.fresh
    assert staged.counts["bus"] == 9


def test_a_damaged_file_is_staged_again(monkeypatch, tmp_path):
    monkeypatch.setenv("CIFAR100_ARCHIVE", str(cifar_archive(tmp_path / "any.tar.gz")))
    staged = stage(tmp_path / "data", report=lambda _: None)
    (staged.train / "images.npz").write_bytes(b"half a file")
    assert stage(tmp_path / "data", report=lambda _: None).fresh


def test_the_cached_archive_is_used_without_network(monkeypatch, tmp_path):
    cache = tmp_path / "cache" / "scones-vehicles"
    cache.mkdir(parents=True)
    archive = cifar_archive(cache / ARCHIVE)
    monkeypatch.setattr("operate.cifar100.OFFICIAL_SHA256", hashlib.sha256(archive.read_bytes()).hexdigest())
    assert stage(tmp_path / "data", report=lambda _: None).source == "cifar100"


def test_a_cached_archive_that_is_not_the_official_one_is_refused(tmp_path):
    """Its layout is right, its labels may not be."""
    cache = tmp_path / "cache" / "scones-vehicles"
    cache.mkdir(parents=True)
    cifar_archive(cache / ARCHIVE)
    with pytest.raises(StagingError, match=r"not the official CIFAR-100 archive.*Delete it"):
        stage(tmp_path / "data", report=lambda _: None)
    assert not (tmp_path / "data" / "train").exists()


def test_the_digest_of_a_folder_of_photos_is_that_of_its_names_and_contents(monkeypatch, tmp_path):
    folder = tmp_path / "photos"
    for number, name in enumerate(
        ("bicycle/b.png", "bicycle/a.png", "motorcycle/a.png", "motorcycle/b.png", "cat/a.png")
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 64), (number, 0, 0)).save(folder / name)
    monkeypatch.setenv("TRAINING_PHOTOS", str(folder))
    monkeypatch.setattr("operate.stage_data.TEST_FRACTION", 0)

    def staged_digest(name):
        return json.loads((stage(tmp_path / name, report=lambda _: None).train / "about.json").read_text())["sha256"]

    lines = "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n"
        for path in sorted(folder.rglob("*.png"))
    )
    assert staged_digest("one") == hashlib.sha256(lines.encode()).hexdigest()
    (folder / "cat" / "a.png").rename(folder / "cat" / "b.png")
    assert staged_digest("two") != hashlib.sha256(lines.encode()).hexdigest()


def test_without_archive_and_network_synthetic_photos_are_staged_and_reported(tmp_path):
    lines = []
    staged = stage(tmp_path / "data", report=lines.append)
    assert staged.source == "generated"
    assert any("GENERATED" in line for line in lines)
    assert {"bicycle", "motorcycle"} <= set(staged.counts)
    assert len(list((staged.photos / "bicycle").glob("*.png"))) == 40


def test_a_missing_or_invalid_archive_is_refused_with_its_name(monkeypatch, tmp_path):
    monkeypatch.setenv("CIFAR100_ARCHIVE", str(tmp_path / "nowhere.tar.gz"))
    with pytest.raises(StagingError, match=r"nowhere\.tar\.gz"):
        stage(tmp_path / "data", report=lambda _: None)
    (tmp_path / "text.tar.gz").write_text("no archive")
    monkeypatch.setenv("CIFAR100_ARCHIVE", str(tmp_path / "text.tar.gz"))
    with pytest.raises(StagingError, match=r"text\.tar\.gz"):
        stage(tmp_path / "data", report=lambda _: None)


def test_photos_of_the_user_are_split_by_content(monkeypatch, tmp_path):
    generator = np.random.default_rng(0)
    for name in ("bicycle", "motorcycle", "cat"):
        (tmp_path / "own" / name).mkdir(parents=True)
        for i in range(30):
            levels = generator.integers(0, 256, (60, 90, 3), dtype=np.uint8)
            Image.fromarray(levels).save(tmp_path / "own" / name / f"{i}.jpg")
    (tmp_path / "own" / "cat" / "notes.jpg").write_text("no photo")
    monkeypatch.setenv("TRAINING_PHOTOS", str(tmp_path / "own"))
    lines = []
    staged = stage(tmp_path / "data", report=lines.append)
    assert staged.source == "photos"
    assert sum(staged.counts.values()) + sum(staged.test_counts.values()) == 90
    assert 0 < sum(staged.test_counts.values()) < 45
    assert any("cat/notes.jpg" in line for line in lines)


def test_photos_of_the_user_are_downscaled_with_their_aspect_ratio(monkeypatch, tmp_path):
    for name in ("bicycle", "motorcycle", "cat"):
        (tmp_path / "own" / name).mkdir(parents=True)
        for i in range(8):
            Image.new("RGB", (800, 400), (i * 30, 0, 0)).save(tmp_path / "own" / name / f"{i}.jpg")
    monkeypatch.setenv("TRAINING_PHOTOS", str(tmp_path / "own"))
    staged = stage(tmp_path / "data", report=lambda _: None)
    assert {picture.shape for picture in dataset.load(staged.train).images} == {(128, 256, 3)}


def test_photos_without_a_configured_vehicle_are_refused(monkeypatch, tmp_path):
    (tmp_path / "own" / "cat").mkdir(parents=True)
    for i in range(4):
        Image.new("RGB", (40, 40), (i * 40, 0, 0)).save(tmp_path / "own" / "cat" / f"{i}.png")
    monkeypatch.setenv("TRAINING_PHOTOS", str(tmp_path / "own"))
    with pytest.raises(StagingError, match="bicycle"):
        stage(tmp_path / "data", report=lambda _: None)
