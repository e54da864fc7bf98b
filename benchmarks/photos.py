"""Photos for the measurements: small PNGs and larger JPEGs that the champion is confident of."""

import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import numpy as np
from PIL import Image

from deploy.outputs import Deployed
from operate.errors import CommandError
from operate.synthetic_photos import synthetic_photos
from operate.uploads import Source, find_photos
from training.vehicles import configured_vehicles

if TYPE_CHECKING:
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient
    from mypy_boto3_ssm import SSMClient

TINY_BYTES = 4096
TINY_SIDE = 32
JPEG_BYTES = range(40_000, 190_000)
"""As base64 text a larger photo does not fit into a state of Step Functions, at most 256 KiB."""
_JPEG_SIDE = 1024
_JPEG_NOISE = 12.0
_DRAWN = 60


@dataclass(frozen=True)
class Model:
    """The champion's threshold in force, from 0 to 1, and the photos that it classifies as a vehicle above it."""

    threshold: float
    tiny: list[Source]
    jpeg: list[Source]
    origin: dict[str, str]


def choose(deployed: Deployed, count: int, folder: Path | None, staged: Path) -> Model:
    """Return `count` PNGs and `count` JPEGs that the endpoint is confident of, by asking it about each.

    JPEGs come from `folder`, or are drawings that are enlarged; PNGs come from `staged`, the photos of the staged
    training data, or are drawings. With fewer confident photos than `count`, they are repeated. Raises CommandError
    when the endpoint is confident of none.
    """
    endpoint = _Endpoint(deployed)
    tiny, tiny_origin = endpoint.choose(count, {str(staged): _pngs(staged), "drawings": _drawn_pngs()})
    jpegs = {str(folder): _jpegs(folder)} if folder else {}
    jpeg, jpeg_origin = endpoint.choose(count, {**jpegs, "drawings": _drawn_jpegs()})
    return Model(endpoint.threshold, tiny, jpeg, {"tiny": tiny_origin, "jpeg": jpeg_origin})


class _Endpoint:
    """The endpoint and the threshold in force."""

    def __init__(self, deployed: Deployed) -> None:
        self._name = deployed.endpoint_name
        self._runtime: SageMakerRuntimeClient = boto3.client("sagemaker-runtime")
        ssm: SSMClient = boto3.client("ssm")
        self._parameter = str(ssm.get_parameter(Name=deployed.threshold_parameter)["Parameter"]["Value"])
        self.threshold = 0.0

    def choose(self, count: int, candidates: dict[str, Iterable[Source]]) -> tuple[list[Source], str]:
        """Return confident photos of the first origin that has one, and the origin."""
        for origin, photos in candidates.items():
            confident: list[Source] = []
            for photo in photos:
                if len(confident) == count:
                    break
                if self._is_confident(photo):
                    confident.append(photo)
            if confident:
                return [confident[number % len(confident)] for number in range(count)], origin
        raise CommandError("The model is confident of no photo. Pass PHOTOS=<folder of JPEG photos of vehicles>.")

    def _is_confident(self, photo: Source) -> bool:
        answer = self._runtime.invoke_endpoint(
            EndpointName=self._name, ContentType="application/x-image", Body=photo.content
        )
        found = json.loads(answer["Body"].read())
        if "error" in found:
            return False
        self.threshold = found["threshold"] if self._parameter == "model" else float(self._parameter)
        return found["vehicle"] in configured_vehicles() and found["confidence"] >= self.threshold


def drawings(count_per_vehicle: int, seed: int, side: int = TINY_SIDE) -> Iterator[Source]:
    """Yield drawings of vehicles as PNG photos of `side` by `side` pixels; the same seed gives the same ones."""
    drawn = synthetic_photos(count_per_vehicle, seed)
    vehicles = configured_vehicles()
    for number, (image, label) in enumerate(zip(drawn.images, drawn.labels, strict=True)):
        if label in vehicles:
            content = io.BytesIO()
            Image.fromarray(image).resize((side, side)).save(content, "PNG")
            yield Source(f"drawn-{number:03}.png", content.getvalue(), str(label))


def _pngs(folder: Path) -> Iterator[Source]:
    found = find_photos(folder).sources if folder.is_dir() else []
    return (photo for photo in found if photo.media_type == "image/png" and len(photo.content) <= TINY_BYTES)


def _drawn_pngs() -> Iterator[Source]:
    return (photo for photo in drawings(_DRAWN, seed=11) if len(photo.content) <= TINY_BYTES)


def _jpegs(folder: Path) -> Iterator[Source]:
    return (
        photo
        for photo in find_photos(folder).sources
        if photo.media_type == "image/jpeg" and len(photo.content) in JPEG_BYTES
    )


def _drawn_jpegs() -> Iterator[Source]:
    """Yield enlarged drawings with noise, which makes them about as large as photos."""
    generator = np.random.default_rng(7)
    for photo in drawings(_DRAWN, seed=12, side=64):
        image = Image.open(io.BytesIO(photo.content)).resize((_JPEG_SIDE, _JPEG_SIDE), Image.Resampling.BICUBIC)
        pixels = np.asarray(image) + generator.normal(0, _JPEG_NOISE, (_JPEG_SIDE, _JPEG_SIDE, 1))
        for quality in (70, 50, 30):
            content = io.BytesIO()
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(content, "JPEG", quality=quality)
            if len(content.getvalue()) in JPEG_BYTES:
                yield Source(photo.name.replace(".png", ".jpg"), content.getvalue(), photo.label)
                break
