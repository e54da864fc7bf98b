"""Keys in S3, names, content types and sizes of hostile files."""

from collections.abc import Iterator
from functools import partial

from functions.shared.uploads import LARGEST_PHOTO_BYTES
from tests.torture.corpus import NO_OUTCOME, REJECTED, ROUTED_OR_REVIEWED, UPLOADS, HostileFile, seed

_NAMES = {
    "control": "a\x01\x1f\x7fb.jpg",
    "line-break": "a\nb\r\n.jpg",
    "tab": "a\tb.jpg",
    "last-character": "a\uffffb.jpg",
    "replacement": "\ufffd.jpg",
    "byte-order-mark": "\ufeffa.jpg",
    "dot-dot-inside": "a/../b/./c.jpg",
    "double-slash": "a//b.jpg",
    "percent": "100%25%2e%2e%2fa.jpg",
    "plus": "1+1 = 2.jpg",
    "single-quote": "it's.jpg",
    "double-quote": 'a"b".jpg',
    "dollar": "$HOME ${PATH} $(id) `id`.jpg",
    "json": '{"photo": {"$.key": 1}}',
    "path": "$.photo.key",
    "intrinsic": "States.Format('{}', $.photo)",
    "emoji": "\U0001f6b2\u200d\U0001f9ef.jpg",
    "right-to-left": "\u202egpj.exe",
    "arabic": "\u0635\u0648\u0631\u0629.jpg",
    "combining": "e\u0301\u0323.jpg",
    "trailing-space": "a.jpg ",
    "trailing-dot": "a.",
    "backslash": "C:\\photos\\a.jpg",
    "markup": "<script>alert(1)</script>.jpg",
    "formula": "=HYPERLINK(1)",
    "query": "a.jpg?versionId=1&x=y#z",
    "star": "*.jpg",
    "semicolon": "a;rm -rf.jpg",
    "dash": "-rf",
}


def keys() -> Iterator[HostileFile]:
    """One photo under many keys; folder markers; content types and suffixes that do not fit; sizes at the limits."""
    photo = partial(seed, "jpeg")
    for name, file_name in _NAMES.items():
        yield HostileFile(f"keys/{name}", photo, ROUTED_OR_REVIEWED, f"{UPLOADS}/{file_name}")
    for name, key in {
        "longest": f"{UPLOADS}/".ljust(1020, "k") + ".jpg",
        "longest-unicode": f"{UPLOADS}/" + "\u00e9" * ((1024 - len(UPLOADS) - 1) // 2),
        "no-name": "uploads/driver-66-",
        "no-driver": "uploads//a.jpg",
        "dot-dot": "uploads/../a.jpg",
        "deep": "uploads/" + "d/" * 400 + "a.jpg",
        "driver-markup": "uploads/<b>$.x\"'/a.jpg",
        "photo-in-a-folder-name": f"{UPLOADS}/folder.jpg/",
    }.items():
        yield HostileFile(f"keys/{name}", photo, ROUTED_OR_REVIEWED, key)
    for name in ("new-folder/", "a/b/", " /", "\u00e9/"):
        yield HostileFile(f"folders/{name.strip('/')}", bytes, NO_OUTCOME, f"{UPLOADS}/{name}")
    for name, media_type in {
        "html": "text/html",
        "none": "binary/octet-stream",
        "json": "application/json",
        "malformed": 'a/b; c="',
        "xml": "image/svg+xml",
    }.items():
        yield HostileFile(f"types/{name}", photo, ROUTED_OR_REVIEWED, media_type=media_type)
    for name, suffix in {"heic": "png", "webp": "jpg", "png": "heic", "jpeg": "txt", "avif": "exe"}.items():
        key = f"{UPLOADS}/wrong-suffix.{suffix}"
        yield HostileFile(f"types/{name}-as-{suffix}", partial(seed, name), ROUTED_OR_REVIEWED, key)
    sizes = {
        "empty": lambda: b"",
        "one-byte": lambda: b"\xff",
        "two-bytes": lambda: b"\xff\xd8",
        "three-bytes": lambda: b"\xff\xd8\xff",
        "png-signature": lambda: b"\x89PNG\r\n\x1a\n",
        "above-the-limit": lambda: seed("jpeg").ljust(LARGEST_PHOTO_BYTES + 1, b"\0"),
        "zeros": lambda: bytes(1_000_000),
    }
    for name, make in sizes.items():
        yield HostileFile(f"sizes/{name}", make, REJECTED)
    yield HostileFile("sizes/at-the-limit", lambda: seed("jpeg").ljust(LARGEST_PHOTO_BYTES, b"\0"), ROUTED_OR_REVIEWED)
