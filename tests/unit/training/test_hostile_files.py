"""Hostile files and random changes of photos: pixels, or an error about the photo, within the limits."""

from pathlib import Path

from tests.torture.corpus import corpus
from tests.torture.files import MAX_MEMORY_MB, decode_all, decoder_faults, mutate

EXAMPLES = 100


def test_every_hostile_file_is_decoded_or_refused_within_the_limits(tmp_path: Path) -> None:
    files = corpus()
    assert len(files) >= 300
    assert len({file.name for file in files}) == len({file.object_key for file in files}) == len(files)
    assert list(decoder_faults(files, decode_all(files, tmp_path / "files"))) == []


def test_randomly_changed_photos_are_decoded_or_refused_within_the_limits() -> None:
    assert mutate(EXAMPLES) < MAX_MEMORY_MB
