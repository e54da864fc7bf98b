"""Decode a photo with bounded work. Training, evaluation, endpoint and console all use this decoder.

Before a photo is decoded, its pixels, scans, segments, frames and the memory that decoding needs are checked. Metadata
never reaches the decoding libraries, so that damaged metadata cannot make a photo unreadable. Pillow reads JPEG and PNG
files in small blocks, and reading stops after MAX_CPU_S; WebP, HEIC and AVIF are decoded in one call, whose work is
bounded by the pixels. A photo that needs much time or memory is decoded only on request: see training.isolation.
"""

import io
import math
import re
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pillow_heif
from PIL import Image

from training.avif import frame_sizes
from training.jpeg import JpegFile, read_jpeg
from training.orientation import read_orientation
from training.photo_errors import PhotoError, PhotoTooComplex, PhotoTooLarge, UnreadablePhoto
from training.photo_format import PhotoFormat, photo_format
from training.png import read_png

MAX_PIXELS = 50_000_000
"""A photo with more pixels is refused before it is decoded."""

MAX_MEMORY = 350_000_000
"""The most bytes that decoding one photo may need, beside its file and some 30 MB of the libraries."""

MAX_CPU_S = 5.0
"""The most CPU time, in seconds, that reading the compressed data of one JPEG or PNG file may take."""

EXPENSIVE_MEMORY = 130_000_000
"""A photo that needs more bytes is expensive."""

EXPENSIVE_S = 0.8
"""A photo that is estimated to need more CPU seconds is expensive. One of 24 megapixels in HEIC is not."""

MIN_SCALED_SIDE = 512
"""A JPEG file is decoded at a fraction of its size only when both sides keep this many pixels: twice a data set's."""

MAX_FRAMES = 1_000
"""A WebP, HEIC or AVIF file with more frames is refused. Only the first frame is decoded."""

_BLOCK = 32_768  # bytes of the file that Pillow decodes between two checks of the time
_MAX_CONVERTED = 12_500_000  # pixels; a larger image is reduced while it is converted to RGB
_MAX_WIDTH = 65_536  # pixels; a wider one too, because resizing with transparency needs 32 bytes per column
_TILE_PIXELS = 1_000_000
_WEBP_BYTES_PER_PIXEL = 16  # two canvases, their copy and the image
_AVIF_BYTES_PER_PIXEL = 8  # the image, its copy as RGB and as bytes; without the planes
_BYTES_BY_CHANNELS = {1: 1}  # of a decoded JPEG file, per pixel; 4 otherwise
_ROW_BYTES = 16  # of Pillow for each row, beside its pixels
_MAX_WEBP_CHUNKS = 10_000
_S_PER_PIXEL = 3e-8  # CPU time of PNG, WebP, HEIC and AVIF, and of converting pixels
_S_PER_SCANNED_PIXEL = 2e-9  # of JPEG, for each scan
_S_PER_BYTE = 3e-8  # of the compressed data of every format
_ALPHA_MODES = ("RGBA", "LA", "PA", "RGBa", "La")
_EXIF_ITEM = re.compile(rb"(infe\x02\x00\x00[\x00\x01].{4})Exif", re.DOTALL)
_AV1_CONFIGURATION = re.compile(rb"av1C\x81.(.)", re.DOTALL)

pillow_heif.options.DECODE_THREADS = 1  # photos are decoded at the same time, each with one thread


@dataclass
class Decoded:
    """The first frame of a photo as it is stored: not yet upright, in any of Pillow's modes. `size` is the file's.

    `image` of a JPEG file may be downscaled by 2, 4 or 8. The factor depends on the file only: a file can be made whose
    pixels are clipped differently at each factor, so that it shows one picture to the model and another to a reviewer.
    """

    image: Image.Image
    orientation: int
    size: tuple[int, int]


class ExpensivePhoto(Exception):
    """The photo is not decoded, because that needs more than EXPENSIVE_MEMORY or EXPENSIVE_S. It is no fault of it."""


