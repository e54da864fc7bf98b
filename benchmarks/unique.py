"""Photos whose files differ from each other, made from a few drawings."""

import struct
import zlib
from collections.abc import Iterator
from itertools import cycle

from benchmarks.photos import drawings
from operate.uploads import Source

DRAWN_PER_VEHICLE = 16
_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"


def unique_photos(run: str) -> Iterator[Source]:
    """Return drawings as PNG files without end; each contains the run and its number as text, so no two are equal."""
    drawn = list(drawings(DRAWN_PER_VEHICLE, seed=21))
    return (
        Source(photo.name, with_text(photo.content, f"{run} {number}"), photo.label)
        for number, photo in enumerate(cycle(drawn))
    )


def with_text(png: bytes, comment: str) -> bytes:
    """Return a PNG file with a tEXt chunk before its end. Raises ValueError when the file does not end as a PNG does.

    Source: "tEXt: Textual data", Portable Network Graphics Specification.
    """
    if not png.endswith(_END):
        raise ValueError("the file does not end with the IEND chunk of a PNG")
    data = b"tEXt" + b"Comment\x00" + comment.encode("latin-1")
    chunk = struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))
    return png.removesuffix(_END) + chunk + _END
