"""Generated images without any object, labelled `blank`; training adds them so that the model predicts `other`."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from training.dataset import Dataset, from_array

BLANK_LABEL = "blank"

SIDE = 64
"""Width and height of a generated image, in pixels."""

CANVAS_SIDE = 2 * SIDE
"""Width and height of the canvas, which is downsampled to antialias the edges."""

Colour = tuple[int, int, int]


def generate_blank_images(count: int, seed: int) -> Dataset:
    """Return `count` images, labelled BLANK_LABEL: noise, flat colours, gradients, stripes, text and blocks in turn."""
    generator = np.random.default_rng(seed)
    makers = (_noise, _flat, _gradient, _stripes, _text, _flat, _blocks)
    images = (
        np.stack([makers[i % len(makers)](generator) for i in range(count)])
        if count
        else np.zeros((0, SIDE, SIDE, 3), np.uint8)
    )
    return from_array(images, np.full(count, BLANK_LABEL))


def random_colour(generator: np.random.Generator, low: int = 0, high: int = 256) -> Colour:
    """Return a colour whose levels are at least `low` and below `high`."""
    red, green, blue = (int(level) for level in generator.integers(low, high, 3))
    return red, green, blue


def new_canvas(generator: np.random.Generator, white: bool = False) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """Return an image of CANVAS_SIDE pixels in white or a random colour, and its drawing context."""
    image = Image.new("RGB", (CANVAS_SIDE, CANVAS_SIDE), (255, 255, 255) if white else random_colour(generator))
    return image, ImageDraw.Draw(image)


def downsample(canvas: Image.Image) -> NDArray[np.uint8]:
    """Return the canvas as an array (SIDE, SIDE, 3)."""
    return np.asarray(canvas.resize((SIDE, SIDE), Image.Resampling.BICUBIC, reducing_gap=3.0))


def _noise(generator: np.random.Generator) -> NDArray[np.uint8]:
    cells = int(generator.choice([4, 8, 16, SIDE]))
    channels = int(generator.choice([1, 3]))
    deviation = generator.uniform(20, 130)
    levels = generator.normal(generator.uniform(60, 200), deviation, (cells, cells, channels))
    if generator.random() < 0.3:
        levels = generator.uniform(0, 256, (cells, cells, channels))
    small = np.broadcast_to(levels, (cells, cells, 3)).clip(0, 255).astype(np.uint8)
    resampling = Image.Resampling.BICUBIC if generator.random() < 0.5 else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(small).resize((SIDE, SIDE), resampling))


def _flat(generator: np.random.Generator) -> NDArray[np.uint8]:
    colour = generator.integers(0, 256, 3)
    kind = generator.random()
    if kind < 0.45:
        colour[:] = colour[0]
    if kind < 0.15:
        colour[:] = 0
    elif kind < 0.3:
        colour[:] = 255
    speckle = generator.normal(0, generator.choice([0.0, 0.0, 2.0, 8.0]), (SIDE, SIDE, 3))
    return (colour + speckle).clip(0, 255).astype(np.uint8)


def _gradient(generator: np.random.Generator) -> NDArray[np.uint8]:
    angle = generator.uniform(0, 2 * np.pi)
    y, x = np.mgrid[0:SIDE, 0:SIDE] / (SIDE - 1) - 0.5
    position = (np.cos(angle) * x + np.sin(angle) * y + 0.71) / 1.42
    if generator.random() < 0.3:
        position = np.hypot(x, y) / 0.71
    first, second = generator.uniform(0, 255, (2, 3))
    return _levels(first + (second - first) * position[..., None])


def _stripes(generator: np.random.Generator) -> NDArray[np.uint8]:
    angle, period = generator.uniform(0, np.pi), generator.uniform(2, 16)
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    wave = np.sin(2 * np.pi * (np.cos(angle) * x + np.sin(angle) * y) / period + generator.uniform(0, 6))
    if generator.random() < 0.3:
        wave = wave * np.sin(2 * np.pi * (np.sin(angle) * x - np.cos(angle) * y) / period)
    blend = (np.sign(wave) if generator.random() < 0.5 else wave) / 2 + 0.5
    first, second = generator.uniform(0, 255, (2, 3))
    return _levels(first + (second - first) * blend[..., None])


def _levels(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    levels: NDArray[np.uint8] = values.clip(0, 255).astype(np.uint8)
    return levels


def _blocks(generator: np.random.Generator) -> NDArray[np.uint8]:
    canvas, draw = new_canvas(generator)
    for _ in range(int(generator.integers(1, 6))):
        x, y = generator.uniform(-20, CANVAS_SIDE, 2)
        width, height = generator.uniform(8, 90, 2)
        draw_shape = draw.rectangle if generator.random() < 0.5 else draw.ellipse
        draw_shape((x, y, x + width, y + height), fill=random_colour(generator))
    return downsample(canvas)


def _text(generator: np.random.Generator) -> NDArray[np.uint8]:
    canvas, draw = new_canvas(generator, white=generator.random() < 0.7)
    ink = random_colour(generator) if generator.random() < 0.5 else (0, 0, 0)
    font = ImageFont.load_default(size=float(generator.choice([10, 14, 22, 40])))
    alphabet = np.array(list("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789  .,"))
    step = font.getbbox("Ag")[3] + int(generator.integers(0, 10))
    for y in range(int(generator.integers(-10, 30)), CANVAS_SIDE, int(step)):
        draw.text((int(generator.integers(-10, 12)), y), "".join(generator.choice(alphabet, 24)), fill=ink, font=font)
        if generator.random() < 0.1:
            break
    return downsample(canvas)
