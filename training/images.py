"""Decode and resize photos; training, endpoint, comparison and evaluation all use these functions."""

import io
import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
"""An image: uint8 (height, width, 3), RGB."""

MAX_PIXELS = 50_000_000
"""A photo with more pixels is refused before it is decoded."""

FORMATS = ("JPEG", "PNG", "WEBP")

MAX_SIDE = 256
"""Images in a data set are downscaled to this many pixels on their longer side: more than any model's input has."""

PREPROCESSING = "padded"
"""The version of the preprocessing: change it with the pixels, so that cached features of the old ones are not used."""

_GREY = (127, 127, 127)  # becomes zero when the model normalises its input
_ORIENTATION = 0x0112
_TRANSPOSE_BY_ORIENTATION = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class PhotoError(Exception):
    """The photo cannot be used. The message holds sizes and formats, never bytes of the photo."""


class UnreadablePhoto(PhotoError):
    """The bytes are no complete JPEG, PNG or WebP image."""


class PhotoTooLarge(PhotoError):
    """The photo has more than MAX_PIXELS pixels, or does not fit in memory."""


def preprocess(photo: bytes, side: int) -> Pixels:
    """Return the photo as RGB (side, side, 3): turned upright by its EXIF orientation, resized and padded with grey.

    `photo` is a complete JPEG, PNG or WebP file of any size, aspect ratio and colour mode. Transparency becomes white.

    Raises UnreadablePhoto, and PhotoTooLarge before the photo is decoded.
    """
    return _decode(photo, side, lambda image: _resize_and_pad(image, side))


def downscale(photo: bytes, max_side: int = MAX_SIDE) -> Pixels:
    """Return the photo as RGB (height, width, 3), turned upright by its EXIF orientation and downscaled to `max_side`.

    `max_side` is the largest width and height in pixels; a smaller photo keeps its size.

    Raises UnreadablePhoto, and PhotoTooLarge before the photo is decoded.
    """

    def resize(image: Image.Image) -> Image.Image:
        ratio = max_side / max(image.size)
        if ratio >= 1:
            return image
        size = (max(1, round(image.width * ratio)), max(1, round(image.height * ratio)))
        return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)

    return _decode(photo, max_side, resize)


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


def _decode(photo: bytes, side: int, resize: Callable[[Image.Image], Image.Image]) -> Pixels:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of large and damaged files, which are handled here
        try:
            with Image.open(io.BytesIO(photo), formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise PhotoTooLarge(f"{image.width} x {image.height} pixels, at most {MAX_PIXELS} are read")
                image.draft("RGB", (2 * side, 2 * side))  # JPEG only: decodes at 1/2, 1/4 or 1/8 size, much faster
                image.load()
                orientation = image.getexif().get(_ORIENTATION, 1)
                needs_rgb_first = image.mode in ("P", "1") or image.mode.startswith("I") or "transparency" in image.info
                resized = _rgb(resize(_rgb(image) if needs_rgb_first else image))
                transpose = _TRANSPOSE_BY_ORIENTATION.get(orientation) if isinstance(orientation, int) else None
                return np.asarray(resized if transpose is None else resized.transpose(transpose), dtype=np.uint8)
        except PhotoError:
            raise
        except Image.DecompressionBombError:
            raise PhotoTooLarge(f"more than {MAX_PIXELS} pixels") from None
        except MemoryError:
            raise PhotoTooLarge("the decoded photo does not fit in memory") from None
        except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, struct.error, zlib.error and more
            raise UnreadablePhoto(f"not a complete JPEG, PNG or WebP image ({type(error).__name__})") from None


def _resize_and_pad(image: Image.Image, side: int) -> Image.Image:
    ratio = side / max(image.size)
    inner = (max(1, round(image.width * ratio)), max(1, round(image.height * ratio)))
    resized = image if inner == image.size else image.resize(inner, Image.Resampling.BICUBIC, reducing_gap=3.0)
    if inner == (side, side):
        return resized
    padded = Image.new("RGB", (side, side), _GREY)
    padded.paste(_rgb(resized), ((side - inner[0]) // 2, (side - inner[1]) // 2))
    return padded


def _rgb(image: Image.Image) -> Image.Image:
    """Return the image as RGB, with 16-bit levels scaled to 8 bits and transparency on white."""
    if image.mode.startswith("I"):
        levels = np.asarray(image, dtype=np.float64) / 257.0
        return Image.fromarray(levels.clip(0, 255).round().astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        layers = image.convert("RGBA")
        white = Image.new("RGBA", layers.size, "white")
        return Image.alpha_composite(white, layers).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")
