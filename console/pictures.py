"""The picture that is kept beside a label: what the reviewer saw, encoded again without metadata."""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

MAX_SIDE = 1024
"""The longest side of a picture in pixels: more than any model's input has."""

_MAX_PNG_SIDE = 256  # on a small picture, the artefacts of JPEG would change what a model learns
_JPEG_QUALITY = 90


@dataclass(frozen=True)
class Picture:
    """A picture as a file. `suffix` is that of its name, `.jpg` or `.png`."""

    content: bytes
    suffix: str
    media_type: str


def encode_picture(image: Image.Image) -> Picture:
    """Return an RGB image as a file: at most MAX_SIDE pixels on the longest side, the same bytes for the same pixels.

    A small one is a PNG file, which has the exact pixels; a larger one is a JPEG file.
    """
    if max(image.size) > MAX_SIDE:
        image = ImageOps.contain(image, (MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    pixels = Image.fromarray(np.asarray(image))  # Pillow would copy metadata of the image to the file
    out = io.BytesIO()
    if max(pixels.size) <= _MAX_PNG_SIDE:
        pixels.save(out, "PNG")
        return Picture(out.getvalue(), ".png", "image/png")
    pixels.save(out, "JPEG", quality=_JPEG_QUALITY)
    return Picture(out.getvalue(), ".jpg", "image/jpeg")
