"""Read the chunks of a PNG file without decoding it, and leave out those that are not needed for its pixels."""

import struct
import zlib
from dataclasses import dataclass

from training.orientation import read_orientation
from training.photo_errors import PhotoTooComplex, UnreadablePhoto

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_CHUNKS = 100_000
_MAX_XMP = 65_536
_XMP_NAME = b"XML:com.adobe.xmp\0"
_TRANSPARENCY_LENGTHS = {0: 2, 2: 6}  # by colour type; a palette may have up to 256 entries


@dataclass
class PngFile:
    """What the chunks say. `content` is the file without metadata and animation; it always has an end chunk."""

    content: bytes
    width: int
    height: int
    orientation: int


def read_png(photo: bytes) -> PngFile:
    """Read the chunks of a PNG file. Raises UnreadablePhoto without IHDR, PhotoTooComplex above MAX_CHUNKS."""
    kept, exif, xmp = [SIGNATURE], b"", b""
    position, chunks = len(SIGNATURE), 0
    header = photo[16:29]
    if photo[12:16] != b"IHDR" or len(header) < 13:
        raise UnreadablePhoto("the PNG file has no header")
    while position + 8 <= len(photo):
        chunks += 1
        if chunks > MAX_CHUNKS:
            raise PhotoTooComplex(f"the PNG file has more than {MAX_CHUNKS:,} chunks")
        (length,) = struct.unpack_from(">L", photo, position)
        kind = photo[position + 4 : position + 8]
        start, end = position + 8, position + 8 + length
        position = end + 4
        if kind == b"IEND":
            break
        if kind == b"IDAT" and length and position > len(photo):
            kept.append(_chunk(kind, photo[start:end]))  # complete if nothing but the end of the file is missing
        elif kind in (b"IHDR", b"PLTE") or (kind == b"IDAT" and length):
            kept.append(photo[start - 8 : position])
        elif kind == b"tRNS" and _is_transparency(header[9], length):
            kept.append(_chunk(kind, photo[start:end]))
        elif kind == b"eXIf" and not exif:
            exif = photo[start:end]
        elif kind == b"iTXt" and photo.startswith(_XMP_NAME, start) and not xmp:
            xmp = _read_text(photo[start + len(_XMP_NAME) : end])
    width, height = struct.unpack_from(">LL", header)
    content = b"".join([*kept, _chunk(b"IEND", b"")])
    return PngFile(content, width, height, read_orientation(exif, xmp))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))


def _is_transparency(colour_type: int, length: int) -> bool:
    if colour_type == 3:
        return 1 <= length <= 256
    return length == _TRANSPARENCY_LENGTHS.get(colour_type)


def _read_text(text: bytes) -> bytes:
    """Return at most _MAX_XMP bytes of an iTXt chunk, from its compression flag on."""
    if text[:1] != b"\1":
        return text[:_MAX_XMP]
    compressed = text[2:].split(b"\0", 2)[-1]
    try:
        return zlib.decompressobj().decompress(compressed, _MAX_XMP)
    except zlib.error:  # a damaged text chunk has no orientation
        return b""
