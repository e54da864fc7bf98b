"""A photo: where it lies, and who it is."""

import hashlib
from dataclasses import dataclass, replace
from typing import Any

from functions.shared.errors import InvalidInput

UNKNOWN_DRIVER = "unknown"


@dataclass(frozen=True)
class Photo:
    """One uploaded photo. Its identity is bucket + key + etag: what is uploaded again under a key is another photo.

    `etag` has no quotes; it is None while nobody asked S3, and empty for a photo that is gone.
    `size` is in bytes, None while unknown.
    """

    bucket: str
    key: str
    etag: str | None = None
    size: int | None = None

    @classmethod
    def from_state(cls, state: Any) -> "Photo":
        """Read the `photo` of a workflow's state. Raises InvalidInput when bucket or key is missing."""
        if not isinstance(state, dict):
            raise InvalidInput('the input has no photo; pass {"photo": {"bucket": …, "key": …}}')
        bucket, key, etag, size = (state.get(name) for name in ("bucket", "key", "etag", "size"))
        for name, value in (("bucket", bucket), ("key", key)):
            if not isinstance(value, str) or not value:
                raise InvalidInput(f"photo.{name} is {value!r}; pass the {name} of an S3 object as text")
        if etag is not None and not isinstance(etag, str):
            raise InvalidInput(f"photo.etag is {etag!r}; pass the object's ETag as text, or leave it out")
        if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 0):
            raise InvalidInput(f"photo.size is {size!r}; pass the object's size in bytes, or leave it out")
        return cls(str(bucket), str(key), etag.strip('"') if etag else None, size)

    def with_object(self, *, etag: str, size: int) -> "Photo":
        """The same photo with what S3 says about it."""
        return replace(self, etag=etag.strip('"'), size=size)

    @property
    def photo_id(self) -> str:
        """32 hexadecimal digits derived from the identity. Raises InvalidInput while the etag is unknown."""
        if self.etag is None:
            raise InvalidInput(f"{self} has no etag yet, so nobody can tell which photo it is")
        return hashlib.sha256(f"{self.bucket}\0{self.key}\0{self.etag}".encode()).hexdigest()[:32]

    @property
    def driver_id(self) -> str:
        """Whose photo it is, from `uploads/{driver_id}/{name}`; `unknown` under any other key."""
        parts = self.key.split("/")
        return parts[1] if len(parts) > 2 and parts[0] == "uploads" and parts[1] else UNKNOWN_DRIVER

    def as_state(self) -> dict[str, Any]:
        """The photo as it travels through the workflow, with its identity."""
        return {
            "bucket": self.bucket,
            "key": self.key,
            "etag": self.etag,
            "size": self.size,
            "photo_id": self.photo_id,
        }

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"
