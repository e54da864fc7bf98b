"""Decode and resize photos; training, endpoint, comparison, evaluation and console all use these functions."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.decoder import ExpensivePhoto, decode, to_rgb
from training.isolation import decode_isolated
from training.orientation import turn_upright, upright_size
from training.photo_errors import PhotoTooLarge

Pixels = NDArray[np.uint8]
"""An image: uint8 (height, width, 3), RGB."""

MAX_SIDE = 256
"""Images in a data set are downscaled to this many pixels on their longer side: more than any model's input has."""

PREPROCESSING = "padded"
"""The version of the preprocessing: change it with the pixels, so that cached features of the old ones are not used."""

PADDED, DOWNSCALED = "padded", "downscaled"
"""How a photo is resized: to a square of the given side, or to at most the given side."""


class ResizedPhoto(NamedTuple):
    """A photo after decoding and resizing: its pixels, and the width and height of the upright photo in pixels."""

    pixels: Pixels
    width: int
    height: int


_GREY = (127, 127, 127)  # becomes zero when the model normalises its input


def preprocess(photo: bytes, side: int) -> Pixels:
    """Return the pixels of `preprocess_photo`, waiting while another expensive photo is being decoded."""
    return preprocess_photo(photo, side).pixels


def preprocess_photo(photo: bytes, side: int, *, wait: bool = True) -> ResizedPhoto:
    """Return the photo as RGB (side, side, 3): turned upright by its EXIF orientation, resized and padded with grey.

    `photo` is a complete JPEG, PNG, WebP, HEIC or AVIF file of any aspect ratio and colour mode. Transparency becomes
    white.

    Raises UnreadablePhoto, PhotoTooLarge and PhotoTooComplex; see training.decoder. Without `wait`, raises DecoderBusy
    when an expensive photo would have to wait for another one; see training.isolation.
    """
    return _decode_cheap_or_isolated(photo, side, PADDED, wait)


def downscale(photo: bytes, max_side: int = MAX_SIDE) -> Pixels:
    """Return the photo as RGB (height, width, 3), turned upright by its EXIF orientation and downscaled to `max_side`.

    `max_side` is the largest width and height in pixels; a smaller photo keeps its size.

    Raises UnreadablePhoto, PhotoTooLarge and PhotoTooComplex; see training.decoder.
    """

    return _decode_cheap_or_isolated(photo, max_side, DOWNSCALED, wait=True).pixels


def resize_and_pad(image: Pixels, side: int) -> Pixels:
    """Return an image (height, width, 3) resized and padded with grey to (side, side, 3)."""
    if image.shape[:2] == (side, side):
        return image
    return np.asarray(_resize_and_pad(Image.fromarray(image), side))


def resize_batch(images: list[Pixels], side: int) -> Pixels:
    """Return images of any sizes, resized and padded, as one array (N, side, side, 3)."""
    result = np.empty((len(images), side, side, 3), dtype=np.uint8)
    for index, image in enumerate(images):
        result[index] = resize_and_pad(image, side)
    return result


def decode_and_resize(photo: bytes, side: int, fit: str, *, expensive: bool = True) -> ResizedPhoto:
    """Return the photo as `preprocess_photo` does when `fit` is PADDED, and as `downscale` does when it is DOWNSCALED.

    Raises the errors of training.decoder.decode.
    """
    decoded = decode(photo, expensive=expensive)
    image, resize = decoded.image, _RESIZE[fit]
    try:
        needs_rgb_first = image.mode in ("P", "1") or image.mode.startswith("I") or "transparency" in image.info
        resized = to_rgb(resize(to_rgb(image) if needs_rgb_first else image, side))
        pixels = np.asarray(turn_upright(resized, decoded.orientation), dtype=np.uint8)
    except MemoryError:
        raise PhotoTooLarge("the decoded photo does not fit in memory") from None
    return ResizedPhoto(pixels, *upright_size(decoded.size, decoded.orientation))


def _decode_cheap_or_isolated(photo: bytes, side: int, fit: str, wait: bool) -> ResizedPhoto:
    try:
        return decode_and_resize(photo, side, fit, expensive=False)
    except ExpensivePhoto:  # decoded by a process with limits instead
        return ResizedPhoto(*decode_isolated(photo, side, fit, wait=wait))


def _downscale(image: Image.Image, max_side: int) -> Image.Image:
    ratio = max_side / max(image.size)
    if ratio >= 1:
        return image
    size = (max(1, round(image.width * ratio)), max(1, round(image.height * ratio)))
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)


def _resize_and_pad(image: Image.Image, side: int) -> Image.Image:
    ratio = side / max(image.size)
    inner = (max(1, round(image.width * ratio)), max(1, round(image.height * ratio)))
    resized = image if inner == image.size else image.resize(inner, Image.Resampling.BICUBIC, reducing_gap=3.0)
    if inner == (side, side):
        return resized
    padded = Image.new("RGB", (side, side), _GREY)
    padded.paste(to_rgb(resized), ((side - inner[0]) // 2, (side - inner[1]) // 2))
    return padded


_RESIZE = {PADDED: _resize_and_pad, DOWNSCALED: _downscale}
