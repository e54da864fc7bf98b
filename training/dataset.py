"""Labelled images in .npz files: the content of the `training` and `test` channels."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.images import Pixels


@dataclass(frozen=True)
class Dataset:
    """`images`, each uint8 (height, width, 3) of its own size, and `labels` str (N,), the class of each.

    Raises ValueError when an image has another shape or type, or when the numbers of images and labels differ.
    """

    images: list[Pixels]
    labels: NDArray[np.str_]

    def __post_init__(self) -> None:
        """Check shapes and types."""
        if len(self.images) != len(self.labels):
            raise ValueError(f"{len(self.images)} images have {len(self.labels)} labels")
        for image in self.images:
            if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
                raise ValueError(f"an image must be uint8 (height, width, 3), not {image.dtype} {image.shape}")

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def __getitem__(self, selection: NDArray[np.intp] | NDArray[np.bool_]) -> "Dataset":
        """Return the images at the given indices, or where the given mask (N,) is True."""
        indices = np.flatnonzero(selection) if selection.dtype == np.bool_ else selection
        return Dataset([self.images[index] for index in indices], self.labels[indices])

    def with_labels(self, names: Iterable[str]) -> "Dataset":
        """Return the images whose label is one of `names`."""
        return self[np.isin(self.labels, list(names))]

    def without_labels(self, names: Iterable[str]) -> "Dataset":
        """Return the images whose label is none of `names`."""
        return self[~np.isin(self.labels, list(names))]

    def counts(self) -> dict[str, int]:
        """Return the number of images of each label, in alphabetical order."""
        names, counts = np.unique(self.labels, return_counts=True)
        return {str(name): int(count) for name, count in zip(names, counts, strict=True)}

    def save(self, path: Path) -> None:
        """Write an .npz file; the same data set always gives the same bytes."""
        path.parent.mkdir(parents=True, exist_ok=True)
        shapes = np.array([image.shape[:2] for image in self.images], dtype=np.int32).reshape(-1, 2)
        pixels = [image.reshape(-1) for image in self.images]
        np.savez(
            path, pixels=np.concatenate(pixels) if pixels else np.zeros(0, np.uint8), shapes=shapes, labels=self.labels
        )


def empty() -> Dataset:
    """Return a data set without images."""
    return Dataset([], np.zeros(0, dtype=np.str_))


def from_array(images: NDArray[np.uint8], labels: NDArray[np.str_]) -> Dataset:
    """Return the data set of images (N, height, width, 3) of one size and their labels (N,)."""
    return Dataset(list(images), labels)


def load(folder: Path) -> Dataset:
    """Read every .npz file below `folder` into one data set.

    A file holds the arrays that `Dataset.save` writes, or `images` (N, height, width, 3) and `labels` (N,). Raises
    FileNotFoundError when there is no file, ValueError when one has other arrays or shapes.
    """
    paths = sorted(folder.rglob("*.npz"))
    if not paths:
        raise FileNotFoundError(f"{folder} contains no .npz file; stage data with: make stage")
    parts = []
    for path in paths:
        with np.load(path, allow_pickle=False) as arrays:
            parts.append(_read(path.name, arrays))
    return concatenate(parts)


def concatenate(parts: Sequence[Dataset]) -> Dataset:
    """Return all images of `parts`, in order."""
    return Dataset([image for part in parts for image in part.images], np.concatenate([part.labels for part in parts]))


def targets(labels: Dataset | NDArray[np.str_], vehicles: tuple[str, ...]) -> NDArray[np.intp]:
    """Return (N,): the index of each label in `vehicles`, or len(vehicles) for any other label."""
    names = labels.labels if isinstance(labels, Dataset) else labels
    indices = {name: i for i, name in enumerate(vehicles)}
    return np.array([indices.get(str(name), len(vehicles)) for name in names], dtype=np.intp)


def stratified_folds(labels: NDArray[np.str_], n_folds: int, seed: int) -> NDArray[np.intp]:
    """Return the random fold 0...n_folds-1 of every image (N,); each fold has equally many images of each label."""
    generator = np.random.default_rng(seed)
    fold = np.zeros(len(labels), dtype=np.intp)
    for name in np.unique(labels):
        rows = generator.permutation(np.flatnonzero(labels == name))
        fold[rows] = np.arange(len(rows)) % n_folds
    return fold


def sample(data: Dataset, max_per_label: int, seed: int) -> Dataset:
    """Return at most `max_per_label` random images of each label, in the order of `data`."""
    generator = np.random.default_rng(seed)
    is_sampled = np.zeros(len(data), dtype=bool)
    for name in np.unique(data.labels):
        is_sampled[generator.permutation(np.flatnonzero(data.labels == name))[:max_per_label]] = True
    return data[is_sampled]


def _read(name: str, arrays: "np.lib.npyio.NpzFile") -> Dataset:
    names = set(arrays.files)
    if {"images", "labels"} <= names:
        return from_array(arrays["images"], arrays["labels"].astype(np.str_))
    if not {"pixels", "shapes", "labels"} <= names:
        raise ValueError(f"{name} contains {sorted(names)}, not 'pixels', 'shapes' and 'labels'")
    pixels, shapes = arrays["pixels"], arrays["shapes"].astype(np.int64)
    ends = np.cumsum(shapes.prod(axis=1) * 3)
    if len(pixels) != (ends[-1] if len(ends) else 0):
        raise ValueError(f"{name} is damaged: the length of 'pixels', {len(pixels)} bytes, does not match 'shapes'")
    images = [
        pixels[end - height * width * 3 : end].reshape(height, width, 3)
        for end, (height, width) in zip(ends.tolist(), shapes.tolist(), strict=True)
    ]
    return Dataset(images, arrays["labels"].astype(np.str_))
