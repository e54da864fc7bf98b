"""Photos with odd metadata, damage, or decoding work out of proportion to their size."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


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
    return png[:33] + png_chunk(kind, data) + png[33:]


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


_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def png_file(
    width: int,
    height: int,
    depth: int,
    colour: int,
    *,
    interlaced: bool = False,
    seed: int | None = 0,
    filtered: int = 0,
) -> bytes:
    """Return a PNG file of any depth and colour type, with random pixels, or with zeros when `seed` is None.

    `filtered` is the filter type of every row, 0 to 4.
    """
    bits = depth * _CHANNELS[colour]
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    compressor, data = zlib.compressobj(1), []
    source = np.random.default_rng(seed)
    for left, top, step_x, step_y in passes:
        columns, rows = -(-(width - left) // step_x), -(-(height - top) // step_y)
        if columns <= 0 or rows <= 0:
            continue
        row = bytes([filtered]) + bytes(-(-columns * bits // 8))
        for _ in range(rows):
            if seed is not None:
                row = bytes([filtered]) + source.bytes(len(row) - 1)
            data.append(compressor.compress(row))
    header = struct.pack(">LLBBBBB", width, height, depth, colour, 0, 0, int(interlaced))
    palette = (
        png_chunk(b"PLTE", bytes(range(256)) * 3 if depth == 8 else bytes(range(3 << depth))) if colour == 3 else b""
    )
    return b"".join(
        [
            PNG_SIGNATURE,
            png_chunk(b"IHDR", header),
            palette,
            png_chunk(b"IDAT", b"".join([*data, compressor.flush()])),
            png_chunk(b"IEND", b""),
        ]
    )


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def with_riff_chunk(webp: bytes, kind: bytes, data: bytes) -> bytes:
    """Return a WebP file with one more chunk at its end."""
    content = webp[8:] + kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    return b"RIFF" + struct.pack("<I", len(content)) + content


def with_flipped_bits(photo: bytes, seed: int, count: int) -> bytes:
    """Return a file with `count` flipped bits behind its first 4 bytes, chosen by `seed`."""
    changed = bytearray(photo)
    for position in np.random.default_rng(seed).integers(4 * 8, 8 * len(photo), count):
        changed[position // 8] ^= 1 << position % 8
    return bytes(changed)
