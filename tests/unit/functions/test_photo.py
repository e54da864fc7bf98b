"""The identity of a photo."""

import hashlib

import pytest

from functions.shared.errors import InvalidInput
from functions.shared.photo import Photo


def test_a_photos_identity_is_bucket_key_and_etag() -> None:
    photo = Photo("uploads", "uploads/d/a.jpg", "abc")
    assert photo.photo_id == hashlib.sha256(b"uploads\0uploads/d/a.jpg\0abc").hexdigest()[:32]
    assert photo.photo_id != Photo("uploads", "uploads/d/a.jpg", "abd").photo_id


def test_an_etag_is_the_same_with_and_without_its_quotes() -> None:
    quoted = Photo.from_state({"bucket": "b", "key": "k", "etag": '"abc"'})
    assert quoted == Photo.from_state({"bucket": "b", "key": "k", "etag": "abc"})


@pytest.mark.parametrize("etag", ['"', '""'])
def test_an_etag_of_quotes_only_is_refused(etag: str) -> None:
    """It would be the empty etag of a photo that does not exist."""
    with pytest.raises(InvalidInput, match=r"photo\.etag"):
        Photo.from_state({"bucket": "b", "key": "k", "etag": etag})


def test_a_photo_without_an_etag_has_no_identity() -> None:
    with pytest.raises(InvalidInput, match="no etag"):
        _ = Photo("b", "k").photo_id


@pytest.mark.parametrize(
    ("key", "driver"),
    [
        ("uploads/driver-17/bike.jpg", "driver-17"),
        ("uploads/driver-17/today/bike.jpg", "driver-17"),
        ("uploads/bike.jpg", "unknown"),
        ("uploads//bike.jpg", "unknown"),
        ("elsewhere/driver-17/bike.jpg", "unknown"),
    ],
)
def test_the_driver_is_in_the_key(key: str, driver: str) -> None:
    assert Photo("b", key, "e").driver_id == driver


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("uploads/jürgen/rädle 1.jpg", "s3://b/uploads/jürgen/rädle 1.jpg"),
        ('uploads/d/a\n{"level": "ERROR"}.jpg', 's3://b/uploads/d/a\\n{"level": "ERROR"}.jpg'),
        ("uploads/d/\u202egpj.exe\x1b[31m\uffff", "s3://b/uploads/d/\\u202egpj.exe\\x1b[31m\\uffff"),
    ],
)
def test_an_address_is_on_one_line_and_a_message_names_the_photo_id_only(key: str, shown: str) -> None:
    photo = Photo("b", key, "e")
    assert photo.address == shown
    assert f"{photo}" == f"photo {photo.photo_id}"
    assert f"{Photo('b', key)}" == "the photo in the input"