@dataclass(frozen=True)
class _Limits:
    """The memory and the CPU time that decoding may need by its estimate."""

    memory: int = MAX_MEMORY
    cpu_s: float = math.inf

    def check(self, memory: float, pixels: float, photo: bytes, s_per_pixel: float = _S_PER_PIXEL) -> None:
        """Raise PhotoTooComplex above MAX_MEMORY, ExpensivePhoto above these limits."""
        if memory > MAX_MEMORY:
            raise PhotoTooComplex(
                f"decoding needs {int(memory) // 10**6} MB of memory, at most {MAX_MEMORY // 10**6} are used"
            )
        if memory > self.memory or pixels * s_per_pixel + len(photo) * _S_PER_BYTE > self.cpu_s:
            raise ExpensivePhoto


class _TimedFile(io.BytesIO):
    """A file in memory whose `read` raises PhotoTooComplex after `deadline`, a CPU time of the thread in seconds."""

    def __init__(self, content: bytes, deadline: float) -> None:
        super().__init__(content)
        self._deadline = deadline

    def read(self, size: int | None = -1, /) -> bytes:
        if (size is None or size > 2) and time.thread_time() > self._deadline:
            raise PhotoTooComplex(f"decoding takes more than {MAX_CPU_S:.0f} s")
        return super().read(size)


def _deadline() -> float:
    return time.thread_time() + MAX_CPU_S


def decode(photo: bytes, *, expensive: bool = True) -> Decoded:
    """Decode a JPEG, PNG, WebP, HEIC or AVIF file.

    A JPEG file is decoded at 1/2, 1/4 or 1/8 of its size if both sides then have at least MIN_SCALED_SIDE pixels.

    Raises UnreadablePhoto, PhotoTooLarge and PhotoTooComplex; ExpensivePhoto unless `expensive` photos are decoded.
    """
    kind = photo_format(photo)
    if kind is None:
        raise UnreadablePhoto("not a JPEG, PNG, WebP, HEIC or AVIF image")
    try:
        return _DECODERS[kind](photo, _Limits() if expensive else _Limits(EXPENSIVE_MEMORY, EXPENSIVE_S))
    except (PhotoError, ExpensivePhoto):
        raise
    except MemoryError:
        raise PhotoTooLarge("the decoded photo does not fit in memory") from None
    except Exception:  # the decoders raise OSError, SyntaxError, struct.error, zlib.error and more
        raise UnreadablePhoto(f"not a complete {kind.name} image") from None


