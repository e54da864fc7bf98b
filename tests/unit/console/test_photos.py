"""Photos, encoded for the browser."""

import io

import pytest
from PIL import Image

from console.photos import PhotoNotShown, decode, encode


def test_a_photo_is_shown_upright_small_and_without_its_metadata() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "secret"
    out = io.BytesIO()
    Image.new("CMYK", (400, 200)).save(out, "JPEG", exif=exif)
    shown = Image.open(io.BytesIO(encode(out.getvalue(), 100)))
    assert (shown.size, shown.mode, dict(shown.getexif())) == ((50, 100), "RGB", {})


@pytest.mark.parametrize("content", [b"", b"<svg onload=alert(1)>", b"GIF89a" + b"0" * 40, b"\xff\xd8\xff\xe0 cut"])
def test_a_file_that_is_not_a_photo_is_not_shown(content: bytes) -> None:
    with pytest.raises(PhotoNotShown):
        decode(content, 100)


def test_a_photo_above_the_pixel_limit_is_not_decoded() -> None:
    out = io.BytesIO()
    Image.new("1", (10_000, 6_000)).save(out, "PNG")
    with pytest.raises(PhotoNotShown, match="too many pixels"):
        decode(out.getvalue(), 100)
