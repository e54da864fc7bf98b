"""`python -m tests.lint`: print forbidden names, long files and silent `except` clauses; exit status 1 for any."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.lint.exceptions import silent_handlers
from tests.lint.files import long_files
from tests.lint.names import forbidden_names

ROOT = Path(__file__).resolve().parents[2]
SKIPPED = {".git", ".venv", "build", "__pycache__"}


def repository_files(root: Path) -> list[Path]:
    """Return the tracked and the new files, without ignored ones; without a repository, every file."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    if listing.returncode == 0:
        paths = [root / name for name in listing.stdout.split("\0") if name]
    else:
        paths = [path for path in root.rglob("*") if not SKIPPED.intersection(path.relative_to(root).parts)]
    return sorted({path for path in paths if path.is_file()})


def problems(root: Path) -> Iterator[str]:
    """Yield one line for each problem in a checkout. Files that are not UTF-8 text are skipped."""
    for file in repository_files(root):
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        path = file.relative_to(root).as_posix()
        yield from forbidden_names(path, text)
        yield from long_files(path, text)
        yield from silent_handlers(path, text)


def main() -> int:
    """Print the problems of this checkout."""
    found = list(problems(ROOT))
    print(*found, sep="\n", end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
