"""Photos as the console shows them: fetched by the server, decoded, and encoded anew.

The bytes of a driver's file never reach the browser: what arrives is a JPEG that we made, without EXIF, upright, and
no larger than a screen. So no presigned URL exists, and no crafted file meets the browser.
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

SIZES = {"large": 1600, "thumb": 240}
"""The longest side, in pixels."""

_CACHE_BYTES = 48 * 1024 * 1024
_MOST_BYTES = 20 * 1024 * 1024
_MOST_PIXELS = 50_000_000
_FORMATS = ("JPEG", "PNG", "WEBP")


class NoPicture(Exception):
    """The photo cannot be shown. The message says why, for the person in front of the screen."""


class Photos:
    """Pictures of the stage's photos; the ones used last stay in memory."""

    def __init__(self, resources: Deployed, aws: Aws) -> None:
        self._resources = resources
        self._aws = aws
        self._cache: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def jpeg(self, photo: Photo, size: str = "large") -> bytes:
        """The photo as a JPEG of a size in SIZES. Raises NoPicture."""
        key = (photo.photo_id, size)
        with self._lock:
            if key in self._cache:
                self._cache.move_to_end(key)
                return self._cache[key]
        picture = encode(self._read(photo), SIZES[size])
        with self._lock:
            self._cache[key] = picture
            while sum(map(len, self._cache.values())) > _CACHE_BYTES:
                self._cache.popitem(last=False)
        return picture

    def image(self, photo: Photo, longest: int) -> Image.Image:
        """The photo as RGB pixels, its longest side at most `longest`. Raises NoPicture."""
        return decode(self._read(photo), longest)

    def _read(self, photo: Photo) -> bytes:
        if photo.bucket != self._resources.uploads_bucket:
            raise NoPicture("This photo belongs to another stage.")
        try:
            found = self._aws.s3.get_object(Bucket=photo.bucket, Key=photo.key, IfMatch=f'"{photo.etag}"')
            if found["ContentLength"] > _MOST_BYTES:
                raise NoPicture("This photo is too large to be shown.")
            content: bytes = found["Body"].read()
            return content
        except ClientError as error:
            code = error_code(error)
            if code in {"PreconditionFailed", "412"}:
                raise NoPicture("This photo was overwritten by another one.") from error
            if code in {"NoSuchKey", "404", "NoSuchBucket"}:
                raise NoPicture("This photo was deleted.") from error
            raise NoPicture(f"S3 did not hand out this photo: {code}.") from error
        except BotoCoreError as error:
            raise NoPicture("S3 is out of reach.") from error


def decode(content: bytes, longest: int) -> Image.Image:
    """A JPEG, PNG or WebP file as upright RGB pixels, its longest side at most `longest`. Raises NoPicture."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
                if image.width * image.height > _MOST_PIXELS:
                    raise NoPicture("This photo has too many pixels to be shown.")
                image.draft("RGB", (longest, longest))
                upright = ImageOps.exif_transpose(image)
                upright.thumbnail((longest, longest))
                return upright.convert("RGB")
    except NoPicture:
        raise
    except Exception as error:  # Pillow raises whatever its decoders raise, and the file is a stranger's.
        raise NoPicture("This file cannot be read as a photo.") from error


def encode(content: bytes, longest: int) -> bytes:
    """A photo file as a JPEG of ours, without any of its metadata. Raises NoPicture."""
    out = io.BytesIO()
    decode(content, longest).save(out, "JPEG", quality=85)
    return out.getvalue()
