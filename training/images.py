"""One photo becomes one small array, in the same way for training, serving and evaluation."""

import io
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

SIDE = 32
"""Width and height of what the model sees, in pixels."""

MAX_PIXELS = 50_000_000
FORMATS = ("JPEG", "PNG", "WEBP")

_WIDEST = 2.0  # ratio of sides; squeezed further into a square, a vehicle is distorted past recognition
_DRAFT = 4 * SIDE  # JPEG decoding may shrink to no less than this: enough for the final filter to work on


class PhotoError(Exception):
    """A photo's own fault. The message holds sizes and formats at most, never bytes of the photo."""


class UnreadablePhoto(PhotoError):
    """The bytes are no complete JPEG, PNG or WebP image."""


class PhotoTooLarge(PhotoError):
    """The header announces more than `MAX_PIXELS` pixels."""


def prepare(photo: bytes) -> NDArray[np.uint8]:
    """Return the photo upright, in RGB, shrunk to (SIDE, SIDE, 3).

    `photo` is a whole JPEG, PNG or WebP file of any size, aspect ratio and colour mode. The whole picture is squeezed
    into the square; of very long pictures the middle part is taken. Transparent parts become white.

    Raises UnreadablePhoto, and PhotoTooLarge before anything is decoded.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about large and slightly broken files, both of which are handled here
        try:
            with Image.open(io.BytesIO(photo), formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise PhotoTooLarge(f"{image.width} x {image.height} pixels, at most {MAX_PIXELS} are read")
                image.draft("RGB", (_DRAFT, _DRAFT))  # JPEG only: decodes at 1/2, 1/4 or 1/8 size, many times faster
                image.load()
                return np.asarray(_shrink(image), dtype=np.uint8)
        except PhotoError:
            raise
        except Image.DecompressionBombError:
            raise PhotoTooLarge(f"more than {MAX_PIXELS} pixels") from None
        except MemoryError:
            raise PhotoTooLarge("the decoded photo does not fit in memory") from None
        except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, struct.error, zlib.error and more
            raise UnreadablePhoto(f"not a complete JPEG, PNG or WebP image ({type(error).__name__})") from None


def _shrink(image: Image.Image) -> Image.Image:
    orientation = image.getexif().get(0x0112, 1)
    width, height = image.size
    box = (0.0, 0.0, float(width), float(height))
    if width > _WIDEST * height:
        margin = (width - _WIDEST * height) / 2
        box = (margin, 0.0, width - margin, float(height))
    elif height > _WIDEST * width:
        margin = (height - _WIDEST * width) / 2
        box = (0.0, margin, float(width), height - margin)
    if image.mode in ("P", "1") or image.mode.startswith("I") or "transparency" in image.info:
        image = _plain(image)
    small = image.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=box, reducing_gap=3.0)
    small = _plain(small)
    if orientation != 1:
        exif = small.getexif()
        exif[0x0112] = orientation
        small.info["exif"] = exif.tobytes()
        small = ImageOps.exif_transpose(small)
    return small


def _plain(image: Image.Image) -> Image.Image:
    """Return the image in RGB: 16-bit scaled to 8, transparent parts white."""
    if image.mode.startswith("I"):
        levels = np.asarray(image, dtype=np.float64) / 257.0
        return Image.fromarray(levels.clip(0, 255).round().astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        layers = image.convert("RGBA")
        white = Image.new("RGBA", layers.size, "white")
        return Image.alpha_composite(white, layers).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")
