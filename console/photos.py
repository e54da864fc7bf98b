"""Photos for the console: read from S3, decoded, and encoded again as JPEG without EXIF.

The browser never receives the bytes of an uploaded file or a presigned URL, so a crafted file cannot exploit it.
"""

import io
import threading
import warnings
from collections import OrderedDict

from botocore.exceptions import BotoCoreError, ClientError
from PIL import Image, ImageOps

from console.aws import Aws
from deploy.outputs import Deployed
from functions.shared.aws import error_code
from functions.shared.photo import Photo
from functions.shared.uploads import LARGEST_PHOTO_BYTES
from training.images import FORMATS, MAX_PIXELS

SIZES = {"large": 1600, "thumb": 240}
"""The longest side in pixels, by the name of the size."""

_CACHE_BYTES = 48 * 1024 * 1024


class PhotoNotShown(Exception):
    """The photo cannot be shown. The message is for the reviewer and contains the reason."""


class Photos:
    """The photos of one stage as JPEG files. The most recently used ones are cached in memory."""

    def __init__(self, deployed: Deployed, aws: Aws) -> None:
        """Read from the uploads bucket of the stage only."""
        self._deployed = deployed
        self._aws = aws
        self._cache: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def jpeg(self, photo: Photo, size: str = "large") -> bytes:
        """Return the photo as a JPEG file of a size in SIZES. Raises PhotoNotShown."""
        key = (photo.photo_id, size)
        with self._lock:
            if key in self._cache:
                self._cache.move_to_end(key)
                return self._cache[key]
        content = encode(self._read(photo), SIZES[size])
        with self._lock:
            self._cache[key] = content
            while sum(map(len, self._cache.values())) > _CACHE_BYTES:
                self._cache.popitem(last=False)
        return content

    def image(self, photo: Photo, longest: int) -> Image.Image:
        """Return the photo as an upright RGB image, its longest side at most `longest` pixels. Raises PhotoNotShown."""
        return decode(self._read(photo), longest)

    def _read(self, photo: Photo) -> bytes:
        if photo.bucket != self._deployed.uploads_bucket:
            raise PhotoNotShown("This photo belongs to another stage.")
        try:
            found = self._aws.s3.get_object(Bucket=photo.bucket, Key=photo.key, IfMatch=f'"{photo.etag}"')
            if found["ContentLength"] > LARGEST_PHOTO_BYTES:
                raise PhotoNotShown("This photo is too large to be shown.")
            content: bytes = found["Body"].read()
            return content
        except ClientError as error:
            code = error_code(error)
            if code in {"PreconditionFailed", "412"}:
                raise PhotoNotShown("This photo was overwritten by another one.") from error
            if code in {"NoSuchKey", "404", "NoSuchBucket"}:
                raise PhotoNotShown("This photo was deleted.") from error
            raise PhotoNotShown(f"S3 returned an error for this photo: {code}.") from error
        except BotoCoreError as error:
            raise PhotoNotShown("S3 cannot be reached.") from error


def decode(content: bytes, longest: int) -> Image.Image:
    """Decode a JPEG, PNG or WebP file as an upright RGB image, its longest side at most `longest` pixels.

    Raises PhotoNotShown.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise PhotoNotShown("This photo has too many pixels to be shown.")
                image.draft("RGB", (longest, longest))
                upright = ImageOps.exif_transpose(image)
                upright.thumbnail((longest, longest))
                return upright.convert("RGB")
    except PhotoNotShown:
        raise
    except Exception as error:  # Pillow's decoders raise many types, and the file is untrusted.
        raise PhotoNotShown("This file cannot be read as a photo.") from error


def encode(content: bytes, longest: int) -> bytes:
    """Encode a photo file again as JPEG, without its metadata. Raises PhotoNotShown."""
    out = io.BytesIO()
    decode(content, longest).save(out, "JPEG", quality=85)
    return out.getvalue()
