"""Decoding with bounded work, and metadata that does not make a photo unreadable."""

import io
import random
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from tests.support.hostile_photos import (
    encoded,
    grey_16_bit,
    jpeg_of_empty_scans,
    noise,
    tiff,
    webp_header,
    with_chunk,
    with_exif,
    with_segment,
)
from training import decoder
from training.images import downscale, preprocess
from training.photo_errors import PhotoTooComplex, PhotoTooLarge, UnreadablePhoto
from training.photo_format import photo_format

SHORT, ASCII, RATIONAL, BYTE, SRATIONAL = 3, 2, 5, 1, 10
ORIENTATION, X_RESOLUTION, SOFTWARE = 0x0112, 0x011A, 0x0131
ON_ITS_SIDE = (ORIENTATION, SHORT, 1, struct.pack("<H", 6))
FORMATS = ["JPEG", "PNG", "WEBP", "HEIF", "AVIF"]


def shape(photo: bytes) -> tuple[int, ...]:
    return downscale(photo).shape


# Metadata


@pytest.mark.parametrize(
    "odd",
    [
        (X_RESOLUTION, ASCII, 3, b"72\0"),
        (SOFTWARE, RATIONAL, 1, struct.pack("<II", 17, 1)),
        (X_RESOLUTION, SRATIONAL, 1, struct.pack("<ii", -1, 0)),
        (SOFTWARE, 99, 2**31, b"\xff\xff\xff\xff"),
    ],
)
def test_odd_tags_beside_the_orientation_have_no_effect(odd):
    metadata = tiff(ON_ITS_SIDE, odd)
    assert shape(with_exif(encoded(noise(), "JPEG"), metadata)) == (120, 90, 3)
    assert shape(with_chunk(encoded(noise()), b"eXIf", metadata)) == (120, 90, 3)
    assert shape(encoded(noise(), "WEBP", exif=metadata)) == (120, 90, 3)


@pytest.mark.parametrize(
    "orientation",
    [
        (ORIENTATION, ASCII, 2, b"6\0"),
        (ORIENTATION, RATIONAL, 1, struct.pack("<II", 6, 1)),
        (ORIENTATION, SHORT, 2, struct.pack("<HH", 6, 6)),
        (ORIENTATION, SHORT, 1, struct.pack("<H", 9)),
        (ORIENTATION, SHORT, 1, struct.pack("<H", 0)),
    ],
)
def test_an_orientation_that_is_no_integer_from_1_to_8_is_ignored(orientation):
    assert shape(with_exif(encoded(noise(), "JPEG"), tiff(orientation))) == (90, 120, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_applied_as_pillow_does(orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    photo = encoded(noise(), "PNG", exif=exif)
    assert (downscale(photo) == np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(photo))))).all()


@pytest.mark.parametrize(
    "metadata",
    [b"", b"\0", b"\0\x08\0\x02\x01\x12\0\x03", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff"],
)
def test_metadata_without_a_valid_tiff_directory_is_ignored(metadata):
    assert shape(with_exif(encoded(noise(), "JPEG"), metadata)) == (90, 120, 3)
    assert shape(with_chunk(encoded(noise()), b"eXIf", metadata)) == (90, 120, 3)
    assert shape(encoded(noise(), "WEBP", exif=metadata)) == (90, 120, 3)


def test_long_text_and_broken_profiles_are_skipped():
    text = b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b"<x>" + b" " * 5_000_000)
    for kind, data in [
        (b"iTXt", text),
        (b"zTXt", b"Comment\0\0" + zlib.compress(bytes(5_000_000))),
        (b"iCCP", b"profile\0\0" + b"not compressed"),
        (b"iCCP", b""),
        (b"tRNS", b"1"),
        (b"pHYs", b""),
        (b"acTL", b"\xff"),
        (b"gAMA", b""),
    ]:
        assert shape(with_chunk(encoded(noise()), kind, data)) == (90, 120, 3), kind
    jpeg = encoded(noise(), "JPEG")
    for marker, content in [
        (0xE0, b"JFIF"),
        (0xE0, b"JFIF\0"),
        (0xEE, b"Adobe"),
        (0xE2, b"ICC_PROFILE\0\xff"),
        (0xE2, b"MPF\0damaged"),
        (0xED, b"Photoshop 3.0\x008BIM\x04"),
        (0xFE, b"\xff" * 100),
    ]:
        assert shape(with_segment(jpeg, marker, content)) == (90, 120, 3), (marker, content)
    assert shape(encoded(noise(), "WEBP", icc_profile=b"damaged")) == (90, 120, 3)


