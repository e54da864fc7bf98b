"""Messages of errors that Step Functions caught."""

import json

from functions.shared.shapes import any_text, object_with, optional

CAUGHT_ERROR = optional(object_with({}, {"Error": optional(any_text), "Cause": optional(any_text)}))


def error_message(cause: str) -> str:
    """Return the message in the `Cause` of a caught error; the cause itself when it is not JSON with a message.

    The cause of a failed Lambda function has an `errorMessage`, that of a failed job an `ExitMessage`, which its
    container wrote, or a `FailureReason`.

    >>> error_message('{"errorMessage": "it is empty", "errorType": "UnreadablePhoto"}')
    'it is empty'
    >>> error_message('{"TrainingJobName": "a", "FailureReason": "AlgorithmError: no photos"}')
    'AlgorithmError: no photos'
    """
    try:
        content = json.loads(cause)
    except (ValueError, RecursionError):  # a cause of plain text is the message
        return cause
    if not isinstance(content, dict):
        return cause
    message = content.get("errorMessage") or content.get("ExitMessage") or content.get("FailureReason")
    return message if isinstance(message, str) else cause
