"""Photos with odd metadata, damage, or decoding work out of proportion to their size."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """Return an image as a file of one of Pillow's formats, or of HEIF."""
    file = io.BytesIO()
    if kind == "HEIF":
        pillow_heif.from_pillow(image).save(file, **options)
    else:
        image.save(file, kind, **options)
    return file.getvalue()


def noise(width: int = 120, height: int = 90) -> Image.Image:
    """Return an RGB image of noise."""
    levels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(levels)


def tiff(*entries: tuple[int, int, int, bytes]) -> bytes:
    """Return EXIF metadata: a TIFF directory of (tag, type, count, value)."""
    after = 8 + 2 + 12 * len(entries) + 4
    out, tail = struct.pack("<H", len(entries)), b""
    for tag, kind, count, value in entries:
        out += struct.pack("<HHI", tag, kind, count)
        out += value.ljust(4, b"\0") if len(value) <= 4 else struct.pack("<I", after + len(tail))
        tail += value if len(value) > 4 else b""
    return b"II*\0" + struct.pack("<I", 8) + out + struct.pack("<I", 0) + tail


def with_segment(jpeg: bytes, marker: int, content: bytes) -> bytes:
    """Return a JPEG file with one more segment behind its start marker."""
    return jpeg[:2] + bytes((0xFF, marker)) + struct.pack(">H", len(content) + 2) + content + jpeg[2:]


def with_exif(jpeg: bytes, metadata: bytes) -> bytes:
    """Return a JPEG file with EXIF metadata."""
    return with_segment(jpeg, 0xE1, b"Exif\0\0" + metadata)


def with_chunk(png: bytes, kind: bytes, data: bytes) -> bytes:
    """Return a PNG file with one more chunk behind IHDR."""
    chunk = struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return png[:33] + chunk + png[33:]


def jpeg_of_empty_scans(width: int, height: int, count: int) -> bytes:
    """Return a white progressive JPEG file with `count` more copies of its last scan, which changes nothing."""
    jpeg = encoded(Image.new("RGB", (width, height), "white"), "JPEG", progressive=True)
    return jpeg[:-2] + jpeg[jpeg.rindex(b"\xff\xda") : -2] * count + b"\xff\xd9"


def webp_header(width: int, height: int) -> bytes:
    """Return a WebP file of 46 bytes that announces a size and has no image."""
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF\x26\0\0\0WEBPVP8X\x0a\0\0\0\x10\0\0\0" + size + b"VP8 \x08\0\0\0" + bytes(8)


def grey_16_bit(width: int, height: int) -> bytes:
    """Return a 16-bit grey PNG file with a gradient from black to white."""
    row = np.linspace(0, 65535, width).astype(np.uint16)
    return encoded(Image.fromarray(np.broadcast_to(row, (height, width)).copy()))
