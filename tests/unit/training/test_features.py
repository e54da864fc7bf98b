"""The feature cache."""

import dataclasses
import io
import sys
import tarfile

import numpy as np
import pytest
from PIL import Image

from operate.synthetic_photos import synthetic_photos
from training import features
from training.features import CACHE_NAME, FeatureCache, feature_keys, remove_features
from training.images import downscale


def test_the_next_retraining_computes_only_new_features(data, model_dir, tmp_path, backbone):
    folder = model_dir.parent / "features"
    assert (folder / CACHE_NAME).is_file()
    cache = FeatureCache(backbone, folder)
    features, _ = cache.get(data.images[:20])
    assert cache.computed == 0
    cache.get([*data.images[:20], synthetic_photos(1, seed=77).images[0]])
    assert cache.computed == 1
    fresh, _ = FeatureCache(backbone).get(data.images[:20])
    assert np.array_equal(features, fresh)


def test_features_are_read_from_the_archive_of_an_earlier_job(data, model_dir, tmp_path, backbone, capsys):
    with tarfile.open(tmp_path / "output.tar.gz", "w:gz") as tar:
        tar.add(model_dir.parent / "features" / CACHE_NAME, CACHE_NAME)
    cache = FeatureCache(backbone, tmp_path)
    cache.get(data.images[:5])
    assert cache.computed == 0
    content = (tmp_path / "output.tar.gz").read_bytes()
    (tmp_path / "output.tar.gz").write_bytes(content[: len(content) // 2])
    FeatureCache(backbone, tmp_path).get(data.images[:1])
    assert "are computed again" in capsys.readouterr().out


def test_features_of_another_backbone_are_not_used(model_dir, data, backbone):
    folder = model_dir.parent / "features"
    other = dataclasses.replace(backbone, digest="0" * 64)
    cache = FeatureCache(other, folder)
    cache.get(data.images[:1])
    assert cache.computed == 1


def write_cache(folder, photos):
    """Write a cache with a row for each photo, without a backbone, and the archive of a job's output around it."""
    keys = [next(iter(feature_keys(photo))) for photo in photos]
    rows = np.arange(len(keys), dtype=np.float16)[:, None, None]
    np.savez(folder / CACHE_NAME, origin=np.array("o"), keys=np.array(keys), features=rows, logits=rows)
    (folder / "note.txt").write_text("kept")
    with tarfile.open(folder / "output.tar.gz", "w:gz") as tar:
        tar.add(folder / CACHE_NAME, f"data/{CACHE_NAME}")
        tar.add(folder / "note.txt", "note.txt")


def files(count):
    found = []
    for image in synthetic_photos(2, seed=6).images[:count]:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG")
        found.append(file.getvalue())
    return found


def rows_of(content):
    with np.load(io.BytesIO(content)) as arrays:
        return arrays["features"].ravel().tolist(), arrays["keys"].tolist()


def test_the_key_of_a_photo_is_that_under_which_its_features_are_kept(backbone, tmp_path):
    (photo,) = files(1)
    cache = FeatureCache(backbone)
    cache.get([downscale(photo)])
    cache.save(tmp_path)
    assert set(rows_of((tmp_path / CACHE_NAME).read_bytes())[1]) == feature_keys(photo)


@pytest.mark.parametrize("name", [CACHE_NAME, "output.tar.gz"])
def test_the_features_of_a_photo_are_removed_from_a_cache(tmp_path, name, monkeypatch, capsys):
    photos = files(3)
    write_cache(tmp_path, photos)
    (tmp_path / "photo.png").write_bytes(photos[1])
    monkeypatch.setattr(
        sys, "argv", ["features", "remove", "--cache", str(tmp_path / name), "--photo", str(tmp_path / "photo.png")]
    )
    assert features.main() == 0
    assert "features of 1 images were removed" in capsys.readouterr().out
    content = (tmp_path / name).read_bytes()
    if name != CACHE_NAME:
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            assert tar.extractfile("note.txt").read() == b"kept"
            content = tar.extractfile(f"data/{CACHE_NAME}").read()
    left, keys = rows_of(content)
    assert left == [0, 2]
    assert not feature_keys(photos[1]) & set(keys)


def test_a_cache_without_the_photo_is_not_changed(tmp_path):
    write_cache(tmp_path, files(2))
    for name in (CACHE_NAME, "output.tar.gz"):
        content = (tmp_path / name).read_bytes()
        assert remove_features(content, {"0" * 40}) == (content, 0)


def test_a_damaged_cache_is_named(tmp_path):
    with pytest.raises(ValueError, match="the cache is neither"):
        remove_features(b"no archive", {"0" * 40})
