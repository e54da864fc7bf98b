"""An uploaded photo: its S3 object and its identity."""

import hashlib
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from functions.shared.errors import InvalidInput
from functions.shared.shapes import count, is_text, optional, shown, text, time
from functions.shared.texts import printable

UNKNOWN_DRIVER = "unknown"


@dataclass(frozen=True)
class Photo:
    """One uploaded photo. Its identity is bucket, key and etag: a new upload under the same key is another photo.

    `etag` has no quotes; it is None until it is read from S3, and empty for a photo that no longer exists.
    `size` is in bytes, None while unknown. `uploaded_at` is the time of its upload (ISO 8601), `sequencer` the number
    of its upload among those under the same key, from S3's event; both are None while unknown. The same photo can be
    uploaded twice, so they are no part of the identity.
    """

    bucket: str
    key: str
    etag: str | None = None
    size: int | None = None
    uploaded_at: str | None = field(default=None, compare=False)
    sequencer: str | None = field(default=None, compare=False)

    @classmethod
    def from_state(cls, state: Any) -> "Photo":
        """Read the `photo` of a workflow's state. Raises InvalidInput when a field is missing or malformed."""
        if not isinstance(state, dict):
            raise InvalidInput('the input has no photo; pass {"photo": {"bucket": …, "key": …}}')
        bucket, key, etag, size = (state.get(name) for name in ("bucket", "key", "etag", "size"))
        for name, value in (("bucket", bucket), ("key", key)):
            if not is_text(value) or not value:
                # Without the value, which may be a key with half of a surrogate pair.
                kind = "empty" if value in ("", None) else f"a {type(value).__name__} that is no text"
                raise InvalidInput(f"photo.{name} is {kind}; pass the {name} of an S3 object as text")
        if etag is not None and (not is_text(etag) or (etag and not etag.strip('"'))):
            raise InvalidInput(f"photo.etag is {shown(etag)}; pass the object's ETag as text, or leave it out")
        optional(count)(size, "photo.size")
        uploaded_at, sequencer = state.get("uploaded_at"), state.get("sequencer")
        optional(time)(uploaded_at, "photo.uploaded_at")
        optional(text)(sequencer, "photo.sequencer")
        return cls(str(bucket), str(key), etag.strip('"') if etag else None, size, uploaded_at, sequencer)

    def with_object(self, *, etag: str, size: int) -> "Photo":
        """Return the photo with the etag and the size that S3 returned."""
        return replace(self, etag=etag.strip('"'), size=size)

    @property
    def photo_id(self) -> str:
        """32 hexadecimal digits derived from the identity. Raises InvalidInput while the etag is unknown."""
        if self.etag is None:
            raise InvalidInput(f"{self} has no etag yet, so it has no identity; read it with Uploads.identify")
        return hashlib.sha256(f"{self.bucket}\0{self.key}\0{self.etag}".encode()).hexdigest()[:32]

    @property
    def driver_id(self) -> str:
        """The driver in the key `uploads/{driver_id}/{name}`; `unknown` for any other key."""
        parts = self.key.split("/")
        return parts[1] if len(parts) > 2 and parts[0] == "uploads" and parts[1] else UNKNOWN_DRIVER

    def as_input(self) -> dict[str, Any]:
        """Return the `photo` of the input of classify-photo; what is unknown is left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def as_state(self) -> dict[str, Any]:
        """Return the photo with its identity as JSON, as the workflow's state contains it."""
        return {
            "bucket": self.bucket,
            "key": self.key,
            "etag": self.etag,
            "size": self.size,
            "photo_id": self.photo_id,
        }

    @property
    def address(self) -> str:
        """The address in S3 on one line, for answers and pages; not for logs and errors, which name the photo id.

        Unprintable characters of the key are escaped: a line break would write a line about another photo.
        """
        return f"s3://{self.bucket}/{printable(self.key)}"

    def __str__(self) -> str:
        """Return `photo {photo id}` for logs and errors, which outlive the photo: its key names a driver.

        >>> str(Photo("uploads", "uploads/ana/1.jpg", "0"))
        'photo a3f0c39376e5a969595a12c9aa40747c'
        """
        return "the photo in the input" if self.etag is None else f"photo {self.photo_id}"
