"""The feature cache."""

import dataclasses
import tarfile

import numpy as np

from operate.synthetic_photos import synthetic_photos
from training.features import CACHE_NAME, FeatureCache


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
