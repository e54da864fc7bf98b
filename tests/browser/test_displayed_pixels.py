"""The browser displays the pixels that the model gets, of photos that are made to show something else."""

import base64

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser

from console.photos import SIZES, decode, encode
from tests.support.crafted_photos import crafted_photos
from training.images import preprocess, resize_and_pad

SIDE, TOLERANCE = 192, 3.0
KINDS = ("clear alpha, PNG", "gradient alpha", "16-bit colours", "profile that swaps", "gAMA", "CMYK", "orientation 6")
PHOTOS = {name: photo for name, photo in crafted_photos().items() if name.startswith((*KINDS, "clipped", "animated"))}

_PIXELS = """async (address) => {
  const image = new Image();
  image.src = address;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
  let text = "";
  for (let i = 0; i < pixels.length; i += 8192) text += String.fromCharCode(...pixels.subarray(i, i + 8192));
  return [canvas.width, canvas.height, btoa(text)];
}"""


@pytest.mark.parametrize("name", PHOTOS)
def test_the_browser_displays_what_the_model_sees(chromium: Browser, name: str) -> None:
    jpeg = encode(decode(PHOTOS[name], SIZES["large"]))
    page = chromium.new_page()
    try:
        address = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
        width, height, pixels = page.evaluate(_PIXELS, address)
    finally:
        page.close()
    displayed = Image.frombytes("RGBA", (width, height), base64.b64decode(pixels)).convert("RGB")
    seen = preprocess(PHOTOS[name], SIDE).astype(int)
    assert np.abs(resize_and_pad(np.asarray(displayed), SIDE).astype(int) - seen).mean() < TOLERANCE
