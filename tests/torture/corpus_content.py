"""Files of other formats, decompression bombs, damaged structures and odd metadata."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial

from PIL import Image

from tests.support.hostile_photos import (
    PNG_SIGNATURE,
    encoded,
    jpeg_of_empty_scans,
    png_chunk,
    png_file,
    tiff,
    webp_header,
    with_chunk,
    with_exif,
    with_riff_chunk,
    with_segment,
)
from tests.torture.corpus import REJECTED, ROUTED_OR_REVIEWED, HostileFile, motif, rotated, seed

_SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
_HTML = b"<!doctype html><script>alert(document.cookie)</script>"
_FTYP = b"\0\0\0\x18ftyp%s\0\0\0\0%smiaf"
_SHORT, _ASCII, _RATIONAL, _LONG, _BYTE = 3, 2, 5, 4, 1
_ORIENTATION = 0x0112


def _zip_file() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo("a.jpg"), seed("jpeg"))
    return file.getvalue()


def foreign_files() -> Iterator[HostileFile]:
    """Files of other formats, and files that are valid in two formats."""
    others: dict[str, Callable[[], bytes]] = {
        "gif": lambda: encoded(motif(), "GIF"),
        "tiff": lambda: encoded(motif(), "TIFF"),
        "bmp": lambda: encoded(motif(), "BMP"),
        "ico": lambda: encoded(motif(), "ICO"),
        "ppm": lambda: encoded(motif(), "PPM"),
        "tga": lambda: encoded(motif(), "TGA"),
        "svg": lambda: _SVG,
        "html": lambda: _HTML,
        "zip": _zip_file,
        "pdf": lambda: encoded(motif(), "PDF", creationDate=None, modDate=None),
        "gzip": lambda: zlib.compress(seed("jpeg")),
        "text": lambda: "Dear driver, this is no photo.".encode("utf-16"),
        "gif-html": lambda: b"GIF89a/*" + _HTML,
        "mp4": lambda: _FTYP % (b"isom", b"isom") + bytes(500),
        "jpeg-xl": lambda: b"\xff\x0a" + bytes(100),
        "jpeg-2000": lambda: b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(100),
        "wave": lambda: b"RIFF\x24\0\0\0WAVEfmt " + bytes(20),
        "photoshop": lambda: b"8BPS\0\1" + bytes(100),
        "space-before": lambda: b" " + seed("jpeg"),
        "apple-double": lambda: b"\0\5\x16\7\0\2\0\0Mac OS X        " + bytes(200),
        "executable": lambda: b"\x7fELF\2\1\1" + bytes(100),
        "jpeg-head-html": lambda: b"\xff\xd8\xff" + _HTML,
        "png-head-zip": lambda: PNG_SIGNATURE + _zip_file(),
        "heic-without-data": lambda: _FTYP % (b"heic", b"mif1") + bytes(200),
        "avif-without-data": lambda: _FTYP % (b"avif", b"mif1") + bytes(200),
        "webp-without-data": lambda: b"RIFF\x04\0\0\0WEBP",
    }
    for name, make in others.items():
        yield HostileFile(f"foreign/{name}", make, REJECTED)
    for name in ("jpeg", "progressive", "png", "webp", "heic", "avif"):
        for behind, content in {"zip": _zip_file, "html": lambda: _HTML, "itself": partial(seed, name)}.items():
            make = lambda name=name, content=content: seed(name) + content()  # noqa: E731
            yield HostileFile(f"polyglots/{name}-{behind}", make)
    yield HostileFile(
        "polyglots/jpeg-comment-html", lambda: with_segment(seed("jpeg"), 0xFE, _HTML), ROUTED_OR_REVIEWED
    )
    yield HostileFile(
        "polyglots/png-text-svg", lambda: with_chunk(seed("png"), b"tEXt", b"a\0" + _SVG), ROUTED_OR_REVIEWED
    )


def _with_size(jpeg: bytes, width: int, height: int) -> bytes:
    """Return a baseline or progressive JPEG file that announces another size."""
    start = max(jpeg.find(b"\xff\xc0"), jpeg.find(b"\xff\xc2"))
    return jpeg[: start + 5] + struct.pack(">HH", height, width) + jpeg[start + 9 :]


def _with_png_size(width: int, height: int) -> bytes:
    header = struct.pack(">LLBBBBB", width, height, 8, 2, 0, 0, 0)
    return PNG_SIGNATURE + png_chunk(b"IHDR", header) + seed("png")[33:]


def _with_box_size(photo: bytes, width: int, height: int) -> bytes:
    """Return a HEIC or AVIF file whose container announces another size."""
    at = photo.index(b"ispe\0\0\0\0") + 8
    return photo[:at] + struct.pack(">LL", width, height) + photo[at + 8 :]


def bombs() -> Iterator[HostileFile]:
    """Files whose decoding needs much memory or time, and sizes that are announced only."""
    large: dict[str, Callable[[], bytes]] = {
        "png-60-megapixels": lambda: encoded(Image.new("1", (10_000, 6_000))),
        "png-50-megapixels": partial(png_file, 10_000, 5_000, 1, 0, seed=None),
        "png-rgba-50-megapixels": partial(png_file, 8_160, 6_120, 8, 6, seed=None, filtered=4),
        "png-16-bit-rgba-interlaced": partial(png_file, 7_000, 7_000, 16, 6, seed=None, interlaced=True, filtered=4),
        "png-one-row": partial(png_file, 40_000_000, 1, 1, 0, seed=None),
        "png-one-column": partial(png_file, 1, 40_000_000 // 64, 1, 0, seed=None),
        "png-long-text": lambda: with_chunk(
            seed("png"), b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(50_000_000))
        ),
        "png-profile": lambda: with_chunk(seed("png"), b"iCCP", b"p\0\0" + zlib.compress(bytes(50_000_000))),
        "png-data-behind": lambda: seed("png") + png_chunk(b"IDAT", zlib.compress(bytes(50_000_000))),
        "webp-lossless-16383": lambda: encoded(
            Image.new("RGB", (8_000, 6_200)), "WEBP", lossless=True, method=0, quality=0
        ),
        "webp-21-megapixels": lambda: encoded(Image.new("RGBA", (5_400, 3_900)), "WEBP", lossless=True, method=0),
        "avif-48-megapixels": lambda: encoded(Image.new("RGB", (8_000, 6_000)), "AVIF", speed=10),
        "avif-24-megapixels": lambda: encoded(Image.new("RGB", (6_000, 4_000)), "AVIF", speed=10),
        "heic-12-megapixels": lambda: encoded(
            Image.new("RGB", (4_000, 3_000)), "HEIF", enc_params={"preset": "ultrafast"}
        ),
        "jpeg-50-megapixels-progressive": partial(jpeg_of_empty_scans, 8_160, 6_120, 0),
        "jpeg-cmyk-progressive": lambda: encoded(Image.new("CMYK", (8_000, 5_000)), "JPEG", progressive=True),
        "jpeg-wide": lambda: encoded(Image.new("RGB", (65_500, 700)), "JPEG", progressive=True),
        "jpeg-20-scans-of-50-megapixels": partial(jpeg_of_empty_scans, 8_160, 6_120, 10),
        "jpeg-60-scans-of-15-megapixels": partial(jpeg_of_empty_scans, 4_800, 3_200, 50),
        "jpeg-incomplete-12-megapixels": lambda: jpeg_of_empty_scans(4_000, 3_000, 0)[:-2],
    }
    for name, make in large.items():
        yield HostileFile(f"bombs/{name}", make)
    for width, height in ((65_535, 65_535), (60_000, 800), (0, 0), (0, 9), (1, 1), (65_535, 1)):
        for name in ("jpeg", "progressive"):
            make = lambda name=name, width=width, height=height: _with_size(seed(name), width, height)  # noqa: E731
            yield HostileFile(f"announced/{name}-{width}x{height}", make)
    for width, height in ((2**31 - 1, 2**31 - 1), (2**32 - 1, 1), (0, 0), (50_000, 999), (1, 1)):
        yield HostileFile(f"announced/png-{width}x{height}", partial(_with_png_size, width, height))
        for name in ("heic", "avif"):
            make = lambda name=name, width=width, height=height: _with_box_size(seed(name), width, height)  # noqa: E731
            yield HostileFile(f"announced/{name}-{width}x{height}", make)
    yield HostileFile("announced/webp-16383", partial(webp_header, 16_383, 16_383), REJECTED)
    yield HostileFile("announced/webp-12-megapixels", partial(webp_header, 4_000, 3_000), REJECTED)


def structures() -> Iterator[HostileFile]:
    """Thousands of scans, segments, frames and chunks; lengths that do not fit."""
    jpeg, png, webp = (partial(seed, name) for name in ("jpeg", "png", "webp"))
    frames = [Image.new("RGB", (8, 8), (n % 256, n // 256, 0)) for n in range(1_200)]
    made: dict[str, Callable[[], bytes]] = {
        "jpeg-5000-scans": partial(jpeg_of_empty_scans, 64, 64, 5_000),
        "jpeg-65-scans": partial(jpeg_of_empty_scans, 64, 64, 55),
        "jpeg-20000-segments": lambda: jpeg().replace(b"\xff\xdb", b"\xff\xfe\0\2" * 20_000 + b"\xff\xdb", 1),
        "jpeg-9000-segments": lambda: jpeg().replace(b"\xff\xdb", b"\xff\xfe\0\2" * 9_000 + b"\xff\xdb", 1),
        "jpeg-fill-bytes": lambda: jpeg().replace(b"\xff\xdb", b"\xff" * 100_000 + b"\xdb", 1),
        "jpeg-restart-markers": lambda: jpeg()[:-2] + b"\xff\xd0" * 50_000 + b"\xff\xd9",
        "jpeg-two-frames": lambda: jpeg().replace(
            b"\xff\xc0", jpeg()[jpeg().index(b"\xff\xc0") :][:19] + b"\xff\xc0", 1
        ),
        "jpeg-no-tables": lambda: jpeg().replace(b"\xff\xc4", b"\xff\xfe"),
        "jpeg-no-quantization": lambda: jpeg().replace(b"\xff\xdb", b"\xff\xfe"),
        "jpeg-arithmetic": lambda: jpeg().replace(b"\xff\xc0", b"\xff\xc9", 1),
        "jpeg-lossless": lambda: jpeg().replace(b"\xff\xc0", b"\xff\xc3", 1),
        "jpeg-12-bits": lambda: jpeg().replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c", 1),
        "jpeg-zero-length": lambda: jpeg().replace(b"\xff\xdb\0", b"\xff\xdb\0\0\0", 1),
        "jpeg-thumbnails": lambda: with_segment(jpeg(), 0xE2, b"MPF\0" + jpeg()[:60_000]),
        "png-150000-chunks": lambda: png()[:33] + png_chunk(b"IDAT", b"") * 150_000 + png()[33:],
        "png-50000-chunks": lambda: png()[:33] + png_chunk(b"tEXt", b"a\0b") * 50_000 + png()[33:],
        "png-negative-length": lambda: png()[:33] + b"\xff\xff\xff\xffIDAT" + png()[41:],
        "png-wrong-checksum": lambda: png()[:29] + b"\0\0\0\0" + png()[33:],
        "png-two-headers": lambda: with_chunk(png(), b"IHDR", png()[16:29]),
        "png-no-palette": lambda: png_file(20, 20, 8, 3).replace(b"PLTE", b"pLTE"),
        "png-no-data": lambda: PNG_SIGNATURE + png()[8:33] + png_chunk(b"IEND", b""),
        "png-animated": lambda: encoded(frames[0], "PNG", save_all=True, append_images=frames[1:50]),
        "png-unknown-critical": lambda: with_chunk(png(), b"ABCD", b""),
        "webp-1200-frames": lambda: encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:]),
        "webp-20-frames": lambda: encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:20]),
        "webp-20000-chunks": lambda: webp() + b"ABCD\0\0\0\0" * 20_000,
        "webp-negative-length": lambda: webp()[:16] + b"\xff\xff\xff\xff" + webp()[20:],
        "webp-wrong-riff-size": lambda: webp()[:4] + b"\0\0\0\0" + webp()[8:],
        "avif-20-frames": lambda: encoded(frames[0], "AVIF", save_all=True, append_images=frames[1:20]),
        "heic-box-size-0": lambda: seed("heic").replace(b"\0\0\0\x21hdlr", b"\0\0\0\0hdlr", 1),
        "heic-many-boxes": lambda: seed("heic") + b"\0\0\0\x08free" * 50_000,
        "avif-many-boxes": lambda: seed("avif") + b"\0\0\0\x08free" * 50_000,
    }
    for name, make in made.items():
        yield HostileFile(f"structures/{name}", make)


def metadata() -> Iterator[HostileFile]:
    """EXIF metadata of all kinds, profiles and texts: none of them may reject a photo."""
    kinds = {
        "empty": b"",
        "no-header": b"\0\x08\0\2\1\x12\0\3",
        "offset-outside": b"II*\0\xff\xff\xff\xff",
        "65535-entries": b"MM\0*\0\0\0\x08\xff\xff",
        "loop": b"II*\0\x08\0\0\0\0\0\x08\0\0\0",
        "text-orientation": tiff((_ORIENTATION, _ASCII, 2, b"6\0")),
        "rational-orientation": tiff((_ORIENTATION, _RATIONAL, 1, struct.pack("<II", 6, 0))),
        "orientation-65535": tiff((_ORIENTATION, _SHORT, 1, b"\xff\xff")),
        "unknown-type": tiff((0x0131, 99, 2**31, b"\xff\xff\xff\xff")),
        "directory-in-itself": tiff((0x8769, _LONG, 1, struct.pack("<I", 8))),
        "position": tiff((0x8825, _LONG, 1, struct.pack("<I", 2**31))),
        "60-kb": tiff((0x927C, _BYTE, 60_000, bytes(60_000))),
    }
    for name, content in kinds.items():
        yield HostileFile(f"exif/jpeg-{name}", lambda c=content: with_exif(seed("jpeg"), c), ROUTED_OR_REVIEWED)
        yield HostileFile(f"exif/png-{name}", lambda c=content: with_chunk(seed("png"), b"eXIf", c), ROUTED_OR_REVIEWED)
        yield HostileFile(
            f"exif/webp-{name}", lambda c=content: encoded(motif(), "WEBP", exif=c or b"\0"), ROUTED_OR_REVIEWED
        )
    for orientation in range(1, 9):
        yield HostileFile(f"exif/jpeg-orientation-{orientation}", partial(rotated, orientation), ROUTED_OR_REVIEWED)
    for name, profile in {"damaged": b"damaged", "zeros": bytes(200), "long": bytes(60_000)}.items():
        yield HostileFile(
            f"profiles/jpeg-{name}",
            lambda p=profile: with_segment(seed("jpeg"), 0xE2, b"ICC_PROFILE\0\1\1" + p),
            ROUTED_OR_REVIEWED,
        )
        for kind in ("PNG", "WEBP", "AVIF"):
            make = lambda kind=kind, p=profile: encoded(motif(), kind, icc_profile=p)  # noqa: E731
            yield HostileFile(f"profiles/{kind.lower()}-{name}", make, ROUTED_OR_REVIEWED)
    texts = {
        "text-60-mb": (b"zTXt", b"Comment\0\0" + zlib.compress(bytes(60_000_000))),
        "gamma-zero": (b"gAMA", bytes(4)),
        "no-transparency": (b"tRNS", b""),
        "time": (b"tIME", b"\xff" * 7),
        "animation": (b"acTL", b"\xff" * 8),
        "physical": (b"pHYs", bytes(9)),
    }
    for name, (kind, data) in texts.items():
        yield HostileFile(
            f"texts/png-{name}", lambda kind=kind, data=data: with_chunk(seed("png"), kind, data), ROUTED_OR_REVIEWED
        )
    yield HostileFile(
        "texts/webp-xmp", lambda: with_riff_chunk(seed("webp"), b"XMP ", b"<" * 50_000), ROUTED_OR_REVIEWED
    )
