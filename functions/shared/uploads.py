"""The photos in S3."""

from botocore.exceptions import BotoCoreError, ClientError

from functions.shared.aws import Client, error_code
from functions.shared.errors import PhotoMissing, PhotoTooLarge, PhotoUnavailable, SconesError
from functions.shared.photo import Photo

LARGEST_PHOTO_BYTES = 20 * 1024 * 1024

# HeadObject has no body, so its errors have no name but the status. A version that was deleted is a 405.
_GONE = {"NoSuchKey", "NoSuchVersion", "404", "MethodNotAllowed"}


class Uploads:
    """Where photos are read from."""

    def __init__(self, s3: Client) -> None:
        self._s3 = s3

    def identified(self, photo: Photo) -> Photo:
        """The photo with its etag, which S3 is asked for when the input left it out.

        Raises PhotoMissing when there is no such object, PhotoUnavailable when S3 does not say.
        """
        if photo.etag is not None:
            return photo
        try:
            found = self._s3.head_object(Bucket=photo.bucket, Key=photo.key)
        except (ClientError, BotoCoreError) as error:
            raise _named(error, photo) from error
        return photo.with_object(etag=found["ETag"], size=found["ContentLength"])

    def identified_or_gone(self, photo: Photo) -> Photo:
        """As `identified`; a photo that is gone, or that S3 does not hand out, gets an empty etag.

        For the functions that end an execution: a driver waits, with or without a photo.
        """
        try:
            return self.identified(photo)
        except (PhotoMissing, PhotoUnavailable):
            return photo.with_object(etag="", size=photo.size or 0)

    def read(self, photo: Photo) -> tuple[Photo, bytes]:
        """The photo as S3 knows it, and its bytes: at most 20 MB.

        Raises PhotoMissing when it was deleted or overwritten since, PhotoTooLarge before reading what is
        larger, PhotoUnavailable when S3 does not hand it out.
        """
        try:
            found = self._s3.get_object(Bucket=photo.bucket, Key=photo.key, IfMatch=f'"{photo.etag}"')
            as_stored = photo.with_object(etag=found["ETag"], size=found["ContentLength"])
            with found["Body"] as body:
                if as_stored.photo_id != photo.photo_id:
                    raise _overwritten(photo)
                if found["ContentLength"] > LARGEST_PHOTO_BYTES:
                    raise PhotoTooLarge(
                        f"{photo} has {found['ContentLength']:,} bytes; the most is {LARGEST_PHOTO_BYTES:,}"
                    )
                return as_stored, body.read()
        except (ClientError, BotoCoreError) as error:
            raise _named(error, photo) from error


def _named(error: Exception, photo: Photo) -> SconesError:
    code = error_code(error)
    if code == "NoSuchBucket":
        return PhotoMissing(f"{photo}: there is no such bucket")
    if code in _GONE:
        return PhotoMissing(f"{photo} is not there; it was deleted before it was classified")
    if code in {"PreconditionFailed", "412"}:
        return _overwritten(photo)
    return PhotoUnavailable(f"S3 did not hand out {photo}: {error}")


def _overwritten(photo: Photo) -> PhotoMissing:
    return PhotoMissing(f"{photo} was overwritten since; the photo that replaced it has an execution of its own")
