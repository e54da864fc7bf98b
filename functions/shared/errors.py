"""Errors by the names that `Retry`, `Catch` and the log use: AWS Lambda reports the class name as the error's name."""


class SconesError(Exception):
    """Anything that goes wrong in a known way. The message says which photo or setting, and what to do."""


class PhotoFault(SconesError):
    """The photo itself cannot be used; asking the model again cannot help."""


class UnreadablePhoto(PhotoFault):
    """The object is empty, or is not a JPEG, PNG or WebP that can be decoded."""


class PhotoTooLarge(PhotoFault):
    """The photo has more than 20 MB or more than 50 megapixels."""


class PhotoMissing(PhotoFault):
    """The photo was deleted, or overwritten by another one, since its event."""


class PhotoUnavailable(SconesError):
    """S3 did not hand out the photo, though it may well exist: access refused, throttled or out of reach."""


class ModelUnavailable(SconesError):
    """The endpoint gave no answer: missing, down, throttled or too slow. Worth another try."""


class ModelAnswerInvalid(SconesError):
    """The endpoint answered something that contradicts its contract."""


class InvalidThreshold(SconesError):
    """The threshold parameter is missing, or holds neither `model` nor a number in [0, 1]."""


class ThresholdUnavailable(SconesError):
    """Systems Manager did not hand out the threshold parameter."""


class ReviewPending(SconesError):
    """Another execution already waits for a person's answer about this photo, or has just decided it."""


class EventNotPublished(SconesError):
    """EventBridge refused an event."""


class InvalidInput(SconesError):
    """The execution's input lacks something or has it in the wrong form."""


class InvalidSettings(SconesError):
    """The function's environment or `vehicles.toml` is incomplete: a fault of the deployment."""