def to_rgb(image: Image.Image) -> Image.Image:
    """Return the image as RGB: 16-bit levels scaled to 8 bits, transparency on white."""
    if image.mode.startswith("I"):
        levels = np.asarray(image).clip(0, 65535).astype(np.uint32)
        return Image.fromarray(((levels + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        layers = image.convert("RGBA")
        white = Image.new("RGBA", layers.size, "white")
        return Image.alpha_composite(white, layers).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _decode_jpeg(photo: bytes, limits: _Limits) -> Decoded:
    file, deadline = read_jpeg(photo), _deadline()
    _check_pixels(file.width, file.height)
    if not file.ended:
        _check_rows(file, deadline, limits)
    ratio = min(file.width, file.height) // MIN_SCALED_SIDE
    scale = max((s for s in (2, 4, 8) if s <= ratio), default=1)
    return Decoded(_load_jpeg(file.content, file, scale, deadline, limits), file.orientation, (file.width, file.height))


def _load_jpeg(
    content: bytes, file: JpegFile, scale: int, deadline: float, limits: _Limits, copies: int = 0
) -> Image.Image:
    """Decode a JPEG file at 1/`scale` of its size, or at less when that does not fit in MAX_MEMORY.

    `copies` is how many copies of the pixels the caller makes.
    """

    def memory() -> int:
        return file.coefficients + file.width * file.height // scale**2 * (
            _BYTES_BY_CHANNELS.get(file.channels, 4) + 3 * copies
        )

    with Image.open(_TimedFile(content, deadline), formats=["JPEG"]) as image:
        image.decodermaxblock = _BLOCK
        while scale < 8 and memory() > MAX_MEMORY:
            scale *= 2
        scanned = file.scans * file.width * file.height * (1 + 2 * bool(copies))
        limits.check(memory(), scanned, content, _S_PER_SCANNED_PIXEL)
        image.draft("RGB", (max(1, file.width // scale), max(1, file.height // scale)))
        image.load()
        return image


def _check_rows(file: JpegFile, deadline: float, limits: _Limits) -> None:
    """Raise UnreadablePhoto when a JPEG file without end marker lacks rows.

    A decoder fills missing rows with grey, or decodes the random data that is given to it instead. Data after the last
    row is ignored.
    """
    contents = (file.content, file.content_with_noise)
    images = [_load_jpeg(content, file, 1, deadline, limits, copies=2).tobytes() for content in contents]
    if images[0] != images[1]:
        raise UnreadablePhoto("the JPEG file is incomplete: rows are missing")


def _decode_png(photo: bytes, limits: _Limits) -> Decoded:
    file = read_png(photo)
    _check_pixels(file.width, file.height)
    pixels = file.width * file.height
    limits.check(4 * pixels + _ROW_BYTES * file.height, pixels, file.content)
    with Image.open(_TimedFile(file.content, _deadline()), formats=["PNG"]) as image:
        image.decodermaxblock = _BLOCK
        image.load()
        return Decoded(_reduce_if_large(image), file.orientation, image.size)


def _decode_webp(photo: bytes, limits: _Limits) -> Decoded:
    _check_pixels(*_webp_size(photo))
    exif, xmp, frames, chunks, position = b"", b"", 0, 0, 12
    while position + 8 <= len(photo):
        (length,) = struct.unpack_from("<L", photo, position + 4)
        kind, data = photo[position : position + 4], slice(position + 8, position + 8 + length)
        exif = photo[data] if kind == b"EXIF" and not exif else exif
        xmp = photo[data] if kind == b"XMP " and not xmp else xmp
        frames, chunks = frames + (kind == b"ANMF"), chunks + 1
        _check_frames(frames)
        if chunks > _MAX_WEBP_CHUNKS:
            raise PhotoTooComplex(f"the WebP file has more than {_MAX_WEBP_CHUNKS:,} chunks")
        position += 8 + length + length % 2
    with Image.open(io.BytesIO(photo), formats=["WEBP"]) as image:
        _check_pixels(*image.size)
        limits.check(image.width * image.height * _WEBP_BYTES_PER_PIXEL, image.width * image.height, photo)
        image.load()
        return Decoded(_reduce_if_large(image), read_orientation(exif, xmp), image.size)


def _webp_size(photo: bytes) -> tuple[int, int]:
    """Return width and height as the first chunk states them."""
    kind, header = photo[12:16], photo[20:30]
    if kind == b"VP8X" and len(header) == 10:
        return 1 + int.from_bytes(header[4:7], "little"), 1 + int.from_bytes(header[7:10], "little")
    if kind == b"VP8L" and header[:1] == b"\x2f":
        bits = int.from_bytes(header[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and len(header) == 10:
        width, height = struct.unpack("<HH", header[6:])
        return width & 0x3FFF, height & 0x3FFF
    raise UnreadablePhoto("the WebP file has no image")


def _decode_heif(photo: bytes, limits: _Limits) -> Decoded:
    file = pillow_heif.open_heif(io.BytesIO(photo), convert_hdr_to_8bit=True, remove_stride=False)
    _check_frames(len(file))
    image = file[file.primary_index]
    _check_pixels(*image.size)
    pixels = image.size[0] * image.size[1]
    limits.check(pixels * _heif_bytes_per_pixel(image), pixels, photo)
    data, stride = image.data, image.stride  # decodes; the size and mode may change
    (width, height), mode = image.size, image.mode
    _check_pixels(width, height)

    def crop(left: int, top: int, right: int, bottom: int) -> Image.Image:
        rows = data[top * stride : bottom * stride]
        band = Image.frombytes(mode, (width, bottom - top), rows, "raw", mode, stride)
        return band if (left, right) == (0, width) else band.crop((left, 0, right, bottom - top))

    # The file's rotation and mirroring are applied already; its EXIF orientation repeats them.
    if width * height <= _MAX_CONVERTED:
        return Decoded(crop(0, 0, width, height), 1, (width, height))
    return Decoded(_reduce(width, height, crop), 1, (width, height))


def _heif_bytes_per_pixel(image: pillow_heif.HeifImage) -> float:
    """Return the bytes per pixel of the planes and of their copy in the image's mode."""
    depth = 1 if image.info["bit_depth"] == 8 else 2
    chroma = image.info.get("chroma")
    colours = 1.0 if image.mode[:1] == "L" else 1.5 if chroma == 420 else 2.0 if chroma == 422 else 3.0
    return depth * (colours + image.has_alpha) + len(image.mode) + 0.5


def _decode_avif(photo: bytes, limits: _Limits) -> Decoded:
    sizes = frame_sizes(photo)
    if not sizes:
        raise UnreadablePhoto("the AVIF file has no image")
    for size in sizes:
        _check_pixels(*size)
    # Pillow cannot open a file with damaged EXIF metadata, which it does not need: the orientation is a property.
    content = _EXIF_ITEM.sub(rb"\1free", photo)
    # The still image of an animation is decoded, and not a frame whose size is unknown.
    content = content[:8] + b"avif" + content[12:]
    with Image.open(io.BytesIO(content), formats=["AVIF"]) as image:
        _check_pixels(*image.size)
        _check_frames(getattr(image, "n_frames", 1))
        pixels = image.width * image.height
        limits.check(pixels * (_AVIF_BYTES_PER_PIXEL + _avif_planes(photo, image.mode)), pixels, photo)
        orientation = read_orientation(image.info.get("exif", b""))
        image.load()
        return Decoded(_reduce_if_large(image), orientation, image.size)


def _avif_planes(photo: bytes, mode: str) -> float:
    """Return the bytes per pixel of the planes, by the first AV1 configuration in the file, and by the mode."""
    match = _AV1_CONFIGURATION.search(photo)
    flags = match[1][0] if match else 0b01000000
    depth = 2 if flags & 0b01000000 else 1
    subsampled = {0b1100: 1.5, 0b1000: 2.0}.get(flags & 0b1100, 3.0)
    return depth * (subsampled + mode.endswith("A"))


_DECODERS: dict[PhotoFormat, Callable[[bytes, _Limits], Decoded]] = {
    PhotoFormat.JPEG: _decode_jpeg,
    PhotoFormat.PNG: _decode_png,
    PhotoFormat.WEBP: _decode_webp,
    PhotoFormat.HEIF: _decode_heif,
    PhotoFormat.AVIF: _decode_avif,
}


def _reduce_if_large(image: Image.Image) -> Image.Image:
    """Return the image itself; a large one that is not RGB is reduced, so that converting it needs little memory."""
    small = image.width * image.height <= _MAX_CONVERTED and max(image.size) <= _MAX_WIDTH
    if small or (image.mode in ("RGB", "L") and "transparency" not in image.info):
        return image

    def crop(left: int, top: int, right: int, bottom: int) -> Image.Image:
        tile = image.crop((left, top, right, bottom))
        tile.info = {name: value for name, value in image.info.items() if name == "transparency"}
        return tile

    return _reduce(image.width, image.height, crop)


def _reduce(width: int, height: int, crop: Callable[[int, int, int, int], Image.Image]) -> Image.Image:
    """Return an image as RGB, reduced by an integer factor to about _MAX_CONVERTED pixels, tile by tile."""
    factor = math.ceil(math.sqrt(width * height / _MAX_CONVERTED))
    reduced = Image.new("RGB", (-(-width // factor), -(-height // factor)))
    step_x = _MAX_WIDTH // factor * factor
    step_y = max(1, _TILE_PIXELS // (min(width, step_x) * factor)) * factor
    for top in range(0, height, step_y):
        for left in range(0, width, step_x):
            tile = to_rgb(crop(left, top, min(width, left + step_x), min(height, top + step_y)))
            reduced.paste(tile.reduce(factor), (left // factor, top // factor))
    return reduced


def _check_pixels(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise PhotoTooLarge(f"{width} x {height} pixels, at most {MAX_PIXELS:,} are read")


def _check_frames(frames: int) -> None:
    if frames > MAX_FRAMES:
        raise PhotoTooComplex(f"the file has more than {MAX_FRAMES:,} frames")
