"""Say in words what an error of AWS means for the person at the console, and what to do."""

from botocore import exceptions

from functions.shared.aws import error_code
from functions.shared.errors import RecordUnavailable

_RESTART = "Stop the console and start it again with: make review"

_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
_EXPIRED_ERRORS = (
    exceptions.UnauthorizedSSOTokenError,
    exceptions.SSOTokenLoadError,
    exceptions.TokenRetrievalError,
    exceptions.CredentialRetrievalError,
)
_UNKNOWN_KEY = {
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidSignatureException",
    "AuthFailure",
    "InvalidToken",
}
_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError", "403"}
_MISSING = {
    "ResourceNotFoundException",
    "NoSuchBucket",
    "AWS.SimpleQueueService.NonExistentQueue",
    "QueueDoesNotExist",
    "StateMachineDoesNotExist",
    "ParameterNotFound",
}
_SLOW = {
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "SlowDown",
    "TooManyRequestsException",
    "ProvisionedThroughputExceededException",
}


def explain(error: Exception) -> str:
    """Return what an error of boto3, or one that has it as its cause, means and what to do.

    The sentences contain no keys of photos and no texts of AWS. Notes of the error follow them.
    """
    return " ".join([_explain(error_of_aws(error)), *getattr(error, "__notes__", ())])


def error_of_aws(error: Exception) -> Exception:
    """Return the error of boto3 that a RecordUnavailable has as its cause; any other error itself."""
    cause = error.__cause__ if isinstance(error, RecordUnavailable) else None
    return cause if isinstance(cause, Exception) else error


def _explain(error: Exception) -> str:
    code = error_code(error)
    if code in _EXPIRED or isinstance(error, _EXPIRED_ERRORS):
        return f"The AWS credentials of the console have expired. Log in to AWS again (aws sso login). {_RESTART}"
    if isinstance(error, exceptions.NoCredentialsError | exceptions.PartialCredentialsError):
        return f"The console has no AWS credentials. Log in to AWS. {_RESTART}"
    if code in _UNKNOWN_KEY:
        return f"AWS does not know the access key of the console any more. {_RESTART}"
    if code in _DENIED:
        return f"AWS denied a request of the console ({code}). Ask who manages your AWS account for the permission."
    if code in _MISSING:
        return f"A resource of this stage does not exist ({code}). Deploy the stage with: make deploy"
    if code in _SLOW:
        return f"AWS limits the number of requests at the moment ({code}). Wait a few seconds."
    if isinstance(error, exceptions.HTTPClientError | exceptions.ConnectionError):
        return (
            f"AWS cannot be reached ({code}). Photos and answers are kept meanwhile. Check the network, "
            "or start the embedded AWS with: make up"
        )
    return f"AWS returned an error ({code}). If it stays, look at the terminal of the console."
