"""Photos for the console: read from S3, decoded as for the model, and encoded again as JPEG without EXIF.

The browser never receives the bytes of an uploaded file or a presigned URL, so a crafted file cannot exploit it.
"""

import io
import threading
from collections import OrderedDict
from concurrent.futures import Future

from botocore.exceptions import BotoCoreError, ClientError
from PIL import Image

from console.aws import Aws
from console.pictures import Picture, encode_picture
from deploy.outputs import Deployed
from functions.shared.aws import error_code
from functions.shared.photo import Photo
from functions.shared.uploads import LARGEST_PHOTO_BYTES
from training.images import downscale
from training.photo_errors import PhotoError, PhotoTooComplex, PhotoTooLarge

SIZES = {"large": 1600, "thumb": 240}
"""The longest side in pixels, by the name of the size."""

_CACHE_BYTES = 48 * 1024 * 1024
_MAX_DECODED = 4  # images of the large size in memory, 8 MB each
_MAX_FAILURES = 1000
_MAX_FILES = 4  # photo files in memory at the same time


class PhotoNotShown(Exception):
    """The photo cannot be shown. The message is for the reviewer and contains the reason."""


class PhotoNotDecoded(PhotoNotShown):
    """The photo cannot be shown because its file cannot be decoded. This does not change."""


class PhotoNotRead(PhotoNotShown):
    """The photo cannot be shown now, because S3 did not return it. A retry can help."""


class Photos:
    """The photos of one stage as JPEG files.

    The most recently used ones are cached in memory. One photo is decoded at a time; requests for the same photo wait
    for the same result. A photo that cannot be decoded is not decoded again.
    """

    def __init__(self, deployed: Deployed, aws: Aws) -> None:
        """Read from the uploads bucket of the stage only."""
        self._deployed = deployed
        self._aws = aws
        self._cache: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._pending: dict[tuple[str, str], Future[bytes]] = {}
        self._decoded: OrderedDict[str, Image.Image] = OrderedDict()  # of the large size, by the id of the photo
        self._failures: OrderedDict[str, str] = OrderedDict()  # messages by the id of the photo
        self._lock = threading.Lock()
        self._files = threading.Semaphore(_MAX_FILES)
        self._decoder = threading.Semaphore(1)

    def jpeg(self, photo: Photo, size: str = "large") -> bytes:
        """Return the photo as a JPEG file of a size in SIZES. Raises PhotoNotShown."""
        key = (photo.photo_id, size)
        with self._lock:
            if key in self._cache:
                self._cache.move_to_end(key)
                return self._cache[key]
            pending = self._pending.get(key)
            future = pending or self._pending.setdefault(key, Future())
        if pending is None:
            self._load(photo, size, future)
        try:
            return future.result()
        except PhotoNotShown as error:
            raise type(error)(str(error)) from error  # requests that wait share the error, each raises its own

    def picture(self, photo: Photo) -> Picture:
        """Return the picture to keep beside a label of the photo, from the pixels of the large size.

        Raises PhotoNotShown.
        """
        return encode_picture(self.large(photo))

    def large(self, photo: Photo) -> Image.Image:
        """Return the photo in the large size, decoded once for the page and the label. Raises PhotoNotShown."""
        with self._lock:
            image = self._decoded.get(photo.photo_id)
        if image is None:
            image = self.image(photo, SIZES["large"])
            with self._lock:
                self._decoded[photo.photo_id] = image
                while len(self._decoded) > _MAX_DECODED:
                    self._decoded.popitem(last=False)
        return image

    def drop(self, photo: Photo) -> None:
        """Remove a photo that was deleted from memory."""
        with self._lock:
            self._decoded.pop(photo.photo_id, None)
            for size in SIZES:
                self._cache.pop((photo.photo_id, size), None)

    def image(self, photo: Photo, longest: int) -> Image.Image:
        """Return the photo as an upright RGB image, its longest side at most `longest` pixels. Raises PhotoNotShown."""
        with self._lock:
            if message := self._failures.get(photo.photo_id):
                raise PhotoNotDecoded(message)
        try:
            with self._files:
                content = self._read(photo)
                with self._decoder:
                    return decode(content, longest)
        except PhotoNotDecoded as error:
            with self._lock:
                self._failures[photo.photo_id] = str(error)
                while len(self._failures) > _MAX_FAILURES:
                    self._failures.popitem(last=False)
            raise

    def _load(self, photo: Photo, size: str, future: "Future[bytes]") -> None:
        """Set the result of `future` to the photo as a JPEG file, and cache it."""
        key = (photo.photo_id, size)
        try:
            content = encode(self.large(photo) if size == "large" else self.image(photo, SIZES[size]))
        except BaseException as error:
            with self._lock:
                del self._pending[key]
            future.set_exception(error)
            return
        with self._lock:
            del self._pending[key]
            self._cache[key] = content
            while sum(map(len, self._cache.values())) > _CACHE_BYTES:
                self._cache.popitem(last=False)
        future.set_result(content)

    def _read(self, photo: Photo) -> bytes:
        if photo.bucket != self._deployed.uploads_bucket:
            raise PhotoNotShown("This photo belongs to another stage.")
        try:
            found = self._aws.s3.get_object(Bucket=photo.bucket, Key=photo.key, IfMatch=f'"{photo.etag}"')
            if found["ContentLength"] > LARGEST_PHOTO_BYTES:
                raise PhotoNotDecoded("This photo is too large to be shown.")
            content: bytes = found["Body"].read()
            return content
        except ClientError as error:
            code = error_code(error)
            if code in {"PreconditionFailed", "412"}:
                raise PhotoNotShown("This photo was overwritten by another one.") from error
            if code in {"NoSuchKey", "404", "NoSuchBucket"}:
                raise PhotoNotShown("This photo was deleted.") from error
            raise PhotoNotRead(f"S3 returned an error for this photo: {code}.") from error
        except BotoCoreError as error:
            raise PhotoNotRead("S3 cannot be reached.") from error


def decode(content: bytes, longest: int) -> Image.Image:
    """Decode a photo file as the model does: upright, RGB, transparency on white, 16-bit levels scaled to 8 bits.

    The longest side of the image has at most `longest` pixels; nothing is cropped or padded. Raises PhotoNotDecoded.
    """
    try:
        return Image.fromarray(downscale(content, longest))
    except PhotoTooLarge as error:
        raise PhotoNotDecoded("This photo has too many pixels to be shown.") from error
    except PhotoTooComplex as error:
        raise PhotoNotDecoded(f"This photo is not decoded: {error}.") from error
    except PhotoError as error:
        raise PhotoNotDecoded("This file cannot be read as a photo.") from error


def encode(image: Image.Image) -> bytes:
    """Return an RGB image as a JPEG file without metadata, colours at full resolution."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90, subsampling=0)
    return out.getvalue()
