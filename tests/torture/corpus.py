"""The corpus of hostile files: deterministic, generated in code, at least 300 files."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

from PIL import Image

from tests.support.hostile_photos import encoded, noise, png_file, tiff, with_exif, with_flipped_bits

ROUTED_OR_REVIEWED, REJECTED, NO_OUTCOME = "decision or review", "rejection", "no outcome"
"""What a file must end as; None is any of the first two."""

UPLOADS = "uploads/driver-66"


@dataclass(frozen=True)
class HostileFile:
    """A file to upload. `name` is unique and begins with its group; `make` returns the content."""

    name: str
    make: Callable[[], bytes] = field(repr=False)
    expected: str | None = None
    key: str = ""
    media_type: str = "image/jpeg"

    @property
    def group(self) -> str:
        """The first part of the name."""
        return self.name.partition("/")[0]

    @property
    def object_key(self) -> str:
        """The key in S3."""
        return self.key or f"{UPLOADS}/{self.name.replace('/', '-')}"


def corpus() -> list[HostileFile]:
    """Return every file; their names and keys are unique."""
    from tests.torture.corpus_content import bombs, foreign_files, metadata, structures
    from tests.torture.corpus_keys import keys

    parts = (whole, truncated, flipped, colours, foreign_files, bombs, structures, metadata, keys)
    return [file for part in parts for file in part()]


def sample(files: list[HostileFile], count: int) -> list[HostileFile]:
    """Return about `count` files, evenly from each group, at least two of each."""
    groups: dict[str, list[HostileFile]] = {}
    for file in files:
        groups.setdefault(file.group, []).append(file)
    chosen = []
    for members in groups.values():
        number = min(len(members), max(2, round(count * len(members) / len(files))))
        chosen += [members[index * len(members) // number] for index in range(number)]
    return chosen


def motif() -> Image.Image:
    """Return the image in most files: small, with detail."""
    return noise(96, 72).resize((160, 120), Image.Resampling.BICUBIC)


SEEDS: dict[str, tuple[str, dict[str, Any]]] = {
    "jpeg": ("JPEG", {}),
    "progressive": ("JPEG", {"progressive": True}),
    "png": ("PNG", {}),
    "webp": ("WEBP", {}),
    "lossless": ("WEBP", {"lossless": True}),
    "heic": ("HEIF", {}),
    "avif": ("AVIF", {}),
}


@cache
def seed(name: str) -> bytes:
    """Return a valid photo in one of the formats of SEEDS."""
    kind, options = SEEDS[name]
    return encoded(motif(), kind, **options)


def whole() -> Iterator[HostileFile]:
    """The files that the others are made from."""
    for name in SEEDS:
        yield HostileFile(f"whole/{name}", partial(seed, name), ROUTED_OR_REVIEWED)


def truncated() -> Iterator[HostileFile]:
    """Each format, cut at each 5%."""
    for name in SEEDS:
        for percent in range(5, 100, 5):
            yield HostileFile(
                f"truncated/{name}-{percent}",
                lambda name=name, percent=percent: seed(name)[: len(seed(name)) * percent // 100],
                REJECTED,
            )


def flipped() -> Iterator[HostileFile]:
    """Each format with flipped bits, a few and many."""
    for name in SEEDS:
        for number in range(8):
            yield HostileFile(
                f"flipped/{name}-{number}",
                lambda name=name, number=number: with_flipped_bits(seed(name), number, 1 << number // 2),
            )


def colours() -> Iterator[HostileFile]:
    """Every colour type, depth and subsampling."""
    depths = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
    for colour, allowed in depths.items():
        for depth in allowed:
            for interlaced in (False, True):
                name = f"colours/png-{colour}-{depth}{'-interlaced' * interlaced}"
                yield HostileFile(
                    name, partial(png_file, 61, 47, depth, colour, interlaced=interlaced), ROUTED_OR_REVIEWED
                )
    modes: list[tuple[str, str, str, dict[str, Any]]] = [
        ("jpeg-grey", "JPEG", "L", {}),
        ("jpeg-grey-progressive", "JPEG", "L", {"progressive": True}),
        ("jpeg-cmyk", "JPEG", "CMYK", {}),
        ("jpeg-cmyk-progressive", "JPEG", "CMYK", {"progressive": True}),
        ("jpeg-444", "JPEG", "RGB", {"subsampling": "4:4:4"}),
        ("jpeg-422", "JPEG", "RGB", {"subsampling": "4:2:2"}),
        ("jpeg-restarts", "JPEG", "RGB", {"restart_marker_blocks": 1}),
        ("jpeg-quality-1", "JPEG", "RGB", {"quality": 1}),
        ("jpeg-quality-100", "JPEG", "RGB", {"quality": 100}),
        ("webp-alpha", "WEBP", "RGBA", {}),
        ("webp-alpha-lossless", "WEBP", "RGBA", {"lossless": True}),
        ("webp-grey", "WEBP", "L", {}),
        ("heic-grey", "HEIF", "L", {}),
        ("heic-alpha", "HEIF", "RGBA", {}),
        ("heic-444", "HEIF", "RGB", {"chroma": 444}),
        ("avif-grey", "AVIF", "L", {}),
        ("avif-alpha", "AVIF", "RGBA", {}),
        ("avif-444", "AVIF", "RGB", {"subsampling": "4:4:4"}),
        ("avif-lossless", "AVIF", "RGB", {"quality": 100}),
    ]
    for name, kind, mode, options in modes:
        yield HostileFile(
            f"colours/{name}",
            lambda kind=kind, mode=mode, options=options: encoded(motif().convert(mode), kind, **options),
            ROUTED_OR_REVIEWED,
        )


def rotated(orientation: int) -> bytes:
    """Return a JPEG file with an orientation."""
    return with_exif(seed("jpeg"), tiff((0x0112, 3, 1, orientation.to_bytes(2, "little"))))
