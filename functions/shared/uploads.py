"""Uploaded photos in S3."""

from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from functions.shared.aws import error_code
from functions.shared.errors import PhotoMissing, PhotoTooLarge, PhotoUnavailable, SconesError
from functions.shared.photo import Photo

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LARGEST_PHOTO_BYTES = 20 * 1024 * 1024

# HeadObject has no body, so its error code is the status. A version that was deleted is a 405.
_GONE = {"NoSuchKey", "NoSuchVersion", "404", "MethodNotAllowed"}


class Uploads:
    """Reads uploaded photos."""

    def __init__(self, s3: "S3Client") -> None:
        """Read with the client `s3`."""
        self._s3 = s3

    def identify(self, photo: Photo) -> Photo:
        """Return the photo with its etag, which is read from S3 when the input left it out.

        Raises PhotoMissing when there is no such object, PhotoUnavailable when S3 does not answer.
        """
        if photo.etag is not None:
            return photo
        try:
            found = self._s3.head_object(Bucket=photo.bucket, Key=photo.key)
        except (ClientError, BotoCoreError) as error:
            raise _photo_error(error, photo) from error
        return photo.with_object(etag=found["ETag"], size=found["ContentLength"])

    def identify_or_mark_gone(self, photo: Photo) -> Photo:
        """As `identify`, but a photo that is missing gets an empty etag instead of an error. Raises PhotoUnavailable.

        Used by the functions that end an execution: they record an outcome even when the photo is gone.
        """
        try:
            return self.identify(photo)
        except PhotoMissing:  # the empty etag says so in the record
            return photo.with_object(etag="", size=photo.size or 0)

    def read(self, photo: Photo) -> tuple[Photo, bytes]:
        """Return the photo with the etag and the size in S3, and its content of at most LARGEST_PHOTO_BYTES.

        Raises PhotoMissing when it was deleted or is not the one with the photo's etag any more, PhotoTooLarge without
        reading a larger one, PhotoUnavailable when S3 does not return it.
        """
        match: dict[str, Any] = {} if photo.etag is None else {"IfMatch": f'"{photo.etag}"'}
        try:
            found = self._s3.get_object(Bucket=photo.bucket, Key=photo.key, **match)
            as_stored = photo.with_object(etag=found["ETag"], size=found["ContentLength"])
            with found["Body"] as body:
                if photo.etag is not None and as_stored.photo_id != photo.photo_id:
                    raise _overwritten(photo)
                if found["ContentLength"] > LARGEST_PHOTO_BYTES:
                    raise PhotoTooLarge(
                        f"{photo} has {found['ContentLength']:,} bytes; at most {LARGEST_PHOTO_BYTES:,}"
                    )
                return as_stored, body.read()
        except (ClientError, BotoCoreError) as error:
            raise _photo_error(error, photo) from error


def _photo_error(error: Exception, photo: Photo) -> SconesError:
    code = error_code(error)
    if code == "NoSuchBucket":
        return PhotoMissing(f"{photo}: there is no such bucket")
    if code in _GONE:
        return PhotoMissing(f"{photo} does not exist; it was deleted before it was classified")
    if code in {"PreconditionFailed", "412"}:
        return _overwritten(photo)
    # Without the text of the error: URLs and ARNs in it contain the key.
    return PhotoUnavailable(f"S3 did not return {photo}: {code}")


def _overwritten(photo: Photo) -> PhotoMissing:
    return PhotoMissing(f"{photo} was overwritten; the new photo has an execution of its own")
