"""Labelled pictures as a few large files: what the `training` and `test` channels hold."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.images import Pixels


@dataclass(frozen=True)
class Dataset:
    """`pictures`, each uint8 (height, width, 3) of its own size, and `labels` str (N,): what each one shows."""

    pictures: list[Pixels]
    labels: NDArray[np.str_]

    def __post_init__(self) -> None:
        if len(self.pictures) != len(self.labels):
            raise ValueError(f"{len(self.pictures)} pictures have {len(self.labels)} labels")
        for picture in self.pictures:
            if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or not picture.size:
                raise ValueError(f"a picture must be uint8 (height, width, 3), not {picture.dtype} {picture.shape}")

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, chosen: NDArray[np.intp] | NDArray[np.bool_]) -> "Dataset":
        places = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen
        return Dataset([self.pictures[place] for place in places], self.labels[places])

    def of(self, names: Iterable[str]) -> "Dataset":
        """Return the pictures whose label is one of `names`."""
        return self[np.isin(self.labels, list(names))]

    def without(self, names: Iterable[str]) -> "Dataset":
        """Return the pictures whose label is none of `names`."""
        return self[~np.isin(self.labels, list(names))]

    def counts(self) -> dict[str, int]:
        """Return how many pictures there are of each label, in the order of the alphabet."""
        names, counts = np.unique(self.labels, return_counts=True)
        return {str(name): int(count) for name, count in zip(names, counts, strict=True)}

    def save(self, path: Path) -> None:
        """Write an .npz file; the same data set always gives the same bytes."""
        path.parent.mkdir(parents=True, exist_ok=True)
        shapes = np.array([picture.shape[:2] for picture in self.pictures], dtype=np.int32).reshape(-1, 2)
        pixels = [picture.reshape(-1) for picture in self.pictures]
        np.savez(
            path, pixels=np.concatenate(pixels) if pixels else np.zeros(0, np.uint8), shapes=shapes, labels=self.labels
        )


def empty() -> Dataset:
    """Return a data set without pictures."""
    return Dataset([], np.zeros(0, dtype=np.str_))


def of_array(images: NDArray[np.uint8], labels: NDArray[np.str_]) -> Dataset:
    """Return the data set of images (N, height, width, 3) that all have one size."""
    return Dataset(list(images), labels)


def load(folder: Path) -> Dataset:
    """Read every .npz file of `folder` into one data set.

    A file holds what `Dataset.save` writes, or `images` (N, height, width, 3) and `labels`. Raises FileNotFoundError
    when there is none, ValueError when one has other arrays or shapes.
    """
    paths = sorted(folder.rglob("*.npz"))
    if not paths:
        raise FileNotFoundError(f"{folder} holds no .npz file; stage data with: make stage")
    parts = []
    for path in paths:
        with np.load(path, allow_pickle=False) as arrays:
            parts.append(_read(path.name, arrays))
    return concatenate(parts)


def concatenate(parts: Sequence[Dataset]) -> Dataset:
    """Return all pictures of `parts`, in order."""
    return Dataset(
        [picture for part in parts for picture in part.pictures], np.concatenate([part.labels for part in parts])
    )


def targets(labels: Dataset | NDArray[np.str_], vehicles: tuple[str, ...]) -> NDArray[np.intp]:
    """Return (N,): the index of each label among `vehicles`, or len(vehicles) for any other."""
    names = labels.labels if isinstance(labels, Dataset) else labels
    places = {name: i for i, name in enumerate(vehicles)}
    return np.array([places.get(str(name), len(vehicles)) for name in names], dtype=np.intp)


def folds(labels: NDArray[np.str_], count: int, seed: int) -> NDArray[np.intp]:
    """Return the fold 0...count-1 of every picture (N,): random, equally many of each label in every fold."""
    generator = np.random.default_rng(seed)
    fold = np.zeros(len(labels), dtype=np.intp)
    for name in np.unique(labels):
        places = generator.permutation(np.flatnonzero(labels == name))
        fold[places] = np.arange(len(places)) % count
    return fold


def sample(data: Dataset, most: int, seed: int) -> Dataset:
    """Return at most `most` pictures of each label, drawn at random; order as in `data`."""
    generator = np.random.default_rng(seed)
    chosen = np.zeros(len(data), dtype=bool)
    for name in np.unique(data.labels):
        chosen[generator.permutation(np.flatnonzero(data.labels == name))[:most]] = True
    return data[chosen]


def _read(name: str, arrays: "np.lib.npyio.NpzFile") -> Dataset:
    held = set(arrays.files)
    if {"images", "labels"} <= held:
        return of_array(arrays["images"], arrays["labels"].astype(np.str_))
    if not {"pixels", "shapes", "labels"} <= held:
        raise ValueError(f"{name} holds {sorted(held)}, not 'pixels', 'shapes' and 'labels'")
    pixels, shapes = arrays["pixels"], arrays["shapes"].astype(np.int64)
    ends = np.cumsum(shapes.prod(axis=1) * 3)
    if len(pixels) != (ends[-1] if len(ends) else 0):
        raise ValueError(f"{name} is damaged: it holds {len(pixels)} bytes of pixels, its shapes need others")
    pictures = [
        pixels[end - height * width * 3 : end].reshape(height, width, 3)
        for end, (height, width) in zip(ends.tolist(), shapes.tolist(), strict=True)
    ]
    return Dataset(pictures, arrays["labels"].astype(np.str_))
