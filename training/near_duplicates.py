"""Which photos show the same picture, though their files differ: encoded again, resized, brightened or cropped.

Two steps compare pictures. The difference hash (dHash, N. Krawetz, "Kind of Like That", 2013) of candidates differs in
at most MAX_HAMMING of 64 bits. Then a linear regression explains the grey levels of one picture by those of the other,
by its gradients, which stand for a small shift and crop (B. Lucas and T. Kanade, 1981), and by a constant; contrast and
brightness do not matter. Pictures are the same when the regression explains at least MIN_EXPLAINED of the variance.
docs/model/README.md states what was measured to choose both numbers. A mirrored picture counts as another one.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from training.images import Pixels

Ints = NDArray[np.intp]
_Levels = NDArray[np.float32]

MAX_HAMMING = 14
MIN_EXPLAINED = 0.965
MIN_CORRELATION = 0.8
"""Candidates with a smaller correlation are not compared further, which saves time."""

MAX_BLANK_DIFFERENCE = 8.0
"""Of the mean colours of two blank pictures that are the same, in levels of 0 to 255."""

_SIDE = 32  # pixels of the compared pictures
_BLUR = 1.0  # pixels; makes the gradients describe shifts of a pixel
_NOISE = 2.0  # grey levels; a picture with a smaller standard deviation is blank


def group_same_pictures(images: list[Pixels]) -> Ints:
    """Return (N,): for each image the index of the first one that shows the same picture, its own if there is none.

    Each image is compared with the first ones of earlier groups only, so a group cannot grow step by step into pictures
    that differ, and N copies of one picture take N comparisons.
    """
    result = np.arange(len(images))
    firsts: list[int] = []
    hashes = np.zeros(len(images), dtype=np.uint64)
    pictures = np.zeros((len(images), _SIDE * _SIDE), dtype=np.float32)  # of the first ones, with mean 0 and norm 1
    for index, image in enumerate(images):
        levels = _grey_levels(image)
        normalised = _normalise(levels)
        own_hash = difference_hash(image)
        distances = np.bitwise_count(hashes[: len(firsts)] ^ own_hash)
        near = np.flatnonzero(distances <= MAX_HAMMING)
        correlations = pictures[near] @ normalised
        if normalised.any():  # a blank picture correlates with none, but looks like any other blank one
            near, correlations = near[correlations >= MIN_CORRELATION], correlations[correlations >= MIN_CORRELATION]
        for place in near[np.argsort(-correlations, kind="stable")]:
            if is_same_picture(images[firsts[place]], image):
                result[index] = firsts[place]
                break
        else:
            hashes[len(firsts)], pictures[len(firsts)] = own_hash, normalised
            firsts.append(index)
    return result


def difference_hash(image: Pixels) -> np.uint64:
    """Return 64 bits: whether each of 8 x 8 pixels is brighter than its left one, in a picture of 9 x 8 greys."""
    small = Image.fromarray(image).convert("L").resize((9, 8), Image.Resampling.BOX)
    levels = np.asarray(small, dtype=np.int16)
    bits: np.uint64 = np.packbits(levels[:, 1:] > levels[:, :-1]).view(np.uint64)[0]
    return bits


def is_same_picture(first: Pixels, second: Pixels) -> bool:
    """Return whether one of the pictures explains MIN_EXPLAINED of the other's variance, or both are blank and alike.

    In both directions, because the margins that a crop removed cannot be explained by what is left.
    """
    if _is_blank(first) and _is_blank(second):
        difference = first.mean(axis=(0, 1)) - second.mean(axis=(0, 1))
        return bool(np.abs(difference).max() <= MAX_BLANK_DIFFERENCE)
    return explained_variance(first, second) >= MIN_EXPLAINED or explained_variance(second, first) >= MIN_EXPLAINED


def explained_variance(first: Pixels, second: Pixels) -> float:
    """Return the share of the variance of the second picture that the first explains, in [0, 1]; 0 without variance."""
    source, target = _grey_levels(first).astype(np.float64), _grey_levels(second).astype(np.float64)
    deviation = target - target.mean()
    if not deviation.any():
        return 0.0
    vertical, horizontal = np.gradient(source)
    y, x = np.mgrid[-1 : 1 : _SIDE * 1j, -1 : 1 : _SIDE * 1j]
    terms = (source, np.ones_like(source), horizontal, vertical, x * horizontal, y * vertical)
    inputs = np.stack([term.ravel() for term in terms], axis=1)
    solution = np.linalg.lstsq(inputs.T @ inputs, inputs.T @ target.ravel(), rcond=None)[0]
    residuals = target.ravel() - inputs @ solution
    return float(max(0.0, 1 - (residuals**2).sum() / (deviation**2).sum()))


def _is_blank(image: Pixels) -> bool:
    return bool(_grey_levels(image).std() < _NOISE)


def _grey_levels(image: Pixels) -> _Levels:
    """Return the picture as float32 (_SIDE, _SIDE), slightly blurred."""
    small = Image.fromarray(image).convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX)
    return np.asarray(small.filter(ImageFilter.GaussianBlur(_BLUR)), dtype=np.float32)


def _normalise(levels: _Levels) -> _Levels:
    """Return the levels as a vector with mean 0 and norm 1; zeros for a blank picture."""
    vector = levels.ravel() - levels.mean()
    result: _Levels = vector / np.linalg.norm(vector) if levels.std() >= _NOISE else np.zeros_like(vector)
    return result
