"""Read the frame sizes that the AV1 data of an AVIF file announces, which may differ from those of its container.

The container is described in ISO/IEC 14496-12 (boxes, `iloc`), the data in the AV1 bitstream specification (5.3, 5.5).
"""

from collections.abc import Iterator

from training.photo_errors import PhotoTooComplex

_SEQUENCE_HEADER = 1
_MAX_ITEMS = 1_000
_MAX_UNITS = 100_000


class _Bits:
    """Unsigned integers of any number of bits, the most significant bit first. Raises EOFError at the end."""

    def __init__(self, content: bytes) -> None:
        self._value, self._left = int.from_bytes(content, "big"), 8 * len(content)

    def read(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise EOFError
        return self._value >> self._left & ((1 << count) - 1)


def frame_sizes(photo: bytes) -> list[tuple[int, int]]:
    """Return the largest width and height of every AV1 sequence among the items of an AVIF file.

    Raises EOFError for an incomplete file, PhotoTooComplex for one with too many items.
    """
    sizes: list[tuple[int, int]] = []
    units = 0
    for item in _items(photo):
        for kind, content in _units(item):
            units += 1
            if units > _MAX_UNITS:
                raise PhotoTooComplex(f"the AVIF file has more than {_MAX_UNITS:,} units of data")
            if kind == _SEQUENCE_HEADER:
                sizes.append(_frame_size(_Bits(content[:256])))
    return sizes


def _boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield type and content of each box."""
    position = 0
    while position + 8 <= len(content):
        size, start = int.from_bytes(content[position : position + 4], "big"), position + 8
        if size == 1:
            size, start = int.from_bytes(content[start : start + 8], "big"), position + 16
        end = position + size if size else len(content)
        if end < start:
            return
        yield content[position + 4 : position + 8], content[start:end]
        position = end


def _items(photo: bytes) -> Iterator[bytes]:
    """Yield the data of each item of the `meta` box."""
    meta = next((content[4:] for kind, content in _boxes(photo) if kind == b"meta"), b"")
    boxes = dict(_boxes(meta))
    location = boxes.get(b"iloc", b"")
    if not location:
        return
    version = location[0]
    bits = _Bits(location[4:])
    offset_size, length_size, base_size, index_size = (8 * bits.read(4) for _ in range(4))
    count = bits.read(32 if version == 2 else 16)
    if count > _MAX_ITEMS:
        raise PhotoTooComplex(f"the AVIF file has more than {_MAX_ITEMS:,} items")
    for _ in range(count):
        bits.read(32 if version == 2 else 16)
        in_idat = bool(version and bits.read(16) & 15 == 1)
        bits.read(16)
        base = bits.read(base_size)
        source, parts = boxes.get(b"idat", b"") if in_idat else photo, []
        for _ in range(bits.read(16)):
            bits.read(index_size if version else 0)
            start = base + bits.read(offset_size)
            length = bits.read(length_size)
            parts.append(source[start : start + length] if length else source[start:])
        yield parts[0] if len(parts) == 1 else b"".join(parts)


def _units(item: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield type and content of each open bitstream unit."""
    position = 0
    while position < len(item):
        header = item[position]
        position += 2 if header & 4 else 1
        size = len(item) - position
        if header & 2:
            size, shift = 0, 0
            while position < len(item):
                byte = item[position]
                size, shift, position = size | (byte & 127) << shift, shift + 7, position + 1
                if not byte & 128 or shift > 56:
                    break
        if header & 128 or size > len(item) - position:
            return
        yield header >> 3 & 15, item[position : position + size]
        position += size


def _frame_size(bits: _Bits) -> tuple[int, int]:
    """Return the largest width and height that a sequence header announces."""
    bits.read(4)  # seq_profile, still_picture
    if bits.read(1):  # reduced_still_picture_header
        bits.read(5)
    else:
        delay = _read_timing(bits) if bits.read(1) else 0
        has_display_delay = bits.read(1)
        for _ in range(bits.read(5) + 1):
            bits.read(12)
            if bits.read(5) > 7:  # seq_level_idx
                bits.read(1)
            if delay and bits.read(1):
                bits.read(2 * delay + 1)
            if has_display_delay and bits.read(1):
                bits.read(4)
    width_bits, height_bits = bits.read(4) + 1, bits.read(4) + 1
    return bits.read(width_bits) + 1, bits.read(height_bits) + 1


def _read_timing(bits: _Bits) -> int:
    """Read timing_info and decoder_model_info; return the number of bits of a buffer delay, 0 without a model."""
    bits.read(64)
    if bits.read(1):  # equal_picture_interval: num_ticks_per_picture is a variable length code
        zeros = 0
        while not bits.read(1):
            zeros += 1
        bits.read(zeros if zeros < 32 else 0)
    if not bits.read(1):
        return 0
    delay = bits.read(5) + 1
    bits.read(42)
    return delay
