"""Errors. AWS Lambda reports the class name as the error's name; `Retry`, `Catch` and the logs use that name."""


class SconesError(Exception):
    """Base class of all errors here. The message names the photo or setting, and what to do."""


class PhotoFault(SconesError):
    """The photo cannot be used. A retry cannot help."""


class UnreadablePhoto(PhotoFault):
    """The object is empty, or is not a JPEG, PNG, WebP, HEIC or AVIF that can be decoded."""


class PhotoTooLarge(PhotoFault):
    """The photo has more than 20 MB or more than 50 megapixels."""


class PhotoTooComplex(PhotoFault):
    """Decoding the photo would exceed a limit of the model: scans, segments, frames, memory or time."""


class PhotoMissing(PhotoFault):
    """The photo was deleted, or overwritten by another one, since its event."""


class UploadsNotCounted(SconesError):
    """DynamoDB did not count an upload of a driver, whose limit is not applied to it."""


class PhotoUnavailable(SconesError):
    """S3 did not return the photo, which may exist: access denied, throttled or not reachable. A retry can help."""


class ModelUnavailable(SconesError):
    """The endpoint did not answer: missing, down, throttled or timed out. A retry can help."""


class ModelBusy(SconesError):
    """The model is decoding another photo that needs much memory or time, one at a time. A retry helps."""


class ModelAnswerInvalid(SconesError):
    """The endpoint's answer violates its contract."""


class InvalidThreshold(SconesError):
    """The threshold parameter is missing, or is neither `model` nor a number in [0, 1]."""


class ThresholdUnavailable(SconesError):
    """Systems Manager did not return the threshold parameter. A retry can help."""


class FolderMarker(SconesError):
    """The object is empty and its key ends in a slash: S3 tools create it for a folder. It is no photo."""


class ReviewPending(SconesError):
    """Another execution waits for a reviewer's answer about this photo."""


class PhotoInProgress(SconesError):
    """Another execution works on the photo, which is rejected for nothing that concerns only this upload of it."""


class PhotoDecided(SconesError):
    """The photo has an outcome already."""


class AnnouncementPending(SconesError):
    """Another execution has just recorded the outcome and has not published its event yet. A retry can help."""


class ReviewNotSent(SconesError):
    """SQS did not accept a review request. A retry can help."""


class RecordUnavailable(SconesError):
    """DynamoDB did not read or write the record of a photo. A retry can help."""


class EventNotPublished(SconesError):
    """EventBridge did not accept an event. A retry can help."""


class BatchUnfinished(SconesError):
    """The time of a function did not suffice for its part of a batch. A retry continues where it ended."""


class AwsUnavailable(SconesError):
    """An AWS service throttled a call, failed or did not answer. A retry can help."""


class AwsRefused(SconesError):
    """An AWS service refused a call: a permission of the function's role or a resource of the stage is missing."""


class InvalidInput(SconesError):
    """The execution's input is incomplete or malformed."""


class InvalidDocument(SconesError):
    """An object in S3 that a function reads is no JSON, or not as its contract describes it."""


class InvalidSettings(SconesError):
    """The function's environment or `vehicles.toml` is incomplete or malformed: an error of the deployment."""