def test_the_orientation_may_be_in_xmp():
    xmp = b'http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="6"/>'
    assert shape(with_segment(encoded(noise(), "JPEG"), 0xE1, xmp)) == (120, 90, 3)
    text = b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b"<tiff:Orientation>6</tiff:Orientation>")
    assert shape(with_chunk(encoded(noise()), b"iTXt", text)) == (120, 90, 3)


@pytest.mark.parametrize("kind", FORMATS)
def test_one_changed_byte_of_the_exif_metadata_never_rejects_a_photo(kind):
    # The orientation of HEIC and AVIF is a property of the file, not of the EXIF metadata.
    orientation = [] if kind in ("HEIF", "AVIF") else [ON_ITS_SIDE]
    metadata = tiff(
        *orientation,
        (0x010F, ASCII, 11, b"Maker Name\0"),
        (X_RESOLUTION, RATIONAL, 1, struct.pack("<II", 72, 1)),
        (SOFTWARE, ASCII, 9, b"Camera 1\0"),
        (0x8769, 4, 1, struct.pack("<I", 8)),
    )
    photo = encoded(noise(60, 45), kind, exif=metadata)
    start, source = photo.index(metadata), random.Random(0)  # noqa: S311
    shapes = set()
    for _ in range(300):
        changed = bytearray(photo)
        changed[start + source.randrange(len(metadata))] ^= source.randrange(1, 256)
        shapes.add(shape(bytes(changed)))
    assert shapes <= {(45, 60, 3), (60, 45, 3)}


# Incomplete files

JPEG_KINDS = [
    {},
    {"progressive": True},
    {"subsampling": 0},
    {"restart_marker_blocks": 5},
    {"progressive": True, "restart_marker_rows": 1},
]


@pytest.mark.parametrize("options", JPEG_KINDS)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_file_may_lack_its_end_marker_but_no_row(options, mode):
    whole = encoded(noise(333, 251).convert(mode), "JPEG", **options)
    reference = downscale(whole, 400)
    for cut in (1, 2):
        assert (downscale(whole[:-cut], 400) == reference).all()
    for part in (0.25, 0.5, 0.75, 0.9, 0.99):
        with pytest.raises(UnreadablePhoto):
            downscale(whole[: round(len(whole) * part)])
    assert (downscale(whole + b"data behind the end", 400) == reference).all()


def test_a_png_file_may_lack_its_end_chunk_but_no_row():
    whole = encoded(noise())
    assert (downscale(whole[:-12]) == downscale(whole)).all()
    assert (downscale(whole[:-14]) == downscale(whole)).all()
    for part in (0.25, 0.5, 0.75, 0.9, 0.99):
        with pytest.raises(UnreadablePhoto):
            downscale(whole[: round(len(whole) * part)])


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("percent", range(0, 96, 5))
def test_a_truncated_file_is_unreadable(kind, percent):
    whole = encoded(noise(), kind)
    with pytest.raises(UnreadablePhoto):
        preprocess(whole[: len(whole) * percent // 100], 32)


# Formats


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_nearly_the_same_image(kind):
    picture = Image.radial_gradient("L").resize((300, 200)).convert("RGB")
    options = {"quality": 95} if kind in ("JPEG", "WEBP", "HEIF", "AVIF") else {}
    photo = encoded(picture, kind, **options)
    assert photo_format(photo).value == kind
    assert np.abs(downscale(photo, 400).astype(int) - np.asarray(picture)).mean() < 3


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "HEIF", "AVIF"])
def test_transparent_parts_become_white_in_every_format(kind):
    assert (downscale(encoded(Image.new("RGBA", (64, 64), (0, 0, 0, 0)), kind)) >= 253).all()


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
def test_heic_and_avif_are_turned_upright_once(kind):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    assert shape(encoded(noise(), kind, exif=exif.tobytes())) == (120, 90, 3)


def test_only_the_first_frame_of_an_animation_is_decoded():
    red, blue = (Image.new("RGB", (64, 64), colour) for colour in ("red", "blue"))
    for kind in ("PNG", "WEBP", "AVIF"):
        animation = encoded(red, kind, save_all=True, append_images=[blue] * 3)
        assert downscale(animation)[32, 32, 0] > 200, kind


# Limits


ABOVE_A_LIMIT = {
    "64 scans": lambda: jpeg_of_empty_scans(1_000, 1_000, 500),
    "pixels are scanned": lambda: jpeg_of_empty_scans(8_000, 6_000, 15),
    "segments": lambda: encoded(noise(), "JPEG").replace(b"\xff\xdb", b"\xff\xfe\0\2" * 10_001 + b"\xff\xdb", 1),
    "chunks": lambda: encoded(noise())[:33] + b"\0\0\0\0IDAT\x35\xaf\x06\x1e" * 100_001,
    "needs 403 MB": lambda: encoded(Image.new("CMYK", (10_000, 5_000)), "JPEG", progressive=True),
    "needs 768 MB": lambda: encoded(Image.new("RGB", (8_000, 6_000)), "WEBP", method=0),
    "needs 456 MB": lambda: encoded(Image.new("RGB", (8_000, 6_000)), "AVIF", speed=10),
    "needs 800 MB": lambda: encoded(Image.new("1", (1, 40_000_000))),
}


