"""The contract of each Lambda's answer, and what counts as a typed error."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema

import events

PHOTO_OUTCOMES = (events.schema("Driver Routed"), events.schema("Photo Rejected"))
# The schemas of the answers by folder: an answer is valid by one of them.
CONTRACTS: dict[str, tuple[dict[str, Any], ...]] = {
    "assign_bay": PHOTO_OUTCOMES,
    "reject_photo": PHOTO_OUTCOMES,
    "reject_excess_photo": PHOTO_OUTCOMES,
    "request_review": (events.schema("Review Requested"),),
    **{
        name: (events.contract(f"{name}_answer"),)
        for name in (
            *("classify_photo", "build_dataset", "judge_challenger", "record_retraining"),
            *("prepare_rollback", "probe_endpoint", "record_rollback", "notify_failure", "reconcile_photos"),
            *("prepare_batch", "classify_batch", "summarize_batch"),
            "answer_driver",
            "audit_decisions",
            "watch_quality",
            "watch_service",
        )
    },
}


# The contract of the body of an HTTP response by its status.
BODIES = {200: "driver_photo", 201: "driver_upload_form", 400: "driver_error", 404: "driver_error"}


@cache
def _validator(folder: str, number: int) -> Any:
    return jsonschema.Draft202012Validator(CONTRACTS[folder][number], format_checker=jsonschema.FormatChecker())


def mistakes(folder: str, answer: Any) -> list[str]:
    """What is wrong with the answer of a Lambda; empty for a valid one."""
    try:
        # As the Lambda runtime writes it, and as Step Functions reads it: no NaN, no infinity, no lone surrogate.
        text = json.dumps(answer, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, TypeError) as error:
        return [f"it is no JSON: {error}"]
    answer = json.loads(text)
    found = []
    for number in range(len(CONTRACTS[folder])):
        validator = _validator(folder, number)
        errors = [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(answer)]
        if not errors:
            return list(_mistakes_inside(folder, answer))
        found += errors
    return found


def _mistakes_inside(folder: str, answer: dict[str, Any]) -> Iterator[str]:
    """What is wrong with the document in an answer: an event that the workflow publishes, or the body of a response."""
    if folder == "answer_driver":
        schema = events.contract(BODIES[answer["statusCode"]])
        validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
        yield from (
            f"body{error.json_path[1:]}: {error.message[:200]}"
            for error in validator.iter_errors(json.loads(answer["body"]))
        )
        return
    published = folder.startswith(("record_", "summarize_"))
    name = "event" if published else "recorded" if folder == "classify_photo" else None
    if name is None or not answer[name]:
        return
    validator = jsonschema.Draft202012Validator(
        _event_schema(folder, answer), format_checker=jsonschema.FormatChecker()
    )
    for error in validator.iter_errors(answer[name]):
        yield f"{name}{error.json_path[1:]}: {error.message[:200]}"


def _event_schema(folder: str, answer: dict[str, Any]) -> dict[str, Any]:
    if folder == "classify_photo":
        return events.schema("Driver Routed" if "loading_bay" in answer["recorded"] else "Photo Rejected")
    if folder == "summarize_batch":
        return events.schema("Batch Completed")
    if folder == "record_rollback":
        return events.schema("Model Rolled Back")
    return events.schema("Model Promoted" if answer["output"]["outcome"] == "promoted" else "Model Rejected")


def is_typed(error: BaseException) -> bool:
    """Whether an error is a SconesError; each loaded handler has classes of its own, so the names are compared."""
    return any(kind.__name__ == "SconesError" for kind in type(error).__mro__)
