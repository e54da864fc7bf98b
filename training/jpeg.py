"""Read the segments of a JPEG file without decoding it: its size, the cost of decoding it, and its orientation.

The structure is that of ITU-T T.81, annex B.
"""

import random
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from training.orientation import read_orientation
from training.photo_errors import PhotoTooComplex, UnreadablePhoto

MAX_SCANS = 64
"""Baseline files have 1 to 4 scans, progressive ones of phones and web servers about 10 to 20."""

MAX_SCANNED_PIXELS = 1_000_000_000
"""The largest product of scans and pixels: 20 scans of 50 megapixels."""

MAX_SEGMENTS = 10_000

END = b"\xff\xd9"
_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")  # no stuffed zero, no restart marker
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_RST0, _SOI, _EOI, _SOS, _TEM = 0xD0, 0xD8, 0xD9, 0xDA, 0x01
_APP0, _APP1, _APP14, _APP15, _COM = 0xE0, 0xE1, 0xEE, 0xEF, 0xFE
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # without DHT, JPG and DAC
_PROGRESSIVE = {0xC2, 0xCA}
_JFIF = b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
_XMP_NAME = b"http://ns.adobe.com/xap/1.0/\0"


@dataclass
class JpegFile:
    """What the segments say. `content` is the file without metadata, and always has an end marker.

    `ended` is False when the end marker was missing; `content_with_noise` then has random data before it.
    `coefficients` is the memory in bytes for all coefficients, 0 when the decoder keeps those of one row only.
    """

    content: bytes
    width: int
    height: int
    channels: int
    scans: int
    coefficients: int
    orientation: int
    ended: bool
    content_with_noise: bytes = b""


