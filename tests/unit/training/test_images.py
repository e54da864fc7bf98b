"""Decoding and resizing photos."""

import io

import numpy as np
import pytest
from PIL import Image

from training.images import MAX_SIDE, downscale, resize_and_pad
from training.images import preprocess as preprocess_at
from training.photo_errors import PhotoTooLarge, UnreadablePhoto

SIDE = 32


def preprocess(photo: bytes) -> np.ndarray:
    return preprocess_at(photo, SIDE)


def encoded(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def halves(width: int = 64, height: int = 64) -> Image.Image:
    """Red on the left, blue on the right."""
    picture = Image.new("RGB", (width, height), "red")
    picture.paste("blue", (width // 2, 0, width, height))
    return picture


def is_red(pixel: np.ndarray) -> bool:
    return bool(pixel[0] > 200 and pixel[2] < 60)


def test_a_photo_of_the_requested_size_keeps_its_pixels():
    levels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    assert (preprocess(encoded(Image.fromarray(levels))) == levels).all()


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (31, 33), (1000, 700), (4000, 3000), (3000, 40)])
def test_every_size_and_aspect_ratio_is_read(size):
    image = preprocess(encoded(halves(*size), "JPEG"))
    assert image.shape == (SIDE, SIDE, 3)
    assert image.dtype == np.uint8


def test_a_photo_is_turned_upright_by_its_exif_orientation():
    upside_down = Image.Exif()
    upside_down[0x0112] = 3
    image = preprocess(encoded(halves(), "JPEG", exif=upside_down, quality=95))
    assert is_red(image[16, -4])
    quarter_turn = Image.Exif()
    quarter_turn[0x0112] = 6  # to be turned clockwise: the left side becomes the top
    image = preprocess(encoded(halves(640, 400), "JPEG", exif=quarter_turn, quality=95))
    assert is_red(image[3, 16])
    assert not is_red(image[-4, 16])


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_the_three_formats_give_nearly_the_same_image(kind):
    options = {} if kind == "PNG" else {"quality": 95}
    difference = preprocess(encoded(halves(), kind, **options)).astype(int) - preprocess(encoded(halves())).astype(int)
    assert np.abs(difference).mean() < 4


def test_other_formats_are_refused():
    with pytest.raises(UnreadablePhoto):
        preprocess(encoded(halves(), "BMP"))


@pytest.mark.parametrize(
    ("mode", "kind"), [("L", "PNG"), ("1", "PNG"), ("P", "PNG"), ("CMYK", "JPEG"), ("L", "JPEG"), ("RGBA", "WEBP")]
)
def test_every_colour_mode_is_read(mode, kind):
    image = preprocess(encoded(halves(200, 120).convert(mode), kind))
    assert image.shape == (SIDE, SIDE, 3)
    assert abs(int(image[16, 4].astype(int).sum()) - int(image[16, -4].astype(int).sum())) >= 0


def test_cmyk_photos_keep_their_colours():
    assert is_red(preprocess(encoded(halves(200, 120).convert("CMYK"), "JPEG", quality=95))[16, 3])


def test_sixteen_bit_levels_are_scaled_and_not_clipped():
    levels = np.full((50, 50), 30000, dtype=np.uint16)
    image = preprocess(encoded(Image.fromarray(levels)))
    assert np.abs(image.astype(int) - 117).max() <= 1


def test_transparent_parts_become_white():
    clear = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    assert (preprocess(encoded(clear)) == 255).all()
    palette = Image.new("P", (64, 64), 0)
    palette.putpalette([0, 0, 0] * 256)
    assert (preprocess(encoded(palette, transparency=0)) == 255).all()


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 5000, b"this is no photo" * 100, b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"]
)
def test_bytes_that_are_not_an_image_are_unreadable(content):
    with pytest.raises(UnreadablePhoto):
        preprocess(content)


@pytest.mark.parametrize(("kind", "size"), [("JPEG", 64), ("JPEG", 2000), ("PNG", 300), ("WEBP", 300)])
def test_a_truncated_photo_is_unreadable(kind, size):
    levels = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    whole = encoded(Image.fromarray(levels), kind)
    with pytest.raises(UnreadablePhoto):
        preprocess(whole[: len(whole) // 2])


def test_a_photo_of_too_many_pixels_is_refused_before_decoding():
    huge = encoded(Image.new("1", (10_000, 6_000)))
    with pytest.raises(PhotoTooLarge):
        preprocess(huge[: len(huge) // 2])  # decoding would find it truncated
    with pytest.raises(PhotoTooLarge):
        preprocess(encoded(Image.new("1", (20_000, 20_000))))


def test_error_messages_hold_no_bytes_of_the_photo():
    secret = b"\x89PNG\r\n\x1a\n" + b"the driver's licence plate" * 50
    with pytest.raises(UnreadablePhoto) as caught:
        preprocess(secret)
    assert "licence" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_long_photo_is_padded_and_not_cropped():
    banner = halves(1000, 100)
    image = preprocess(encoded(banner))
    assert is_red(image[16, 1])
    assert image[16, -2][2] > 200
    assert (image[0] == 127).all()  # padded above and below
    tall = preprocess(encoded(banner.rotate(90, expand=True)))
    assert (tall[:, 0] == 127).all()


def test_a_downscaled_photo_keeps_its_aspect_ratio_and_small_ones_their_pixels():
    assert downscale(encoded(halves(1000, 500), "JPEG")).shape == (MAX_SIDE // 2, MAX_SIDE, 3)
    levels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    assert (downscale(encoded(Image.fromarray(levels))) == levels).all()
    turned = Image.Exif()
    turned[0x0112] = 6
    assert downscale(encoded(halves(400, 200), "JPEG", exif=turned)).shape == (MAX_SIDE, MAX_SIDE // 2, 3)


def test_a_downscaled_photo_gives_the_same_input_as_the_photo():
    photo = encoded(Image.effect_noise((200, 150), 60).convert("RGB"))
    direct = preprocess_at(photo, 96).astype(int)
    downscaled = resize_and_pad(downscale(photo), 96).astype(int)
    assert np.abs(direct - downscaled).max() <= 1
