"""Statistics of the pixels that the model sees, and of the size of a photo, by which drift of the photos is noticed."""

import numpy as np

from training.images import Pixels, resize_and_pad
from training.metrics import Floats

STATISTICS = ("brightness", "sharpness", "size", "aspect")
_NOISE = 1.0  # levels; a photo with less contrast has no measurable sharpness
_LUMA = (77, 150, 29)  # Rec. 601, in 1/256


def measure_image(pixels: Pixels, width: int, height: int) -> dict[str, float | int]:
    """Return `brightness`, `sharpness`, `width` and `height` of a photo of `width` x `height` pixels.

    `pixels` (side, side, 3) are the photo as the model sees it, padded with grey; the padding is left out. `brightness`
    is the mean luma in [0, 1]. `sharpness` is the standard deviation of the Laplacian of the luma, whose variance is a
    common measure of focus (Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", 2000), divided by
    that of the luma itself, so that it does not depend on the light: 0 without any edge, 4.5 for noise. It is that of
    the pixels the model sees, not of the file.
    """
    luma = _visible(pixels, width, height)
    inner = luma[1:-1, 1:-1]
    laplacian = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:] - 4 * inner
    return {
        "brightness": round(float(luma.mean()) / 255, 4),
        "sharpness": round(float(laplacian.std() / (luma.std() + _NOISE)) if inner.size else 0.0, 4),
        "width": width,
        "height": height,
    }


def measure_images(images: list[Pixels], side: int) -> dict[str, Floats]:
    """Return the values (N,) of each of STATISTICS for images of any sizes, as the watch derives them from records.

    `size` is the longer side in pixels, `aspect` is width / height.
    """
    rows = [measure_image(resize_and_pad(image, side), image.shape[1], image.shape[0]) for image in images]
    return {
        "brightness": np.array([row["brightness"] for row in rows], dtype=float),
        "sharpness": np.array([row["sharpness"] for row in rows], dtype=float),
        "size": np.array([max(row["width"], row["height"]) for row in rows], dtype=float),
        "aspect": np.array([row["width"] / row["height"] for row in rows], dtype=float),
    }


def _visible(pixels: Pixels, width: int, height: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    """Return the luma, int16, of what is not padding, without its outermost pixels when there is padding."""
    side, ratio = len(pixels), len(pixels) / max(width, height)
    rows, columns = max(1, round(height * ratio)), max(1, round(width * ratio))
    top, left = (side - rows) // 2, (side - columns) // 2
    # A photo that was turned may be one pixel off the centre.
    trim_y, trim_x = int(3 < rows < side), int(3 < columns < side)
    shown = pixels[top + trim_y : top + rows - trim_y, left + trim_x : left + columns - trim_x].astype(np.uint16)
    luma = (shown[..., 0] * _LUMA[0] + shown[..., 1] * _LUMA[1] + shown[..., 2] * _LUMA[2]) >> 8
    return luma.astype(np.int16)
