"""The format of a photo, by its content. The name of a file is never used."""

from enum import Enum

_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}
_CODED_HEIF = _HEIF_BRANDS - {b"mif1", b"msf1"}  # these two name the container, not the codec
_AVIF_BRANDS = {b"avif", b"avis"}


class PhotoFormat(Enum):
    """A format that is decoded; the value is Pillow's name of it."""

    JPEG = "JPEG"
    PNG = "PNG"
    WEBP = "WEBP"
    HEIF = "HEIF"
    AVIF = "AVIF"


def photo_format(photo: bytes) -> PhotoFormat | None:
    """Return the format of a photo, given its content or the beginning of it; None when it is not a known one.

    >>> photo_format(b"\\0\\0\\0\\x18ftypmif1\\0\\0\\0\\0mif1avif")
    <PhotoFormat.AVIF: 'AVIF'>
    """
    if photo.startswith(b"\xff\xd8\xff"):
        return PhotoFormat.JPEG
    if photo.startswith(b"\x89PNG\r\n\x1a\n"):
        return PhotoFormat.PNG
    if photo.startswith(b"RIFF") and photo[8:12] == b"WEBP":
        return PhotoFormat.WEBP
    if photo[4:8] != b"ftyp":
        return None
    length = min(int.from_bytes(photo[:4], "big"), 1024)
    brands = [photo[8:12], *(photo[start : start + 4] for start in range(16, length, 4))]
    if brands[0] not in _HEIF_BRANDS | _AVIF_BRANDS:
        return None
    # mif1 and msf1 are brands of the container; the compatible brands name the codec.
    return PhotoFormat.AVIF if _AVIF_BRANDS.intersection(brands) and brands[0] not in _CODED_HEIF else PhotoFormat.HEIF
