"""Which photos show the same picture, though their files differ: encoded again, resized, brightened or cropped.

Two steps compare pictures of _SIDE x _SIDE grey levels. Candidates have a difference hash (dHash, N. Krawetz, "Kind of
Like That", 2013) that differs in at most MAX_HAMMING of 64 bits, and the highest correlations. Then a linear regression
explains the grey levels of one picture by those of the other, by its gradients, which stand for a small shift and crop
(B. Lucas and T. Kanade, 1981), and by a constant; contrast and brightness do not matter. Pictures are the same when the
regression explains at least MIN_EXPLAINED of the variance, and no pixel is off by more than MAX_RESIDUAL: another
vehicle at the same place changes little of the variance, but some pixels much. docs/model/README.md states what was
measured to choose the numbers. A mirrored picture counts as another one.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from training.images import Pixels

Ints = NDArray[np.intp]
_Vector = NDArray[np.float32]

MAX_HAMMING = 14
MIN_EXPLAINED = 0.965
MAX_RESIDUAL = 0.7
"""In standard deviations of the picture, without a margin of _MARGIN pixels, where crops differ most."""

MIN_CORRELATION = 0.8
MAX_CANDIDATES = 50
"""Pictures with a smaller correlation, or beyond so many with the highest ones, are not compared further."""

MAX_BLANK_DIFFERENCE = 8.0
"""Of the mean colours of two blank pictures that are the same, in levels of 0 to 255."""

_SIDE = 32  # pixels of the compared pictures
_MARGIN = 2
_BLUR = 1.0  # pixels; makes the gradients describe shifts of a pixel
_NOISE = 2.0  # grey levels; a picture with a smaller standard deviation is blank


@dataclass(frozen=True)
class Fingerprint:
    """What is compared of a picture, so that its pixels are read once.

    `colour` (3,) is the mean colour, `hash` the difference hash. `levels` (_SIDE * _SIDE) are the grey levels with mean
    0 and norm 1, and `terms` (5, _SIDE * _SIDE) an orthonormal basis of what can be explained by them; both are zeros
    for a blank picture. `coarse` are the levels of a quarter of the pixels, with norm 1.
    """

    colour: _Vector
    hash: np.uint64
    levels: _Vector
    coarse: _Vector
    terms: NDArray[np.float32]

    @property
    def is_blank(self) -> bool:
        """Whether all pixels have about the same grey level."""
        return not self.levels.any()

    @classmethod
    def of(cls, image: Pixels) -> "Fingerprint":
        """Return the fingerprint of an image."""
        small = Image.fromarray(image).convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX)
        levels = np.asarray(small.filter(ImageFilter.GaussianBlur(_BLUR)), dtype=np.float64)
        if levels.std() < _NOISE:
            levels = np.zeros_like(levels)
        return cls(
            image.mean(axis=(0, 1), dtype=np.float64).astype(np.float32),
            difference_hash(image),
            _normalise(levels),
            _normalise(levels.reshape(_SIDE // 2, 2, _SIDE // 2, 2).mean(axis=(1, 3))),
            _explaining_terms(levels),
        )


def group_same_pictures(images: list[Pixels]) -> Ints:
    """Return (N,): for each image the index of the first one that shows the same picture, its own if there is none.

    Each image is compared with the first ones of earlier groups only, so a group cannot grow step by step into pictures
    that differ. The time for N pictures, however much they resemble each other, is that of N * N / 2 correlations of
    256 numbers and of MAX_CANDIDATES * N regressions.
    """
    result = np.arange(len(images))
    firsts: list[int] = []
    prints: list[Fingerprint] = []
    blank = np.zeros(len(images), dtype=bool)
    colours = np.zeros((len(images), 3), dtype=np.float32)
    hashes = np.zeros(len(images), dtype=np.uint64)
    coarse = np.zeros((len(images), _SIDE * _SIDE // 4), dtype=np.float32)
    for index, image in enumerate(images):
        own, count = Fingerprint.of(image), len(firsts)
        if own.is_blank:
            is_same = blank[:count] & (np.abs(colours[:count] - own.colour).max(axis=1) <= MAX_BLANK_DIFFERENCE)
            places = np.flatnonzero(is_same)
        else:
            correlations = coarse[:count] @ own.coarse
            correlations[np.bitwise_count(hashes[:count] ^ own.hash) > MAX_HAMMING] = 0
            near = np.flatnonzero(correlations >= MIN_CORRELATION)
            if len(near) > MAX_CANDIDATES:
                near = near[np.argpartition(-correlations[near], MAX_CANDIDATES)[:MAX_CANDIDATES]]
            explained = explained_variances(own, [prints[place] for place in near])
            places = near[np.argsort(-explained, kind="stable")][: np.count_nonzero(explained >= MIN_EXPLAINED)]
        if len(places):
            result[index] = firsts[places[0]]
            continue
        blank[count], colours[count], hashes[count], coarse[count] = own.is_blank, own.colour, own.hash, own.coarse
        firsts.append(index)
        prints.append(own)
    return result


def difference_hash(image: Pixels) -> np.uint64:
    """Return 64 bits: whether each of 8 x 8 pixels is brighter than its left one, in a picture of 9 x 8 greys."""
    small = Image.fromarray(image).convert("L").resize((9, 8), Image.Resampling.BOX)
    levels = np.asarray(small, dtype=np.int16)
    bits: np.uint64 = np.packbits(levels[:, 1:] > levels[:, :-1]).view(np.uint64)[0]
    return bits


def explained_variances(own: Fingerprint, others: list[Fingerprint]) -> NDArray[np.float32]:
    """Return (K,): the share of the variance of one of two pictures that the other explains, in [0, 1].

    That is the larger one of both directions, because the margins that a crop removed cannot be explained by what is
    left. A direction in which a pixel is off by more than MAX_RESIDUAL counts as 0. No picture is blank.
    """
    if not others:
        return np.zeros(0, dtype=np.float32)
    levels, terms = np.stack([other.levels for other in others]), np.stack([other.terms for other in others])
    of_own = own.levels - np.einsum("kt,ktp->kp", terms @ own.levels, terms)
    of_others = levels - (levels @ own.terms.T) @ own.terms
    explained = []
    for residuals in (of_own, of_others):
        pixels = (
            residuals.reshape(-1, _SIDE, _SIDE)[:, _MARGIN:-_MARGIN, _MARGIN:-_MARGIN] * _SIDE
        )  # norm 1: sd 1/_SIDE
        is_close = np.abs(pixels).max(axis=(1, 2)) <= MAX_RESIDUAL
        explained.append(np.where(is_close, 1 - (residuals**2).sum(axis=1), 0))
    result: NDArray[np.float32] = np.maximum(*explained)
    return result


def _explaining_terms(levels: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return an orthonormal basis (5, _SIDE * _SIDE) of the levels and their gradients, all with mean 0.

    Terms that depend on the others are replaced by zeros.
    """
    vertical, horizontal = np.gradient(levels)
    y, x = np.mgrid[-1 : 1 : _SIDE * 1j, -1 : 1 : _SIDE * 1j]
    terms = np.stack([levels, horizontal, vertical, x * horizontal, y * vertical]).reshape(5, -1)
    terms -= terms.mean(axis=1, keepdims=True)
    variances, axes = np.linalg.eigh(terms @ terms.T)
    scale = np.zeros(5)
    is_independent = variances > 1e-9 * max(variances.max(), 1.0)
    scale[is_independent] = variances[is_independent] ** -0.5
    basis: NDArray[np.float32] = ((axes * scale).T @ terms).astype(np.float32)
    return basis


def _normalise(levels: NDArray[np.float64]) -> _Vector:
    """Return the levels as a vector with mean 0 and norm 1; zeros when they are all equal."""
    vector = levels.ravel() - levels.mean()
    result: _Vector = (vector / (np.linalg.norm(vector) or 1.0)).astype(np.float32)
    return result
