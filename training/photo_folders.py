"""Photos in folders on disk: which files are photos, and which class folder each lies in.

Staging, evaluation and upload read folders through this module, so that all three see the same photos:

- The class of a photo is the name of the first folder below the root; folders below that one only group photos.
- Hidden files and folders (names that begin with a dot, at every level) and folders that programs leave behind
  (`__MACOSX`, `@eaDir`) are no data.
- A photo is a file with one of the suffixes in MEDIA_TYPES. Other files are left out with the reason, except those
  that explain a folder (NOTES).
- A class folder whose name differs from a vehicle's only in case, spaces, hyphens, underscores or a plural is refused:
  its photos would count as `other`.

Every name in a result can be printed and encoded as UTF-8, whatever bytes the file's name has on disk.
"""

import stat
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

MEDIA_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".jpe": "image/jpeg",
    ".jfif": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
}
"""The suffixes of photos, in lower case, and the Content-Type of each."""

NOTES = (".txt", ".md", ".json", ".csv", ".html", ".xml", ".ini", ".db")
"""Files that explain a folder rather than belong to it; left out without a word."""

UNSUPPORTED = {".heic": "HEIC", ".heif": "HEIF", ".avif": "AVIF"}
OUTSIDE = "not in a class folder"

_PROGRAM_FOLDERS = {"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"}
_LONGEST_KEY_NAME = 120
_SHOWN = 5


class PhotoFolderError(Exception):
    """The folder cannot be read as photos; the message says which name or path, and what to do."""


@dataclass(frozen=True)
class FoundPhoto:
    """A file with a photo's suffix.

    `name` is its path below the root, printable; `class_name` the printable name of its class folder, None for a photo
    that lies in the root itself.
    """

    path: Path
    name: str
    class_name: str | None

    @property
    def media_type(self) -> str:
        """Its Content-Type, by its suffix."""
        return MEDIA_TYPES[self.path.suffix.lower()]

    def read(self) -> bytes:
        """Return the file's bytes. Raises OSError when it cannot be read."""
        return self.path.read_bytes()


@dataclass(frozen=True)
class LeftOut:
    """A file or folder that is not used, by its printable path below the root, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class PhotoFolder:
    """What a folder holds: its photos in the order of their paths, and what was left out."""

    root: Path
    photos: tuple[FoundPhoto, ...]
    left_out: tuple[LeftOut, ...]

    def counts(self) -> dict[str, int]:
        """Return how many photos each class folder holds, by its name."""
        return dict(sorted(Counter(photo.class_name for photo in self.photos if photo.class_name is not None).items()))

    def labelled_with(self, vehicles: Iterable[str]) -> bool:
        """Whether the folders say what the photos show: at least one is named after a vehicle."""
        return not set(vehicles).isdisjoint(self.counts())


def read_class_folders(root: Path, vehicles: Sequence[str]) -> PhotoFolder:
    """Return the photos in the class folders of `root`; photos beside the class folders are left out.

    Raises PhotoFolderError when `root` is not a folder, and when a class folder looks like one of `vehicles` but is not
    named as it is.
    """
    found = find_photos(root)
    _refuse_look_alikes(found, vehicles)
    outside = [LeftOut(photo.name, OUTSIDE) for photo in found.photos if photo.class_name is None]
    inside = tuple(photo for photo in found.photos if photo.class_name is not None)
    return PhotoFolder(root, inside, (*found.left_out, *outside))


def read_any_folder(root: Path, vehicles: Sequence[str]) -> PhotoFolder:
    """Return the photos of `root`, with their classes only where it is a folder of class folders.

    It is one when it has a folder named after one of `vehicles`. Otherwise every `class_name` is None: the name of any
    other folder does not say what its photos show. Raises PhotoFolderError when `root` is not a folder, and when it is
    a folder of class folders of which one looks like a vehicle but is not named as it is.
    """
    found = find_photos(root)
    if found.labelled_with(vehicles):
        _refuse_look_alikes(found, vehicles)
        return found
    unlabelled = tuple(FoundPhoto(photo.path, photo.name, None) for photo in found.photos)
    return PhotoFolder(root, unlabelled, found.left_out)


def find_photos(root: Path) -> PhotoFolder:
    """Return every photo below `root`. Raises PhotoFolderError when `root` is not a folder or cannot be listed."""
    if not root.is_dir():
        raise PhotoFolderError(f"{printable(root)} is not a folder")
    photos: list[FoundPhoto] = []
    left_out: list[LeftOut] = []
    for path, reason in _walk(root, ()):
        parts = path.relative_to(root).parts
        name = printable("/".join(parts))
        if reason is None:
            photos.append(FoundPhoto(path, name, printable(parts[0]) if len(parts) > 1 else None))
        elif not parts:
            raise PhotoFolderError(f"{printable(root)} cannot be listed: {reason}")
        else:
            left_out.append(LeftOut(name, reason))
    return PhotoFolder(root, tuple(photos), tuple(left_out))


def _walk(folder: Path, inside: tuple[tuple[int, int], ...]) -> Iterator[tuple[Path, str | None]]:
    """Yield (path, None) for every photo and (path, reason) for what is left out. `inside` are the folders around."""
    try:
        status = folder.stat()
        entries = sorted(folder.iterdir())
    except OSError as error:
        yield folder, f"cannot be listed ({error.strerror})"
        return
    if (status.st_dev, status.st_ino) in inside:
        yield folder, "a link to a folder around it"
        return
    for path in entries:
        try:
            mode = path.stat().st_mode
        except OSError as error:
            if not _is_hidden(path.name):
                yield path, f"cannot be read ({error.strerror})"
            continue
        if stat.S_ISDIR(mode):
            if _is_hidden(path.name):
                yield path, "a hidden folder"
            else:
                yield from _walk(path, (*inside, (status.st_dev, status.st_ino)))
            continue
        suffix = path.suffix.lower()
        if _is_hidden(path.name):
            if suffix in MEDIA_TYPES or suffix in UNSUPPORTED:
                yield path, "a hidden file"
        elif suffix in UNSUPPORTED:
            yield path, f"{UNSUPPORTED[suffix]} cannot be read; export it as JPEG"
        elif suffix in MEDIA_TYPES:
            yield path, None if stat.S_ISREG(mode) else "not a file"
        elif suffix not in NOTES:
            yield path, "not a JPEG, PNG or WebP file"


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in _PROGRAM_FOLDERS


def _refuse_look_alikes(found: PhotoFolder, vehicles: Sequence[str]) -> None:
    alike = {name: vehicle for name in found.counts() if (vehicle := looks_like(name, vehicles))}
    if alike:
        named = "; ".join(f'the folder "{name}" looks like the vehicle "{vehicle}"' for name, vehicle in alike.items())
        raise PhotoFolderError(
            f"in {printable(found.root)} {named}, but is not named so. Rename each to the vehicle's exact name, or to "
            "another word if its photos show something else"
        )


def looks_like(name: str, vehicles: Iterable[str]) -> str | None:
    """Return the vehicle that a folder's name means although it is not exactly its name, or None.

    >>> [looks_like(name, ["bicycle", "bus"]) for name in ("Bicycle", "bicycle ", "bi-cycles", "buses", "bus", "car")]
    ['bicycle', 'bicycle', 'bicycle', 'bus', None, None]
    """
    known = tuple(vehicles)
    if name in known:
        return None
    return next((vehicle for vehicle in known if _forms(name) & _forms(vehicle)), None)


def _forms(name: str) -> set[str]:
    """The name in small letters and digits only, as it is and without the ending of a plural."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    plain = "".join(letter for letter in folded if letter.isalnum())
    return {form for form in (plain, plain.removesuffix("s"), plain.removesuffix("es")) if form}


