"""Photos that are made to show one picture to the model and another to a reviewer.

Each file contains the picture `FIRST` and a way to hide it, or to replace it with `SECOND`, from some decoders.
"""

import io
import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from tests.support.hostile_photos import (
    PNG_SIGNATURE,
    encoded,
    grey_16_bit,
    png_chunk,
    png_file,
    tiff,
    with_chunk,
    with_exif,
    with_segment,
)

ORIENTATION = 0x0112


def _pictures() -> tuple[Image.Image, Image.Image]:
    first = np.full((480, 640, 3), (40, 80, 160), np.uint8)
    first[120:240, 80:320] = (250, 220, 30)
    first[360:, :210] = (200, 30, 30)
    return Image.fromarray(first), Image.fromarray(np.ascontiguousarray(255 - first[::-1, ::-1]))


FIRST, SECOND = _pictures()


def clipped_jpeg(full: Image.Image, reduced: Image.Image, side: int = 3200, gain: int = 40) -> bytes:
    """Return a JPEG file that shows `full` when it is decoded at its size, and `reduced` at an eighth of it.

    At an eighth of the size a decoder uses only the mean of each block of 8 x 8 pixels. Here the other coefficients are
    multiplied by `gain`, so that at full size the pixels are clipped to black and white, and the share of white ones
    determines what is seen. `side` is the width and height in pixels.
    """
    blocks = (side // 8, side // 8)
    full_levels = np.asarray(full.convert("L").resize(blocks), dtype=float)
    means = np.asarray(reduced.convert("L").resize(blocks), dtype=float).clip(24, 231)
    order = np.random.default_rng(0).permutation(64).reshape(8, 8)
    white = (order < (full_levels / 255 * 64)[:, :, None, None]).astype(float)
    levels = means[:, :, None, None] + 12 * (white - white.mean((2, 3), keepdims=True))
    image = levels.transpose(0, 2, 1, 3).reshape(side, side).round().clip(0, 255).astype(np.uint8)
    jpeg = bytearray(encoded(Image.fromarray(image), "JPEG", qtables=[[1] * 64]))
    table = jpeg.index(b"\xff\xdb") + 5
    jpeg[table + 1 : table + 64] = bytes([gain]) * 63
    return bytes(jpeg)


def scaled_png(side: int, model_side: int = 192) -> bytes:
    """Return a PNG file in which the pixels that a nearest-neighbour resize to `model_side` reads show SECOND.

    Quiring et al., "Adversarial Preprocessing" (USENIX Security 2020): a resize that weighs few source pixels can be
    given any picture by these pixels alone.
    """
    pixels = np.asarray(FIRST.resize((side, side))).copy()
    read = ((np.arange(model_side) + 0.5) * side / model_side).astype(int)
    pixels[np.ix_(read, read)] = np.asarray(SECOND.resize((model_side, model_side)))
    return encoded(Image.fromarray(pixels))


def _png(samples: NDArray[np.uint16], colour: int, *chunks: bytes) -> bytes:
    """Return a 16-bit PNG file of samples (height, width, channels)."""
    height, width = samples.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    header = png_chunk(b"IHDR", struct.pack(">LLBBBBB", width, height, 16, colour, 0, 0, 0))
    data = png_chunk(b"IDAT", zlib.compress(rows))
    return b"".join([PNG_SIGNATURE, header, *chunks, data, png_chunk(b"IEND", b"")])


def _two_in_16_bits(mode: str) -> NDArray[np.uint16]:
    """FIRST in the high bytes, SECOND in the low ones."""
    high, low = (np.asarray(picture.convert(mode)).astype(np.uint16) for picture in (FIRST, SECOND))
    both: NDArray[np.uint16] = (high << 8) | low
    return both


def _frames(kind: str, *others: Image.Image, **options: object) -> bytes:
    out = io.BytesIO()
    FIRST.save(out, kind, save_all=True, append_images=list(others), **options)
    return out.getvalue()


def _alpha() -> Iterator[tuple[str, bytes]]:
    half = Image.new("L", FIRST.size)
    half.paste(255, (0, 0, 320, 480))
    gradient = Image.fromarray(np.broadcast_to(np.linspace(0, 255, 640).astype(np.uint8), (480, 640)).copy())
    for name, alpha in (("clear", Image.new("L", FIRST.size)), ("half", half), ("gradient", gradient)):
        layered = FIRST.copy()
        layered.putalpha(alpha)
        for kind in ("PNG", "WEBP", "AVIF", "HEIF"):
            options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
            yield f"{name} alpha, {kind}", encoded(layered, kind, **options)
    palette = FIRST.quantize(16)
    yield "transparent colour of a palette", encoded(palette, transparency=0)
    yield "transparency of each colour", encoded(palette, transparency=bytes([0, 128] * 8))
    yield "transparent colour", encoded(FIRST, transparency=(40, 80, 160))
    yield "transparent grey", encoded(FIRST.convert("L"), transparency=FIRST.convert("L").getpixel((0, 0)))


def _depth() -> Iterator[tuple[str, bytes]]:
    colours, grey = _two_in_16_bits("RGB"), _two_in_16_bits("L")[:, :, None]
    yield "16-bit colours", _png(colours, 2)
    yield "16-bit alpha", _png(np.dstack([colours, np.full((480, 640), 0x00FF, np.uint16)]), 6)
    yield "16-bit grey", _png(grey, 0)
    yield "16-bit grey with alpha", _png(np.dstack([grey, np.full((480, 640), 0x8000, np.uint16)]), 4)
    yield "16-bit transparent grey", _png(grey, 0, png_chunk(b"tRNS", struct.pack(">H", int(grey[0, 0, 0]))))
    yield "16-bit gradient", grey_16_bit(640, 480)
    for interlaced in (False, True):
        for depth in (1, 2, 4):
            yield f"{depth}-bit palette, interlaced {interlaced}", png_file(192, 144, depth, 3, interlaced=interlaced)
            yield f"{depth}-bit grey, interlaced {interlaced}", png_file(192, 144, depth, 0, interlaced=interlaced)


def _colour() -> Iterator[tuple[str, bytes]]:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = profile.replace(b"rXYZ", b"tmpX").replace(b"bXYZ", b"rXYZ").replace(b"tmpX", b"bXYZ")
    for kind in ("PNG", "JPEG", "WEBP", "AVIF"):
        yield f"profile that swaps red and blue, {kind}", encoded(FIRST, kind, icc_profile=swapped)
    png, jpeg = encoded(FIRST), encoded(FIRST, "JPEG", quality=95)
    for kind, data in (
        (b"gAMA", struct.pack(">L", 1)),
        (b"gAMA", struct.pack(">L", 500_000)),
        (b"sBIT", b"\1\1\1"),
        (b"bKGD", struct.pack(">HHH", 255, 0, 0)),
        (b"cICP", bytes([9, 16, 0, 1])),
    ):
        yield f"{kind.decode()} {data.hex()}", with_chunk(png, kind, data)
    for mode in ("CMYK", "L"):
        yield f"{mode} JPEG", encoded(FIRST.convert(mode), "JPEG", quality=95)
    yield "CMYK JPEG without Adobe marker", encoded(FIRST.convert("CMYK"), "JPEG").replace(b"Adobe", b"Adobx")
    yield "RGB JPEG", encoded(FIRST, "JPEG", quality=95, keep_rgb=True)
    for transform in (0, 2):
        marker = b"Adobe\0\x64\0\0\0\0" + bytes([transform])
        yield f"JPEG with Adobe transform {transform}", with_segment(jpeg, 0xEE, marker)


def _frames_and_parts() -> Iterator[tuple[str, bytes]]:
    png, jpeg = encoded(FIRST), encoded(FIRST, "JPEG", quality=95)
    yield "animated PNG with a default image", _frames("PNG", SECOND, SECOND, default_image=True)
    yield "animated PNG", _frames("PNG", SECOND)
    yield "animated WebP", _frames("WEBP", SECOND, lossless=True)
    yield "AVIF sequence", _frames("AVIF", SECOND)
    yield "JPEG with a second image", _frames("MPO", SECOND)
    yield "JPEG, then PNG", jpeg + encoded(SECOND)
    yield "JPEG, then JPEG", jpeg + encoded(SECOND, "JPEG")
    yield "PNG, then JPEG", png + encoded(SECOND, "JPEG")
    yield "second header", png[:33] + png[8:33] + png[33:]
    yield "offset", with_chunk(png, b"oFFs", struct.pack(">llB", 500, 500, 0))
    yield "pixel shape", with_chunk(png, b"pHYs", struct.pack(">LLB", 1, 100, 0))
    progressive = encoded(FIRST, "JPEG", progressive=True, quality=95)
    scans = [at for at in range(len(progressive)) if progressive[at : at + 2] == b"\xff\xda"]
    for count in (1, 3, len(scans) - 1):
        yield f"{count} of {len(scans)} scans", progressive[: scans[count]] + b"\xff\xd9"


def _orientation() -> Iterator[tuple[str, bytes]]:
    png, jpeg = encoded(FIRST), encoded(FIRST, "JPEG", quality=95)
    for value in (2, 3, 6, 8, 9):
        exif = tiff((ORIENTATION, 3, 1, struct.pack("<H", value)))
        yield f"orientation {value}, JPEG", with_exif(jpeg, exif)
        yield f"orientation {value}, PNG", with_chunk(png, b"eXIf", exif)
        upside_down = with_exif(jpeg, tiff((ORIENTATION, 3, 1, b"\3\0")))
        yield f"orientations 3 and {value}", with_exif(upside_down, exif)


def _scaling() -> Iterator[tuple[str, bytes]]:
    for side in (768, 960, 1536, 3072):
        yield f"pixels of a resize from {side}", scaled_png(side)
    for side in (1600, 3200):
        yield f"clipped coefficients, {side} pixels", clipped_jpeg(FIRST, SECOND, side)


_KINDS: tuple[Callable[[], Iterator[tuple[str, bytes]]], ...] = (
    _alpha, _depth, _colour, _frames_and_parts, _orientation, _scaling,
)  # fmt: skip


def crafted_photos() -> dict[str, bytes]:
    """Return the files by a description."""
    return {name: photo for kind in _KINDS for name, photo in kind()}
