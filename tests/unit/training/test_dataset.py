"""Labelled images in files."""

import numpy as np

from training import dataset
from training.dataset import Dataset
from training.images import resize_batch


def test_each_fold_has_equally_many_images_of_each_class(data):
    fold = dataset.stratified_folds(data.labels, 5, seed=0)
    for name in set(data.labels):
        assert np.bincount(fold[data.labels == name]).tolist() == [8] * 5


def test_a_data_set_holds_images_of_different_sizes(tmp_path):
    images = [np.full((3, 5, 3), 7, np.uint8), np.full((9, 2, 3), 8, np.uint8)]
    Dataset(images, np.array(["a", "b"])).save(tmp_path / "one.npz")
    np.savez(tmp_path / "two.npz", images=np.full((2, 4, 4, 3), 9, np.uint8), labels=np.array(["c", "c"]))
    read = dataset.load(tmp_path)
    assert [image.shape for image in read.images] == [(3, 5, 3), (9, 2, 3), (4, 4, 3), (4, 4, 3)]
    assert read.labels.tolist() == ["a", "b", "c", "c"]
    assert resize_batch(read.images, 32).shape == (4, 32, 32, 3)