def printable(name: str | Path) -> str:
    """Return a file's name as text that can be printed and encoded: other bytes as \\x.., control characters escaped.

    >>> printable("v\\udce9lo.jpg")
    'v\\\\xe9lo.jpg'
    """
    text = str(name).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def key_name(name: str) -> str:
    """Return the last part of a path as the last part of an S3 key: valid UTF-8, no control characters, not too long.

    >>> key_name("2025/v\\udce9lo.jpg")
    'v_lo.jpg'
    """
    last = name.rsplit("/", 1)[-1]
    text = "".join(letter if letter.isprintable() else "_" for letter in last)
    return text[-_LONGEST_KEY_NAME:]


def describe_counts(counts: Mapping[str, int], vehicles: Sequence[str]) -> str:
    """Return the photos per class as one line: the vehicles first, then what counts as `other`.

    >>> describe_counts({"bicycle": 90, "scenery": 30}, ["bicycle", "motorcycle"])
    'bicycle 90, motorcycle 0; other: scenery 30'
    """
    others = [(name, count) for name, count in counts.items() if name not in vehicles]
    ours = ", ".join(f"{name} {counts.get(name, 0):,}" for name in vehicles)
    if len(others) > 2 * _SHOWN:
        return f"{ours}; other: {sum(count for _, count in others):,} in {len(others)} classes"
    return f"{ours}; other: {', '.join(f'{name} {count:,}' for name, count in others) or 'none'}"


def describe_left_out(left_out: Iterable[LeftOut]) -> list[str]:
    """Return what was left out as lines of text: one per reason, with the count and the first names.

    >>> describe_left_out([LeftOut("a/b.heic", "HEIC cannot be read")])
    ['left out, HEIC cannot be read: 1 (a/b.heic)']
    """
    by_reason: dict[str, list[str]] = {}
    for one in left_out:
        by_reason.setdefault(one.reason, []).append(one.name)
    lines = []
    for reason, names in sorted(by_reason.items()):
        more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        lines.append(f"left out, {reason}: {len(names)} ({', '.join(names[:_SHOWN])}{more})")
    return lines


def read_each(
    photos: Sequence[FoundPhoto], left_out: list[LeftOut], progress: Callable[[int, int], None] | None = None
) -> Iterator[tuple[FoundPhoto, bytes]]:
    """Yield each photo with its bytes; one that cannot be read goes to `left_out` instead.

    `progress` is called before each photo with its number, from 0, and how many there are.
    """
    for number, photo in enumerate(photos):
        if progress:
            progress(number, len(photos))
        try:
            content = photo.read()
        except OSError as error:
            left_out.append(LeftOut(photo.name, f"cannot be read ({error.strerror})"))
            continue
        yield photo, content
