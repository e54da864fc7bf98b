"""Find the photos in a folder on disk, and the class folder of each.

The commands that stage, evaluate and upload photos use this module, so that they all apply the same rules:

- The class of a photo is the name of the first folder below the root; folders below that one are ignored.
- Hidden files and folders (names that begin with a dot, at every level) and folders that programs create
  (`__MACOSX`, `@eaDir`) are left out.
- A photo is a file with one of the suffixes in MEDIA_TYPES. Other files are left out with a reason, except NOTES.
- A class folder whose name differs from a vehicle's only in case, spaces, hyphens, underscores or a plural is refused,
  because its photos would count as `other`.

All names in results can be printed and encoded as UTF-8, even when the name on disk is not valid UTF-8.
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
    ".heic": "image/heic",
    ".heif": "image/heif",
    ".avif": "image/avif",
}
"""Content-Type by suffix of a photo, in lower case."""

NOTES = (".txt", ".md", ".json", ".csv", ".html", ".xml", ".ini", ".db")
"""Suffixes of files that describe a folder; they are left out without being reported."""

OUTSIDE = "not in a class folder"

_PROGRAM_FOLDERS = {"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"}
_MAX_KEY_NAME = 120
_MAX_NAMES = 5


class PhotoFolderError(Exception):
    """The folder cannot be used; the message contains the path and what to do."""


@dataclass(frozen=True)
class FoundPhoto:
    """A file with a photo's suffix.

    `name` is its printable path below the root; `class_name` the printable name of its class folder, None for a photo
    in the root itself.
    """

    path: Path
    name: str
    class_name: str | None

    @property
    def media_type(self) -> str:
        """The Content-Type, by suffix."""
        return MEDIA_TYPES[self.path.suffix.lower()]

    def read(self) -> bytes:
        """Return the file's bytes. Raises OSError when it cannot be read."""
        return self.path.read_bytes()


@dataclass(frozen=True)
class LeftOut:
    """A file or folder that is not used: its printable path below the root, and the reason."""

    name: str
    reason: str


@dataclass(frozen=True)
class PhotoFolder:
    """The content of a folder: its photos in the order of their paths, and what was left out."""

    root: Path
    photos: tuple[FoundPhoto, ...]
    left_out: tuple[LeftOut, ...]

    def counts(self) -> dict[str, int]:
        """Return the number of photos in each class folder, by name."""
        return dict(sorted(Counter(photo.class_name for photo in self.photos if photo.class_name is not None).items()))

    def has_class_folder(self, vehicles: Iterable[str]) -> bool:
        """Return whether at least one class folder is named after a vehicle."""
        return not set(vehicles).isdisjoint(self.counts())


def read_class_folders(root: Path, vehicles: Sequence[str]) -> PhotoFolder:
    """Return the photos in the class folders of `root`; photos in `root` itself are left out.

    Raises PhotoFolderError when `root` is not a folder, and when the name of a class folder is similar to one of
    `vehicles` but not equal.
    """
    found = find_photos(root)
    _refuse_similar_names(found, vehicles)
    outside = [LeftOut(photo.name, OUTSIDE) for photo in found.photos if photo.class_name is None]
    inside = tuple(photo for photo in found.photos if photo.class_name is not None)
    return PhotoFolder(root, inside, (*found.left_out, *outside))


def read_any_folder(root: Path, vehicles: Sequence[str]) -> PhotoFolder:
    """Return the photos below `root`, with classes if one of its folders is named after one of `vehicles`.

    Otherwise every `class_name` is None, because other folders need not be class folders. Raises PhotoFolderError when
    `root` is not a folder, and when the name of a class folder is similar to a vehicle's but not equal.
    """
    found = find_photos(root)
    if found.has_class_folder(vehicles):
        _refuse_similar_names(found, vehicles)
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


def _walk(folder: Path, parents: tuple[tuple[int, int], ...]) -> Iterator[tuple[Path, str | None]]:
    """Yield (path, None) for every photo and (path, reason) for what is left out.

    `parents` are (device, inode) of the folders that contain `folder`: a link to one of them is not followed.
    """
    try:
        status = folder.stat()
        entries = sorted(folder.iterdir())
    except OSError as error:
        yield folder, f"cannot be listed ({error.strerror})"
        return
    if (status.st_dev, status.st_ino) in parents:
        yield folder, "a link to a folder that contains it"
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
                yield from _walk(path, (*parents, (status.st_dev, status.st_ino)))
            continue
        if not _is_ignored(path):
            yield path, _reason_to_leave_out(path, mode)


