"""Errors of photos. The endpoint answers with the class name; the workflow rejects the photo and does not retry."""


class PhotoError(Exception):
    """The photo cannot be used. The message holds sizes and formats, never bytes of the photo."""


class UnreadablePhoto(PhotoError):
    """The bytes are no complete JPEG, PNG, WebP, HEIC or AVIF image."""


class PhotoTooLarge(PhotoError):
    """The photo has more pixels than are read, or does not fit in memory."""


class PhotoTooComplex(PhotoError):
    """Decoding would exceed a limit: scans, segments, frames, memory or time. The message names the limit."""
