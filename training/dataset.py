"""Labelled images as a few large files: what the `training` and `test` channels hold."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.images import SIDE


@dataclass(frozen=True)
class Dataset:
    """`images` uint8 (N, SIDE, SIDE, 3) and `labels` str (N,): the name of what each image shows."""

    images: NDArray[np.uint8]
    labels: NDArray[np.str_]

    def __post_init__(self) -> None:
        if self.images.shape != (len(self.labels), SIDE, SIDE, 3) or self.images.dtype != np.uint8:
            raise ValueError(
                f"images must be uint8 ({len(self.labels)}, {SIDE}, {SIDE}, 3), "
                f"not {self.images.dtype} {self.images.shape}"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, chosen: NDArray[np.intp] | NDArray[np.bool_]) -> "Dataset":
        return Dataset(self.images[chosen], self.labels[chosen])

    def of(self, names: Iterable[str]) -> "Dataset":
        """Return the images whose label is one of `names`."""
        return self[np.isin(self.labels, list(names))]

    def without(self, names: Iterable[str]) -> "Dataset":
        """Return the images whose label is none of `names`."""
        return self[~np.isin(self.labels, list(names))]

    def counts(self) -> dict[str, int]:
        """Return how many images there are of each label, in the order of the alphabet."""
        names, counts = np.unique(self.labels, return_counts=True)
        return {str(name): int(count) for name, count in zip(names, counts, strict=True)}

    def save(self, path: Path) -> None:
        """Write an .npz file; the same dataset always gives the same bytes."""
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, images=self.images, labels=self.labels)


def load(folder: Path) -> Dataset:
    """Read every .npz file of `folder` (arrays `images` and `labels`, see Dataset) into one dataset.

    Raises FileNotFoundError when there is none, ValueError when one has other arrays or shapes.
    """
    paths = sorted(folder.rglob("*.npz"))
    if not paths:
        raise FileNotFoundError(f"{folder} holds no .npz file; stage data with: python -m training.stage")
    parts = []
    for path in paths:
        with np.load(path, allow_pickle=False) as arrays:
            if not {"images", "labels"} <= set(arrays.files):
                raise ValueError(f"{path.name} holds {arrays.files}, not 'images' and 'labels'")
            parts.append(Dataset(arrays["images"], arrays["labels"].astype(np.str_)))
    return concatenate(parts)


def concatenate(parts: Sequence[Dataset]) -> Dataset:
    """Return all images of `parts`, in order."""
    return Dataset(np.concatenate([part.images for part in parts]), np.concatenate([part.labels for part in parts]))


def split(data: Dataset, fraction: float, seed: int, most: int = 1_000_000) -> tuple[Dataset, Dataset]:
    """Return (rest, held out): of every label about `fraction` of its images, at least one and at most `most`.

    A label with a single image stays in the rest.
    """
    generator = np.random.default_rng(seed)
    held_out = np.zeros(len(data), dtype=bool)
    for name in np.unique(data.labels):
        places = generator.permutation(np.flatnonzero(data.labels == name))
        if len(places) > 1:
            held_out[places[: min(most, max(1, round(fraction * len(places))))]] = True
    return data[~held_out], data[held_out]


def targets(labels: Dataset | NDArray[np.str_], vehicles: tuple[str, ...]) -> NDArray[np.intp]:
    """Return (N,): the index of each label among `vehicles`, or len(vehicles) for any other."""
    names = labels.labels if isinstance(labels, Dataset) else labels
    places = {name: i for i, name in enumerate(vehicles)}
    return np.array([places.get(str(name), len(vehicles)) for name in names], dtype=np.intp)


def folds(data: Dataset, count: int, seed: int) -> NDArray[np.intp]:
    """Return the fold 0...count-1 of every image (N,): random, equally many of each label in every fold."""
    generator = np.random.default_rng(seed)
    fold = np.zeros(len(data), dtype=np.intp)
    for name in np.unique(data.labels):
        places = generator.permutation(np.flatnonzero(data.labels == name))
        fold[places] = np.arange(len(places)) % count
    return fold
