"""The causes of errors that Step Functions caught."""

import json


def readable(cause: str) -> str:
    """The words in a caught error: of a failed Lambda its message, of a failed job its reason, else the text itself.

    >>> readable('{"TrainingJobName": "a", "FailureReason": "AlgorithmError: no photos"}')
    'AlgorithmError: no photos'
    """
    try:
        content = json.loads(cause)
    except ValueError:
        return cause
    if not isinstance(content, dict):
        return cause
    return str(content.get("errorMessage") or content.get("FailureReason") or cause)