@pytest.mark.parametrize("limit", ABOVE_A_LIMIT)
def test_a_photo_above_a_limit_is_refused_before_it_is_decoded(limit, monkeypatch):
    photo = ABOVE_A_LIMIT[limit]()
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda image: pytest.fail("it was decoded"))
    with pytest.raises(PhotoTooComplex, match=limit):
        preprocess(photo, 224)


def test_a_webp_file_that_announces_pixels_without_an_image_is_unreadable():
    with pytest.raises(UnreadablePhoto):
        preprocess(webp_header(4_000, 3_000), 224)


@pytest.mark.parametrize("photo", [webp_header(16_383, 16_383), encoded(Image.new("1", (10_000, 6_000)))])
def test_a_photo_of_too_many_pixels_is_too_large(photo):
    with pytest.raises(PhotoTooLarge):
        preprocess(photo, 224)


def test_an_avif_file_whose_data_has_more_pixels_than_it_announces_is_too_large(monkeypatch):
    photo = encoded(Image.new("L", (10_000, 6_000)), "AVIF", speed=10)
    position = photo.index(b"ispe\0\0\0\0") + 8
    smaller = photo[:position] + struct.pack(">LL", 64, 64) + photo[position + 8 :]
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda image: pytest.fail("it was decoded"))
    with pytest.raises(PhotoTooLarge, match="10000 x 6000"):
        preprocess(smaller, 224)


def test_a_photo_with_the_scans_of_phones_and_web_servers_is_decoded():
    assert preprocess(jpeg_of_empty_scans(4_000, 3_000, 10), 32).shape == (32, 32, 3)


@pytest.mark.parametrize(("kind", "options"), [("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {})])
def test_the_time_limit_ends_decoding(kind, options, monkeypatch):
    photo = encoded(noise(800, 600), kind, **options)
    reads: list[float] = []
    monkeypatch.setattr(decoder, "MAX_CPU_S", 5.0)
    monkeypatch.setattr(decoder.time, "thread_time", lambda: reads.append(0) or float(len(reads)))
    with pytest.raises(PhotoTooComplex, match="5 s"):
        preprocess(photo, 32)
    assert len(reads) <= 7


PEAK = """
import io, resource, sys
from PIL import Image
from training.images import downscale, preprocess
from training.photo_errors import PhotoError
small = io.BytesIO()
Image.new("RGB", (64, 64)).save(small, "JPEG")
preprocess(small.getvalue(), 32)
photo = open(sys.argv[1], "rb").read()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for function, side in ((preprocess, 224), (downscale, 1600)):
    function(photo, side)
unit = 1 if sys.platform == "darwin" else 1024
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit)
"""


@pytest.mark.parametrize(
    ("kind", "mode", "size", "options"),
    [
        ("PNG", "I;16", (10_000, 5_000), {}),
        ("PNG", "RGBA", (10_000, 5_000), {}),
        ("PNG", "LA", (10_000, 5_000), {}),
        ("PNG", "P", (10_000, 5_000), {"transparency": 0}),
        ("PNG", "RGBA", (12_000_000, 1), {}),
        ("JPEG", "RGB", (50_000, 1_000), {"progressive": True, "subsampling": 0}),
        ("JPEG", "CMYK", (8_000, 5_000), {"progressive": True}),
        ("WEBP", "RGBA", (5_400, 3_900), {"method": 0}),
        ("HEIF", "RGBA", (4_800, 4_000), {"quality": 40, "enc_params": {"preset": "ultrafast"}}),
        ("AVIF", "RGBA", (6_000, 4_000), {"speed": 10, "subsampling": "4:4:4"}),
    ],
)
def test_no_accepted_photo_needs_400_mb(kind, mode, size, options, tmp_path):
    file = tmp_path / "photo"
    file.write_bytes(encoded(Image.new(mode, size), kind, **options))
    result = subprocess.run([sys.executable, "-c", PEAK, str(file)], capture_output=True, text=True, check=True)
    assert int(result.stdout) < 400_000_000


def test_a_large_16_bit_photo_is_scaled_as_a_small_one():
    large, small = downscale(grey_16_bit(5_000, 3_000), 200), downscale(grey_16_bit(200, 120), 200)
    assert np.abs(large.astype(int) - small).max() <= 2
