"""The length of source files."""

from collections.abc import Iterator
from fnmatch import fnmatch

MAX_LINES = 350
EXEMPT = (
    "*.yaml",
    "*.html",
    "*.svg",
    "*.asl.json",
    "docs/model/*",
    "docs/workflows/*",
    "docs/driver-api.json",
    "training/NOTICE",
    "LICENSE",
    "*.lock",
    "tests/browser/axe/*",
)
"""Templates, generated files, data, licences and third-party code."""


def long_files(path: str, text: str) -> Iterator[str]:
    """Yield one line when the file has more than MAX_LINES lines."""
    lines = len(text.splitlines())
    if lines > MAX_LINES and not any(fnmatch(path, pattern) for pattern in EXEMPT):
        yield f"{path}: {lines} lines, at most {MAX_LINES}; split it by idea"
