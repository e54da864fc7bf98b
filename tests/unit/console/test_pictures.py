"""The picture beside a label: the pixels that the reviewer saw, without metadata."""

import io

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from console.photos import decode
from console.pictures import MAX_SIDE, Picture, encode_picture
from tests.support.hostile_photos import encoded, noise


def opened(picture: Picture) -> Image.Image:
    image = Image.open(io.BytesIO(picture.content))
    image.load()
    return image


@pytest.mark.parametrize(
    ("size", "suffix", "kept"),
    [
        ((32, 32), ".png", (32, 32)),
        ((256, 200), ".png", (256, 200)),
        ((257, 10), ".jpg", (257, 10)),
        ((1600, 1200), ".jpg", (MAX_SIDE, 768)),
        ((100, 1600), ".jpg", (64, MAX_SIDE)),
    ],
)
def test_a_picture_is_a_png_file_when_small_and_at_most_1024_pixels_long(
    size: tuple[int, int], suffix: str, kept: tuple[int, int]
) -> None:
    picture = encode_picture(noise(*size))
    assert (picture.suffix, opened(picture).size, opened(picture).mode) == (suffix, kept, "RGB")
    assert opened(picture).get_format_mimetype() == picture.media_type


def test_a_small_picture_has_the_pixels_that_the_reviewer_saw() -> None:
    shown = decode(encoded(noise(96, 64), "JPEG"), 1600)
    assert (np.asarray(opened(encode_picture(shown))) == np.asarray(shown)).all()


@pytest.mark.parametrize("size", [(96, 64), (1600, 1200)])
def test_the_same_pixels_become_the_same_bytes(size: tuple[int, int]) -> None:
    photo = encoded(noise(*size), "JPEG")
    assert encode_picture(decode(photo, 1600)) == encode_picture(decode(photo, 1600))


@pytest.mark.parametrize("side", [64, 600])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_has_no_metadata_of_the_photo(kind: str, side: int) -> None:
    image, out = noise(side, side), io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "secret description"
    exif[0x8825] = {1: "N", 2: (52.0, 31.0, 12.0)}
    options = {
        "exif": exif,
        "icc_profile": b"secret profile",
        "xmp": b"<x>secret xmp</x>",
        "comment": b"secret comment",
    }
    if kind == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_text("Comment", "secret text")
        options["pnginfo"] = text
    image.save(out, kind, **options)
    assert b"secret" in out.getvalue()
    for source in (decode(out.getvalue(), 1600), Image.open(out).convert("RGB")):
        picture = encode_picture(source)
        assert b"secret" not in picture.content
        found = opened(picture)
        assert dict(found.getexif()) == {}
        assert set(found.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
