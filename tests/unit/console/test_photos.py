"""Photos, encoded for the browser."""

import io
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from console import photos
from console.aws import Aws
from console.photos import PhotoNotDecoded, PhotoNotShown, Photos, decode, encode
from deploy.outputs import Deployed
from functions.shared.photo import Photo
from tests.support.hostile_photos import encoded, grey_16_bit, jpeg_of_empty_scans, noise, tiff, webp_header, with_exif
from tests.unit import model_stage
from training.images import preprocess

ON_ITS_SIDE = (0x0112, 3, 1, b"\6\0")


def drawing() -> bytes:
    """Return a transparent PNG file: a black ellipse on transparent black."""
    alpha = Image.new("L", (96, 96), 0)
    alpha.paste(255, (20, 20, 70, 50))
    clear = Image.new("RGBA", (96, 96), (0, 0, 0, 0))
    clear.putalpha(alpha)
    return encoded(clear)


def test_a_photo_is_shown_upright_small_and_without_its_metadata() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "secret"
    out = io.BytesIO()
    Image.new("CMYK", (400, 200)).save(out, "JPEG", exif=exif)
    shown = Image.open(io.BytesIO(encode(decode(out.getvalue(), 100))))
    assert (shown.size, shown.mode, dict(shown.getexif())) == ((50, 100), "RGB", {})


@pytest.mark.parametrize(
    "photo",
    [
        drawing(),
        grey_16_bit(96, 96),
        with_exif(encoded(noise(96, 96), "JPEG"), tiff(ON_ITS_SIDE)),
        encoded(noise(96, 96).convert("CMYK"), "JPEG"),
        encoded(noise(96, 96), "HEIF"),
        encoded(noise(96, 96), "AVIF"),
    ],
    ids=["transparent", "16-bit grey", "rotated", "CMYK", "HEIC", "AVIF"],
)
def test_the_console_shows_the_pixels_that_the_model_gets(photo: bytes) -> None:
    """The model resizes to the size of its input; at that size its input is the photo itself."""
    assert (np.asarray(decode(photo, 1600)) == preprocess(photo, 96)).all()


def test_line_art_is_black_on_white_and_16_bit_grey_is_grey() -> None:
    shown = np.asarray(decode(drawing(), 240))
    assert shown[5, 5].tolist() == [255, 255, 255]
    assert shown[30, 30].tolist() == [0, 0, 0]
    assert 120 < np.asarray(decode(grey_16_bit(96, 96), 240)).mean() < 135


@pytest.mark.parametrize("content", [b"", b"<svg onload=alert(1)>", b"GIF89a" + b"0" * 40, b"\xff\xd8\xff\xe0 cut"])
def test_a_file_that_is_not_a_photo_is_not_shown(content: bytes) -> None:
    with pytest.raises(PhotoNotShown):
        decode(content, 100)


@pytest.mark.parametrize("content", [encoded(Image.new("1", (10_000, 6_000))), webp_header(16_383, 16_383)])
def test_a_photo_above_the_pixel_limit_is_not_decoded(content: bytes) -> None:
    with pytest.raises(PhotoNotShown, match="too many pixels"):
        decode(content, 100)


def test_a_photo_that_is_too_complex_is_not_shown_with_the_reason() -> None:
    with pytest.raises(PhotoNotShown, match="more than 64 scans"):
        decode(jpeg_of_empty_scans(100, 100, 500), 100)


@pytest.fixture
def uploaded(stage: Deployed) -> Callable[[bytes], Photo]:
    """Return a function that uploads a photo."""
    Aws().s3.create_bucket(
        Bucket=stage.uploads_bucket, CreateBucketConfiguration={"LocationConstraint": model_stage.REGION}
    )

    def upload(content: bytes) -> Photo:
        key = f"uploads/d/{len(content)}"
        put = Aws().s3.put_object(Bucket=stage.uploads_bucket, Key=key, Body=content)
        return Photo(stage.uploads_bucket, key, put["ETag"].strip('"'), len(content))

    return upload


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of decodings at the same time, once for each decoding."""
    active: list[int] = []
    counts: list[int] = []
    original = photos.downscale

    def downscale(content: bytes, longest: int) -> np.ndarray:
        active.append(1)
        counts.append(len(active))
        threading.Event().wait(0.05)
        try:
            return original(content, longest)
        finally:
            active.pop()

    monkeypatch.setattr(photos, "downscale", downscale)
    return counts


def test_requests_for_the_same_photo_decode_it_once(
    stage: Deployed, uploaded: Callable[[bytes], Photo], decoded: list[int]
) -> None:
    photo, shown = uploaded(encoded(noise())), Photos(stage, Aws())
    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(lambda _: shown.jpeg(photo), range(6)))) == 1
    assert decoded == [1]


def test_one_photo_is_decoded_at_a_time(
    stage: Deployed, uploaded: Callable[[bytes], Photo], decoded: list[int]
) -> None:
    kinds = [uploaded(encoded(noise(60 + side, 60))) for side in range(6)]
    shown = Photos(stage, Aws())
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda photo: shown.jpeg(photo, "thumb"), kinds))
    assert decoded == [1] * 6


def test_a_photo_that_cannot_be_decoded_is_not_decoded_again(
    stage: Deployed, uploaded: Callable[[bytes], Photo], decoded: list[int]
) -> None:
    photo, shown = uploaded(encoded(noise())[:500]), Photos(stage, Aws())
    for size in ("thumb", "large", "thumb"):
        with pytest.raises(PhotoNotDecoded, match="cannot be read"):
            shown.jpeg(photo, size)
    with pytest.raises(PhotoNotDecoded, match="cannot be read"):
        shown.image(photo, 800)
    assert decoded == [1]


def test_a_photo_that_could_not_be_read_from_s3_is_read_again(
    stage: Deployed, uploaded: Callable[[bytes], Photo]
) -> None:
    photo, aws = uploaded(encoded(noise())), Aws()
    shown = Photos(stage, aws)
    aws.s3.delete_object(Bucket=photo.bucket, Key=photo.key)
    with pytest.raises(PhotoNotShown, match="deleted"):
        shown.jpeg(photo)
    aws.s3.put_object(Bucket=photo.bucket, Key=photo.key, Body=encoded(noise()))
    assert shown.jpeg(photo).startswith(b"\xff\xd8\xff")