def _is_ignored(file: Path) -> bool:
    """Return whether a file is left out without being reported: a note, or a hidden file that is not a photo."""
    suffix = file.suffix.lower()
    if _is_hidden(file.name):
        return suffix not in MEDIA_TYPES
    return suffix in NOTES


def _reason_to_leave_out(file: Path, mode: int) -> str | None:
    """Return why a file is left out, or None for a photo. `mode` is its st_mode."""
    suffix = file.suffix.lower()
    if _is_hidden(file.name):
        return "a hidden file"
    if suffix not in MEDIA_TYPES:
        return "not a JPEG, PNG, WebP, HEIC or AVIF file"
    return None if stat.S_ISREG(mode) else "not a file"


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in _PROGRAM_FOLDERS


def _refuse_similar_names(found: PhotoFolder, vehicles: Sequence[str]) -> None:
    similar = {name: vehicle for name in found.counts() if (vehicle := similar_vehicle(name, vehicles))}
    if similar:
        pairs = "; ".join(
            f'the folder "{name}" looks like the vehicle "{vehicle}"' for name, vehicle in similar.items()
        )
        raise PhotoFolderError(
            f"in {printable(found.root)} {pairs}, but is not named exactly so. Rename it to the vehicle's exact name, "
            "or to another word if its photos show something else"
        )


def similar_vehicle(name: str, vehicles: Iterable[str]) -> str | None:
    """Return the vehicle whose name is similar to `name` but not equal, or None.

    >>> [similar_vehicle(name, ["bicycle", "bus"]) for name in ("Bicycle", "bi-cycles", "buses", "bus", "car")]
    ['bicycle', 'bicycle', 'bus', None, None]
    """
    names = tuple(vehicles)
    if name in names:
        return None
    return next((vehicle for vehicle in names if _normal_forms(name) & _normal_forms(vehicle)), None)


def _normal_forms(name: str) -> set[str]:
    """Return the letters and digits of the name in lower case, with and without a plural ending."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    alphanumeric = "".join(letter for letter in folded if letter.isalnum())
    return {form for form in (alphanumeric, alphanumeric.removesuffix("s"), alphanumeric.removesuffix("es")) if form}


def printable(name: str | Path) -> str:
    """Return a file's name as text that can be printed and encoded: invalid bytes and control characters are escaped.

    >>> printable("v\\udce9lo.jpg")
    'v\\\\xe9lo.jpg'
    """
    text = str(name).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def key_name(name: str) -> str:
    """Return the file name of a path as the last part of an S3 key: valid UTF-8, printable, at most 120 characters.

    >>> key_name("2025/v\\udce9lo.jpg")
    'v_lo.jpg'
    """
    last = name.rsplit("/", 1)[-1]
    text = "".join(letter if letter.isprintable() else "_" for letter in last)
    return text[-_MAX_KEY_NAME:]


def describe_counts(counts: Mapping[str, int], vehicles: Sequence[str]) -> str:
    """Return the number of photos per class as one line: vehicles first, then the classes that count as `other`.

    >>> describe_counts({"bicycle": 90, "scenery": 30}, ["bicycle", "motorcycle"])
    'bicycle 90, motorcycle 0; other: scenery 30'
    """
    others = [(name, count) for name, count in counts.items() if name not in vehicles]
    vehicle_counts = ", ".join(f"{name} {counts.get(name, 0):,}" for name in vehicles)
    if len(others) > 2 * _MAX_NAMES:
        return f"{vehicle_counts}; other: {sum(count for _, count in others):,} in {len(others)} classes"
    return f"{vehicle_counts}; other: {', '.join(f'{name} {count:,}' for name, count in others) or 'none'}"


def describe_left_out(left_out: Iterable[LeftOut]) -> list[str]:
    """Return one line per reason, with the number of files left out and the first names.

    >>> describe_left_out([LeftOut("a/b.jpg", "a hidden file")])
    ['left out, a hidden file: 1 (a/b.jpg)']
    """
    by_reason: dict[str, list[str]] = {}
    for one in left_out:
        by_reason.setdefault(one.reason, []).append(one.name)
    lines = []
    for reason, names in sorted(by_reason.items()):
        more = f", and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
        lines.append(f"left out, {reason}: {len(names)} ({', '.join(names[:_MAX_NAMES])}{more})")
    return lines


def read_each(
    photos: Sequence[FoundPhoto], left_out: list[LeftOut], progress: Callable[[int, int], None] | None = None
) -> Iterator[tuple[FoundPhoto, bytes]]:
    """Yield each photo with its bytes; one that cannot be read is added to `left_out` instead.

    `progress` is called before each photo with its index, from 0, and the number of photos.
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
