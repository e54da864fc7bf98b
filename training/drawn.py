"""Images drawn by us: a stand-in when there is no data at all, and pictures of nothing for the model to refuse."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from training.dataset import Dataset, of_array

BLANK = "blank"
"""Label of noise, flat colours, gradients, stripes and text."""

SIDE = 64
"""Width and height of what is drawn, in pixels."""

_LARGE = 2 * SIDE  # drawn large and shrunk, so that edges come out smooth

Colour = tuple[int, int, int]
Subject = Callable[["_Pen", np.random.Generator], None]


def blank_images(count: int, seed: int) -> Dataset:
    """Return `count` images of nothing, labelled BLANK: noise, flat colours, gradients, stripes and text in turn."""
    generator = np.random.default_rng(seed)
    makers = (_noise, _flat, _gradient, _stripes, _text, _flat, _blocks)
    images = (
        np.stack([makers[i % len(makers)](generator) for i in range(count)])
        if count
        else np.zeros((0, SIDE, SIDE, 3), np.uint8)
    )
    return of_array(images, np.full(count, BLANK))


def drawn_photos(each: int, seed: int) -> Dataset:
    """Return `each` drawings of a bicycle, a motorcycle, a bus, a pickup_truck, a house and a tree."""
    generator = np.random.default_rng(seed)
    subjects = {
        "bicycle": _bicycle,
        "motorcycle": _motorcycle,
        "bus": _bus,
        "pickup_truck": _pickup_truck,
        "house": _house,
        "maple_tree": _tree,
    }
    images, labels = [], []
    for name, draw_subject in subjects.items():
        for _ in range(each):
            images.append(_scene(draw_subject, generator))
            labels.append(name)
    return Dataset(images, np.array(labels))


def _noise(generator: np.random.Generator) -> NDArray[np.uint8]:
    cells = int(generator.choice([4, 8, 16, SIDE]))
    channels = int(generator.choice([1, 3]))
    spread = generator.uniform(20, 130)
    levels = generator.normal(generator.uniform(60, 200), spread, (cells, cells, channels))
    if generator.random() < 0.3:
        levels = generator.uniform(0, 256, (cells, cells, channels))
    small = np.broadcast_to(levels, (cells, cells, 3)).clip(0, 255).astype(np.uint8)
    way = Image.Resampling.BICUBIC if generator.random() < 0.5 else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(small).resize((SIDE, SIDE), way))


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
    share = (np.sign(wave) if generator.random() < 0.5 else wave) / 2 + 0.5
    first, second = generator.uniform(0, 255, (2, 3))
    return _levels(first + (second - first) * share[..., None])


def _levels(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    levels: NDArray[np.uint8] = values.clip(0, 255).astype(np.uint8)
    return levels


def _blocks(generator: np.random.Generator) -> NDArray[np.uint8]:
    picture, pen = _canvas(generator)
    for _ in range(int(generator.integers(1, 6))):
        x, y = generator.uniform(-20, _LARGE, 2)
        width, height = generator.uniform(8, 90, 2)
        draw_shape = pen.rectangle if generator.random() < 0.5 else pen.ellipse
        draw_shape((x, y, x + width, y + height), fill=_colour(generator))
    return _shrunk(picture)


def _text(generator: np.random.Generator) -> NDArray[np.uint8]:
    picture, pen = _canvas(generator, plain=generator.random() < 0.7)
    ink = _colour(generator) if generator.random() < 0.5 else (0, 0, 0)
    font = ImageFont.load_default(size=float(generator.choice([10, 14, 22, 40])))
    alphabet = np.array(list("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789  .,"))
    step = font.getbbox("Ag")[3] + int(generator.integers(0, 10))
    for y in range(int(generator.integers(-10, 30)), _LARGE, int(step)):
        pen.text((int(generator.integers(-10, 12)), y), "".join(generator.choice(alphabet, 24)), fill=ink, font=font)
        if generator.random() < 0.1:
            break
    return _shrunk(picture)


def _colour(generator: np.random.Generator, low: int = 0, high: int = 256) -> Colour:
    red, green, blue = (int(level) for level in generator.integers(low, high, 3))
    return red, green, blue


def _canvas(generator: np.random.Generator, plain: bool = False) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    picture = Image.new("RGB", (_LARGE, _LARGE), (255, 255, 255) if plain else _colour(generator))
    return picture, ImageDraw.Draw(picture)


def _shrunk(picture: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC, reducing_gap=3.0))


class _Pen:
    """Draws in a frame of its own: 0...1 both ways, shifted, scaled and mirrored at random."""

    def __init__(self, pen: ImageDraw.ImageDraw, generator: np.random.Generator) -> None:
        self._pen = pen
        self._scale = generator.uniform(0.75, 1.05) * _LARGE
        self._left, self._top = generator.uniform(-0.05, 0.2, 2) * _LARGE
        self._mirrored = generator.random() < 0.5

    def _at(self, point: tuple[float, float]) -> tuple[float, float]:
        x = 1 - point[0] if self._mirrored else point[0]
        return self._left + x * self._scale, self._top + point[1] * self._scale

    def line(self, points: list[tuple[float, float]], ink: Colour, width: float) -> None:
        self._pen.line([self._at(point) for point in points], fill=ink, width=max(1, int(width * self._scale)))

    def polygon(self, points: list[tuple[float, float]], ink: Colour) -> None:
        self._pen.polygon([self._at(point) for point in points], fill=ink)

    def ring(self, centre: tuple[float, float], radius: float, ink: Colour, width: float) -> None:
        x, y = self._at(centre)
        reach = radius * self._scale
        self._pen.ellipse(
            (x - reach, y - reach, x + reach, y + reach), outline=ink, width=max(1, int(width * self._scale))
        )

    def disc(self, centre: tuple[float, float], radius: float, ink: Colour) -> None:
        self.ring(centre, radius, ink, radius)


def _scene(draw_subject: Subject, generator: np.random.Generator) -> NDArray[np.uint8]:
    picture, pen = _canvas(generator)
    ground = int(generator.uniform(0.6, 0.9) * _LARGE)
    pen.rectangle((0, 0, _LARGE, ground), fill=_colour(generator, 130, 256))
    pen.rectangle((0, ground, _LARGE, _LARGE), fill=_colour(generator, 60, 200))
    draw_subject(_Pen(pen, generator), generator)
    small = _shrunk(picture)
    return (small + generator.normal(0, generator.uniform(0, 10), small.shape)).clip(0, 255).astype(np.uint8)


def _bicycle(pen: _Pen, generator: np.random.Generator) -> None:
    tyre, frame = _colour(generator, 0, 60), _colour(generator, 0, 200)
    back, front, radius = (0.24, 0.68), (0.76, 0.68), generator.uniform(0.17, 0.22)
    for wheel in (back, front):
        pen.ring(wheel, radius, tyre, 0.025)
    saddle, crank, stem = (0.4, 0.36), (0.47, 0.68), (0.68, 0.38)
    for points in ([back, crank, saddle, back], [saddle, stem, crank], [stem, front], [(0.64, 0.3), (0.74, 0.32)]):
        pen.line(points, frame, 0.03)
    pen.line([(0.34, 0.35), (0.46, 0.35)], tyre, 0.04)


def _motorcycle(pen: _Pen, generator: np.random.Generator) -> None:
    tyre, body = _colour(generator, 0, 50), _colour(generator, 0, 230)
    for wheel in ((0.22, 0.7), (0.78, 0.7)):
        pen.ring(wheel, generator.uniform(0.16, 0.19), tyre, 0.07)
    pen.polygon([(0.3, 0.5), (0.62, 0.42), (0.66, 0.68), (0.36, 0.72)], _colour(generator, 40, 140))
    pen.polygon([(0.42, 0.42), (0.66, 0.34), (0.68, 0.5), (0.44, 0.54)], body)
    pen.polygon([(0.14, 0.46), (0.44, 0.44), (0.44, 0.52), (0.16, 0.52)], tyre)
    pen.line([(0.66, 0.3), (0.78, 0.7)], (150, 150, 150), 0.05)
    pen.line([(0.58, 0.26), (0.68, 0.3)], tyre, 0.04)
    pen.line([(0.3, 0.74), (0.6, 0.76)], (170, 170, 170), 0.05)


def _bus(pen: _Pen, generator: np.random.Generator) -> None:
    pen.polygon([(0.05, 0.25), (0.95, 0.25), (0.95, 0.78), (0.05, 0.78)], _colour(generator))
    for left in (0.1, 0.27, 0.44, 0.61, 0.78):
        pen.polygon([(left, 0.33), (left + 0.13, 0.33), (left + 0.13, 0.5), (left, 0.5)], _colour(generator, 150, 256))
    for wheel in ((0.25, 0.78), (0.75, 0.78)):
        pen.disc(wheel, 0.09, (20, 20, 20))


def _pickup_truck(pen: _Pen, generator: np.random.Generator) -> None:
    body = _colour(generator)
    pen.polygon([(0.05, 0.5), (0.95, 0.5), (0.95, 0.74), (0.05, 0.74)], body)
    pen.polygon([(0.42, 0.5), (0.48, 0.3), (0.68, 0.3), (0.76, 0.5)], body)
    pen.polygon([(0.5, 0.48), (0.53, 0.35), (0.65, 0.35), (0.7, 0.48)], _colour(generator, 150, 256))
    for wheel in ((0.23, 0.75), (0.78, 0.75)):
        pen.disc(wheel, 0.1, (20, 20, 20))


def _house(pen: _Pen, generator: np.random.Generator) -> None:
    pen.polygon([(0.15, 0.45), (0.85, 0.45), (0.85, 0.9), (0.15, 0.9)], _colour(generator))
    pen.polygon([(0.08, 0.46), (0.5, 0.12), (0.92, 0.46)], _colour(generator, 0, 180))
    pen.polygon([(0.42, 0.62), (0.58, 0.62), (0.58, 0.9), (0.42, 0.9)], _colour(generator, 0, 120))


def _tree(pen: _Pen, generator: np.random.Generator) -> None:
    pen.polygon([(0.45, 0.5), (0.55, 0.5), (0.57, 0.95), (0.43, 0.95)], (90, 60, 30))
    for centre in ((0.5, 0.3), (0.36, 0.42), (0.64, 0.42), (0.5, 0.46)):
        pen.disc(centre, 0.2, (int(generator.integers(0, 90)), int(generator.integers(90, 190)), 40))
