"""The statistics of images by which drift is noticed."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from tests.support.hostile_photos import encoded, noise
from tests.support.training import jpeg
from training import decoder, isolation
from training.image_statistics import measure_image, measure_images
from training.images import preprocess_photo
from training.inference import classify, load_model

SIDE = 192


def measured(picture: Image.Image, **options: object) -> dict[str, float | int]:
    return measure_image(*preprocess_photo(jpeg(picture, **options), SIDE))


def scene(width: int = 640, height: int = 480) -> Image.Image:
    """Return blocks of 80 pixels with a fine texture."""
    blocks = 60 + 120 * (np.add.outer(np.arange(height) // 80, np.arange(width) // 80) % 2)
    luma = np.random.default_rng(0).normal(blocks, 20).clip(0, 255).astype(np.uint8)
    return Image.fromarray(luma).convert("RGB").filter(ImageFilter.GaussianBlur(1))


def test_a_darkened_photo_is_less_bright_and_a_blurred_one_less_sharp() -> None:
    picture = scene()
    before = measured(picture)
    dark = measured(picture.point(lambda level: level // 4))
    blurred = measured(picture.filter(ImageFilter.GaussianBlur(12)))
    assert dark["brightness"] < before["brightness"] / 3
    assert blurred["sharpness"] < before["sharpness"] / 2
    assert dark["sharpness"] == pytest.approx(before["sharpness"], rel=0.1), "it does not depend on the light"
    assert blurred["brightness"] == pytest.approx(before["brightness"], abs=0.01)


@pytest.mark.parametrize(("width", "height"), [(640, 480), (480, 640), (1000, 100), (100, 1000), (3, 900), (1, 1)])
def test_the_padding_is_not_measured(width: int, height: int) -> None:
    white = measured(Image.new("RGB", (width, height), "white"))
    assert white == {"brightness": 1.0, "sharpness": 0.0, "width": width, "height": height}


def test_width_and_height_are_those_of_the_upright_photo_before_it_is_downscaled() -> None:
    quarter_turn = Image.Exif()
    quarter_turn[0x0112] = 6
    turned = measured(Image.new("RGB", (4000, 3000), "white"), exif=quarter_turn)
    assert turned == {"brightness": 1.0, "sharpness": 0.0, "width": 3000, "height": 4000}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF", "AVIF"])
def test_an_expensive_photo_is_measured_as_any_other(kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    photo = encoded(noise(301, 200), kind)
    before = measure_image(*preprocess_photo(photo, SIDE))
    assert (before["width"], before["height"]) == (301, 200)
    monkeypatch.setattr(decoder, "EXPENSIVE_S", 0.0)
    monkeypatch.setattr(isolation.tempfile, "gettempdir", lambda: str(tmp_path))
    assert measure_image(*preprocess_photo(photo, SIDE)) == before


def test_images_of_a_data_set_are_measured_as_the_endpoint_measures_photos(model_dir) -> None:
    pixels = np.asarray(scene(300, 200))
    png = encoded(Image.fromarray(pixels), "PNG")
    answer = classify(png, load_model(model_dir))["image"]
    of_data_set = measure_images([pixels], SIDE)
    assert {name: values[0] for name, values in of_data_set.items()} == {
        "brightness": answer["brightness"],
        "sharpness": answer["sharpness"],
        "size": 300,
        "aspect": 1.5,
    }
