"""Synthetic photos: simple drawings of vehicles and other things, for use without data and without a network."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import ImageDraw

from training.blank_images import CANVAS_SIDE, Colour, downsample, new_canvas, random_colour
from training.dataset import Dataset

DrawSubject = Callable[["_Pen", np.random.Generator], None]


def synthetic_photos(count_per_label: int, seed: int) -> Dataset:
    """Return `count_per_label` drawings each of a bicycle, motorcycle, bus, pickup_truck, house and maple_tree.

    Images are uint8 (64, 64, 3); the same seed gives the same images.
    """
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
        for _ in range(count_per_label):
            images.append(_scene(draw_subject, generator))
            labels.append(name)
    return Dataset(images, np.array(labels))


class _Pen:
    """Draws in coordinates from 0 to 1, which are shifted, scaled and mirrored at random."""

    def __init__(self, draw: ImageDraw.ImageDraw, generator: np.random.Generator) -> None:
        self._draw = draw
        self._scale = generator.uniform(0.75, 1.05) * CANVAS_SIDE
        self._left, self._top = generator.uniform(-0.05, 0.2, 2) * CANVAS_SIDE
        self._mirrored = generator.random() < 0.5

    def _to_pixels(self, point: tuple[float, float]) -> tuple[float, float]:
        x = 1 - point[0] if self._mirrored else point[0]
        return self._left + x * self._scale, self._top + point[1] * self._scale

    def line(self, points: list[tuple[float, float]], colour: Colour, width: float) -> None:
        self._draw.line(
            [self._to_pixels(point) for point in points], fill=colour, width=max(1, int(width * self._scale))
        )

    def polygon(self, points: list[tuple[float, float]], colour: Colour) -> None:
        self._draw.polygon([self._to_pixels(point) for point in points], fill=colour)

    def ring(self, centre: tuple[float, float], radius: float, colour: Colour, width: float) -> None:
        x, y = self._to_pixels(centre)
        radius_px = radius * self._scale
        self._draw.ellipse(
            (x - radius_px, y - radius_px, x + radius_px, y + radius_px),
            outline=colour,
            width=max(1, int(width * self._scale)),
        )

    def disc(self, centre: tuple[float, float], radius: float, colour: Colour) -> None:
        self.ring(centre, radius, colour, radius)


def _scene(draw_subject: DrawSubject, generator: np.random.Generator) -> NDArray[np.uint8]:
    canvas, draw = new_canvas(generator)
    ground = int(generator.uniform(0.6, 0.9) * CANVAS_SIDE)
    draw.rectangle((0, 0, CANVAS_SIDE, ground), fill=random_colour(generator, 130, 256))
    draw.rectangle((0, ground, CANVAS_SIDE, CANVAS_SIDE), fill=random_colour(generator, 60, 200))
    draw_subject(_Pen(draw, generator), generator)
    image = downsample(canvas)
    return (image + generator.normal(0, generator.uniform(0, 10), image.shape)).clip(0, 255).astype(np.uint8)


def _bicycle(pen: _Pen, generator: np.random.Generator) -> None:
    tyre, frame = random_colour(generator, 0, 60), random_colour(generator, 0, 200)
    back, front, radius = (0.24, 0.68), (0.76, 0.68), generator.uniform(0.17, 0.22)
    for wheel in (back, front):
        pen.ring(wheel, radius, tyre, 0.025)
    saddle, crank, stem = (0.4, 0.36), (0.47, 0.68), (0.68, 0.38)
    for points in ([back, crank, saddle, back], [saddle, stem, crank], [stem, front], [(0.64, 0.3), (0.74, 0.32)]):
        pen.line(points, frame, 0.03)
    pen.line([(0.34, 0.35), (0.46, 0.35)], tyre, 0.04)


def _motorcycle(pen: _Pen, generator: np.random.Generator) -> None:
    tyre, body = random_colour(generator, 0, 50), random_colour(generator, 0, 230)
    for wheel in ((0.22, 0.7), (0.78, 0.7)):
        pen.ring(wheel, generator.uniform(0.16, 0.19), tyre, 0.07)
    pen.polygon([(0.3, 0.5), (0.62, 0.42), (0.66, 0.68), (0.36, 0.72)], random_colour(generator, 40, 140))
    pen.polygon([(0.42, 0.42), (0.66, 0.34), (0.68, 0.5), (0.44, 0.54)], body)
    pen.polygon([(0.14, 0.46), (0.44, 0.44), (0.44, 0.52), (0.16, 0.52)], tyre)
    pen.line([(0.66, 0.3), (0.78, 0.7)], (150, 150, 150), 0.05)
    pen.line([(0.58, 0.26), (0.68, 0.3)], tyre, 0.04)
    pen.line([(0.3, 0.74), (0.6, 0.76)], (170, 170, 170), 0.05)


def _bus(pen: _Pen, generator: np.random.Generator) -> None:
    pen.polygon([(0.05, 0.25), (0.95, 0.25), (0.95, 0.78), (0.05, 0.78)], random_colour(generator))
    for left in (0.1, 0.27, 0.44, 0.61, 0.78):
        pen.polygon(
            [(left, 0.33), (left + 0.13, 0.33), (left + 0.13, 0.5), (left, 0.5)], random_colour(generator, 150, 256)
        )
    for wheel in ((0.25, 0.78), (0.75, 0.78)):
        pen.disc(wheel, 0.09, (20, 20, 20))


def _pickup_truck(pen: _Pen, generator: np.random.Generator) -> None:
    body = random_colour(generator)
    pen.polygon([(0.05, 0.5), (0.95, 0.5), (0.95, 0.74), (0.05, 0.74)], body)
    pen.polygon([(0.42, 0.5), (0.48, 0.3), (0.68, 0.3), (0.76, 0.5)], body)
    pen.polygon([(0.5, 0.48), (0.53, 0.35), (0.65, 0.35), (0.7, 0.48)], random_colour(generator, 150, 256))
    for wheel in ((0.23, 0.75), (0.78, 0.75)):
        pen.disc(wheel, 0.1, (20, 20, 20))


def _house(pen: _Pen, generator: np.random.Generator) -> None:
    pen.polygon([(0.15, 0.45), (0.85, 0.45), (0.85, 0.9), (0.15, 0.9)], random_colour(generator))
    pen.polygon([(0.08, 0.46), (0.5, 0.12), (0.92, 0.46)], random_colour(generator, 0, 180))
    pen.polygon([(0.42, 0.62), (0.58, 0.62), (0.58, 0.9), (0.42, 0.9)], random_colour(generator, 0, 120))


def _tree(pen: _Pen, generator: np.random.Generator) -> None:
    pen.polygon([(0.45, 0.5), (0.55, 0.5), (0.57, 0.95), (0.43, 0.95)], (90, 60, 30))
    for centre in ((0.5, 0.3), (0.36, 0.42), (0.64, 0.42), (0.5, 0.46)):
        pen.disc(centre, 0.2, (int(generator.integers(0, 90)), int(generator.integers(90, 190)), 40))
