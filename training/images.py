"""One photo becomes one small array, in the same way for training, serving and evaluation."""

import io
import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
"""A picture: uint8 (height, width, 3), RGB."""

MAX_PIXELS = 50_000_000
FORMATS = ("JPEG", "PNG", "WEBP")

LONGEST = 256
"""Pictures in a data set keep up to this many pixels on their longer side: more than any model here sees."""

PREPARATION = "padded"
"""Changes when the same photo becomes other pixels, so that features kept from before are not used."""

_GREY = (127, 127, 127)  # becomes zero when the model normalises its input
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class PhotoError(Exception):
    """A photo's own fault. The message holds sizes and formats at most, never bytes of the photo."""


class UnreadablePhoto(PhotoError):
    """The bytes are no complete JPEG, PNG or WebP image."""


class PhotoTooLarge(PhotoError):
    """The header announces more than `MAX_PIXELS` pixels."""


def prepare(photo: bytes, side: int) -> Pixels:
    """Return the whole photo upright, in RGB, with its aspect ratio, padded with grey to (side, side, 3).

    `photo` is a whole JPEG, PNG or WebP file of any size, aspect ratio and colour mode; transparent parts become white.

    Raises UnreadablePhoto, and PhotoTooLarge before anything is decoded.
    """
    return _decoded(photo, side, lambda image: _square(image, side))


def shrink(photo: bytes, longest: int = LONGEST) -> Pixels:
    """Return the whole photo upright, in RGB, with its aspect ratio, at most `longest` pixels on a side.

    Raises UnreadablePhoto, and PhotoTooLarge before anything is decoded.
    """

    def fit(image: Image.Image) -> Image.Image:
        ratio = longest / max(image.size)
        if ratio >= 1:
            return image
        size = (max(1, round(image.width * ratio)), max(1, round(image.height * ratio)))
        return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)

    return _decoded(photo, longest, fit)


def square(picture: Pixels, side: int) -> Pixels:
    """Return a picture (height, width, 3) as a model of `side` pixels sees it: (side, side, 3)."""
    if picture.shape[:2] == (side, side):
        return picture
    return np.asarray(_square(Image.fromarray(picture), side))


def squares(pictures: list[Pixels], side: int) -> Pixels:
    """Return pictures of any sizes as one array (N, side, side, 3)."""
    result = np.empty((len(pictures), side, side, 3), dtype=np.uint8)
    for place, picture in enumerate(pictures):
        result[place] = square(picture, side)
    return result


def _decoded(photo: bytes, side: int, fit: Callable[[Image.Image], Image.Image]) -> Pixels:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about large and slightly broken files, both of which are handled here
        try:
            with Image.open(io.BytesIO(photo), formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise PhotoTooLarge(f"{image.width} x {image.height} pixels, at most {MAX_PIXELS} are read")
                image.draft("RGB", (2 * side, 2 * side))  # JPEG only: decodes at 1/2, 1/4 or 1/8 size, much faster
                image.load()
                orientation = image.getexif().get(_ORIENTATION, 1)
                levels = image.mode in ("P", "1") or image.mode.startswith("I") or "transparency" in image.info
                small = _rgb(fit(_rgb(image) if levels else image))
                turn = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
                return np.asarray(small if turn is None else small.transpose(turn), dtype=np.uint8)
        except PhotoError:
            raise
        except Image.DecompressionBombError:
            raise PhotoTooLarge(f"more than {MAX_PIXELS} pixels") from None
        except MemoryError:
            raise PhotoTooLarge("the decoded photo does not fit in memory") from None
        except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, struct.error, zlib.error and more
            raise UnreadablePhoto(f"not a complete JPEG, PNG or WebP image ({type(error).__name__})") from None


def _square(image: Image.Image, side: int) -> Image.Image:
    ratio = side / max(image.size)
    inner = (max(1, round(image.width * ratio)), max(1, round(image.height * ratio)))
    small = image if inner == image.size else image.resize(inner, Image.Resampling.BICUBIC, reducing_gap=3.0)
    if inner == (side, side):
        return small
    padded = Image.new("RGB", (side, side), _GREY)
    padded.paste(_rgb(small), ((side - inner[0]) // 2, (side - inner[1]) // 2))
    return padded


def _rgb(image: Image.Image) -> Image.Image:
    """Return the image in RGB: 16-bit scaled to 8, transparent parts white."""
    if image.mode.startswith("I"):
        levels = np.asarray(image, dtype=np.float64) / 257.0
        return Image.fromarray(levels.clip(0, 255).round().astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        layers = image.convert("RGBA")
        white = Image.new("RGBA", layers.size, "white")
        return Image.alpha_composite(white, layers).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")
