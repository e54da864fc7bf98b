"""The orientation of a photo: an integer from 1 to 8 in its EXIF or XMP metadata; anything else counts as 1."""

import re
import struct

from PIL import Image

_TAG = 0x0112
_INTEGER_TYPES = {3: "H", 4: "L", 8: "h", 9: "l"}  # SHORT, LONG, SSHORT, SLONG
_MAX_ENTRIES = 1000
_XMP = re.compile(rb"""tiff:Orientation(?:=["']|>)([1-8])(?![0-9])""")
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_orientation(exif: bytes = b"", xmp: bytes = b"") -> int:
    """Return the orientation, 1 to 8. `exif` begins with a TIFF header, or with `Exif` and two zeros before it.

    Only the tag of the orientation is read, so that damage elsewhere in the metadata has no effect. XMP is used when
    the EXIF metadata has no valid orientation.

    >>> read_orientation(bytes.fromhex("4d4d002a00000008 0001 0112 0003 00000001 00060000"))
    6
    >>> read_orientation(b"no TIFF header", b'<x tiff:Orientation="3">')
    3
    """
    found = _read_exif(exif.removeprefix(b"Exif\0\0"))
    if found is None and (match := _XMP.search(xmp)):
        found = int(match[1])
    return found or 1


def _read_exif(tiff: bytes) -> int | None:
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None or len(tiff) < 8:
        return None
    (start,) = struct.unpack_from(f"{order}L", tiff, 4)
    if start + 2 > len(tiff):
        return None
    (count,) = struct.unpack_from(f"{order}H", tiff, start)
    for index in range(min(count, _MAX_ENTRIES)):
        entry = tiff[start + 2 + 12 * index : start + 14 + 12 * index]
        if len(entry) < 12:
            return None
        tag, kind, values = struct.unpack_from(f"{order}HHL", entry)
        if tag == _TAG:
            if kind not in _INTEGER_TYPES or values != 1:
                return None
            value = struct.unpack_from(order + _INTEGER_TYPES[kind], entry, 8)[0]
            return int(value) if 1 <= value <= 8 else None
    return None


def turn_upright(image: Image.Image, orientation: int) -> Image.Image:
    """Return the image turned upright, given its orientation."""
    transpose = _TRANSPOSE.get(orientation)
    return image if transpose is None else image.transpose(transpose)


def upright_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Return width and height of an image of `size` turned upright.

    >>> upright_size((640, 480), 6), upright_size((640, 480), 3)
    ((480, 640), (640, 480))
    """
    return size[::-1] if orientation >= 5 else size