@dataclass
class _Frame:
    """The frame header: sampling factors by component, and which bit of each coefficient is missing still."""

    width: int
    height: int
    progressive: bool
    sampling: dict[int, tuple[int, int]]
    missing_bits: dict[int, list[int]] = field(default_factory=dict)

    def read_scan(self, header: bytes) -> bool:
        """Note what a scan contains; return whether it has all components. Raises UnreadablePhoto."""
        count = header[0] if header else 0
        if len(header) < 1 + 2 * count + 3:
            raise UnreadablePhoto("the JPEG file has an incomplete scan header")
        first, last, precision = header[1 + 2 * count : 4 + 2 * count]
        for component in header[1 : 1 + 2 * count : 2]:
            bits = self.missing_bits.setdefault(component, [99] * 64)
            if self.progressive:
                for index in range(first, min(last, 63) + 1):
                    bits[index] = precision & 15
            else:
                bits[:] = [0] * 64
        return count == len(self.sampling)

    @property
    def complete(self) -> bool:
        """Whether the scans so far contain every bit of every coefficient."""
        return all(not any(self.missing_bits.get(component, [99])) for component in self.sampling)

    @property
    def coefficients(self) -> int:
        """The bytes of all coefficients, 16 bits each."""
        most_h = max(h for h, _ in self.sampling.values())
        most_v = max(v for _, v in self.sampling.values())
        columns = -(-self.width // (8 * most_h))
        rows = -(-self.height // (8 * most_v))
        return sum(columns * h * rows * v * 128 for h, v in self.sampling.values())


def read_jpeg(photo: bytes) -> JpegFile:
    """Read the segments of a JPEG file.

    Raises UnreadablePhoto when a segment is incomplete, PhotoTooComplex above MAX_SCANS, MAX_SCANNED_PIXELS and
    MAX_SEGMENTS.
    """
    kept, exif, xmp, rest = [b"\xff\xd8"], b"", b"", b""
    frame: _Frame | None = None
    scans, one_pass, ended = 0, True, False
    for code, segment, rest in _segments(photo):
        kept.append(_keep(code, segment))
        if code == _EOI:
            ended = True
        elif code == _APP1:
            exif, xmp = _add_metadata(exif, xmp, segment)
        elif code in _FRAMES:
            frame = _read_frame(code, segment, frame)
        elif code == _SOS:
            if frame is None:
                raise UnreadablePhoto("the JPEG file has a scan before its frame")
            one_pass = frame.read_scan(segment) and one_pass
            scans += 1
            _check_scans(scans, frame)
            kept.append(rest)
    if frame is None or not scans:
        raise UnreadablePhoto("the JPEG file has no image")
    if not ended:
        if not frame.complete:
            raise UnreadablePhoto("the JPEG file is incomplete: scans are missing")
        kept.append(END)
    return JpegFile(
        content=b"".join(kept),
        width=frame.width,
        height=frame.height,
        channels=len(frame.sampling),
        scans=scans,
        coefficients=0 if one_pass and not frame.progressive else frame.coefficients,
        orientation=read_orientation(exif, xmp),
        ended=ended,
        content_with_noise=b"" if ended else b"".join([*kept[:-1], _noise(len(_RESTART.findall(rest))), END]),
    )


def _segments(photo: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield the marker, the content of the segment, and the data between it and the next marker."""
    match = _MARKER.search(photo, 2)
    for _ in range(MAX_SEGMENTS):
        if match is None:
            return
        code, start = match[1][0], match.end()
        if code == _EOI:
            yield _EOI, b"", b""
            return
        if code in (_SOI, _TEM):
            raise UnreadablePhoto("the JPEG file has a marker in the wrong place")
        segment = _read_segment(photo, start)
        end = start + 2 + len(segment)
        match = _MARKER.search(photo, end)
        yield code, segment, photo[end : match.start()] if match else photo[end:].rstrip(b"\xff")
    raise PhotoTooComplex(f"the JPEG file has more than {MAX_SEGMENTS:,} segments")


def _add_metadata(exif: bytes, xmp: bytes, segment: bytes) -> tuple[bytes, bytes]:
    """Return the EXIF and the XMP metadata so far, with those of an APP1 segment appended."""
    if segment.startswith(b"Exif\0\0"):
        return exif + segment[6:], xmp
    return exif, xmp + segment if segment.startswith(_XMP_NAME) else xmp


def _read_segment(photo: bytes, position: int) -> bytes:
    length = int.from_bytes(photo[position : position + 2], "big")
    if length < 2 or position + length > len(photo):
        raise UnreadablePhoto("the JPEG file is incomplete: it ends within a segment")
    return photo[position + 2 : position + length]


def _read_frame(code: int, segment: bytes, previous: _Frame | None) -> _Frame:
    if previous:
        raise UnreadablePhoto("the JPEG file has two frames")
    if len(segment) < 6 or len(segment) < 6 + 3 * segment[5]:
        raise UnreadablePhoto("the JPEG file has an incomplete frame header")
    height, width, count = struct.unpack_from(">HHB", segment, 1)
    sampling = {segment[6 + 3 * i]: (segment[7 + 3 * i] >> 4, segment[7 + 3 * i] & 15) for i in range(count)}
    if not (width and height and sampling) or any(not (1 <= h <= 4 and 1 <= v <= 4) for h, v in sampling.values()):
        raise UnreadablePhoto("the JPEG file has an invalid frame header")
    return _Frame(width, height, code in _PROGRESSIVE, sampling)


def _check_scans(scans: int, frame: _Frame) -> None:
    if scans > MAX_SCANS:
        raise PhotoTooComplex(f"the JPEG file has more than {MAX_SCANS} scans")
    if scans * frame.width * frame.height > MAX_SCANNED_PIXELS:
        raise PhotoTooComplex(
            f"the JPEG file has {scans} scans or more of {frame.width} x {frame.height} pixels, "
            f"at most {MAX_SCANNED_PIXELS:,} pixels are scanned"
        )


def _keep(code: int, segment: bytes) -> bytes:
    """Return the segment as the decoder gets it: empty for metadata, and for APP0 and APP14 that libjpeg ignores."""
    if code == _EOI:
        return END
    if code == _APP0:
        return _JFIF if segment.startswith(b"JFIF\0") and len(segment) >= 14 else b""
    if code == _APP14:
        if not segment.startswith(b"Adobe") or len(segment) < 12:
            return b""
    elif _APP1 <= code <= _APP15 or code == _COM:
        return b""
    return bytes((0xFF, code)) + struct.pack(">H", len(segment) + 2) + segment


def _noise(restarts: int) -> bytes:
    """Return random scan data: a decoder that lacks rows decodes visible noise from it.

    `restarts` is the number of restart markers in the scan so far; the next ones follow in their order.
    """
    source = random.Random(0)  # noqa: S311
    parts = [bytes(source.randrange(1, 255) for _ in range(256)) for _ in range(9)]
    markers = [bytes((0xFF, _RST0 + (restarts + index) % 8)) for index in range(8)]
    return parts[0] + b"".join(marker + part for marker, part in zip(markers, parts[1:], strict=True))
