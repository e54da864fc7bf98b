"""What the model answers to photos in daylight of several strengths, and to the same photos changed by a drift."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from functions.shared.drift import REVIEW, Observation, observe
from functions.shared.photo import Photo
from functions.shared.photo_record import CLASSIFIED, PhotoRecord
from operate.initial_model import write_initial_model
from operate.photo_folders import read_class_folders, read_each
from operate.synthetic_photos import synthetic_photos
from training.dataset import Dataset
from training.image_statistics import measure_image
from training.images import Pixels, downscale, preprocess_photo, resize_and_pad
from training.inference import Model, load_model

LIGHTS = (0.6, 0.78, 1.0, 1.25, 1.5)
"""Factors of the levels of a photo: how bright a day is."""

NEW_CLASS = "new class"


def darken(image: Pixels) -> Pixels:
    """Return the image with levels of 40%: a camera that is set wrongly, or dusk."""
    return _levels(image * 0.4)


def blur(image: Pixels) -> Pixels:
    """Return the image after a Gaussian blur of 1/100 of its longer side: a dirty or unfocused lens."""
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(max(image.shape) / 100)))


def to_night(image: Pixels) -> Pixels:
    """Return the image with levels of 12%, noise of 6 levels, and no colour: lamps at night."""
    grey = image.mean(axis=2, keepdims=True).repeat(3, axis=2) * 0.12
    return _levels(grey + np.random.default_rng(0).normal(0, 6, image.shape))


DRIFTS: dict[str, Callable[[Pixels], Pixels]] = {"darkened": darken, "blurred": blur, "night": to_night}

Answers = dict[tuple[str, bool, float], list[Observation]]
"""Observations by drift (empty for none), whether the photo shows a vehicle of the model, and light."""


def answer_photos(folder: Path | None, count: int) -> Answers:
    """Return what the initial model answers to at most `count` photos of each class in `folder`.

    Without a folder the photos are drawn.
    """
    with tempfile.TemporaryDirectory() as temporary:
        write_initial_model(Path(temporary))
        model = load_model(Path(temporary))
    photos = _read(folder, model.classes[:-1], count) if folder else _draw(count)
    answers: Answers = {}
    for image, label, size in photos:
        is_vehicle = label in model.classes[:-1]
        for light in LIGHTS:
            lit = _levels(image * light)
            answers.setdefault(("", is_vehicle, light), []).append(_answer(model, lit, size))
            for name, change in DRIFTS.items():
                answers.setdefault((name, is_vehicle, light), []).append(_answer(model, change(lit), size))
    return answers


def review_rate(observations: Sequence[Observation]) -> float:
    """Return the share of photos that go to a reviewer."""
    return float(np.mean([one[REVIEW] == "yes" for one in observations]))


def _answer(model: Model, image: Pixels, size: tuple[int, int]) -> Observation:
    pixels = resize_and_pad(image, model.side)
    probabilities = model.probabilities(pixels[np.newaxis])[0]
    best = int(probabilities.argmax())
    classification = {"vehicle": model.classes[best], "confidence": float(probabilities[best])}
    record = PhotoRecord(
        Photo("bucket", "uploads/d/p", "etag", 1),
        CLASSIFIED,
        "",
        "",
        "",
        classification=classification,
        image=measure_image(pixels, *size),
    )
    observation = observe(record, model.threshold)
    assert observation is not None
    return observation


def _read(folder: Path, vehicles: Sequence[str], count: int) -> list[tuple[Pixels, str, tuple[int, int]]]:
    found, chosen, taken = read_class_folders(folder, vehicles), [], dict[str, int]()
    for photo in found.photos:
        taken[str(photo.class_name)] = taken.get(str(photo.class_name), 0) + 1
        if taken[str(photo.class_name)] <= count:
            chosen.append(photo)
    photos = []
    for photo, content in read_each(chosen, []):
        size = preprocess_photo(content, 8)[1:]
        photos.append((downscale(content), str(photo.class_name), size))
    return photos


def _draw(count: int) -> list[tuple[Pixels, str, tuple[int, int]]]:
    drawn: Dataset = synthetic_photos(count, seed=5)
    return [
        (image, str(label), (image.shape[1], image.shape[0]))
        for image, label in zip(drawn.images, drawn.labels, strict=True)
    ]


def _levels(values: np.ndarray) -> Pixels:
    result: Pixels = np.asarray(values).clip(0, 255).round().astype(np.uint8)
    return result
