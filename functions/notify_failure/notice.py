"""The message to the operators about a failed execution."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from functions.notify_failure.failure import CLASSIFY_PHOTO, RETRAIN_MODEL, ROLLBACK_MODEL, Failure
from functions.shared.photo import Photo
from functions.shared.photo_record import PhotoRecord
from functions.shared.texts import printable, shortened

# SNS accepts subjects of less than 100 ASCII characters without control characters.
SUBJECT_CHARACTERS = 99
CAUSE_CHARACTERS = 600

_TOKEN = re.compile(r"(task_?token\W{0,8})[\w+/=-]{16,}", re.IGNORECASE)
_DRIVER = re.compile(r'("driver_id"\s*:\s*")(?:[^"\\]|\\.)*')
_WHERE = "TARGET=local, the default, is the embedded AWS; add TARGET=aws for a stage in an AWS account."


@dataclass(frozen=True)
class Notice:
    """A message for SNS. `subject` is ASCII on one line."""

    subject: str
    text: str


def photo_notice(stage: str, failure: Failure, photo: Photo | None, record: PhotoRecord | None) -> Notice:
    """Return the notice of a failed execution of classify-photo.

    `photo` is None when the input names none; `record` is its record after the failure, None when it could not be read
    or written.
    """
    if photo is None:
        return _notice(
            stage,
            failure,
            f"{stage}: an execution of {CLASSIFY_PHOTO} failed: its input names no photo",
            "An execution failed, because its input names no photo. No driver waits for it.",
            {},
            'Correct what started it: the input is {"photo": {"bucket": …, "key": …}}.',
        )
    about = {"Photo": photo.photo_id, "More": f"/photos/{photo.photo_id} of the console: make review STAGE={stage}"}
    if record is not None and record.has_outcome:
        decided = record.outcome or {}
        outcome = f"sent to {decided['loading_bay']}" if "loading_bay" in decided else "rejected"
        return _notice(
            stage,
            failure,
            f"{stage}: the outcome of {photo} was not announced",
            f"A photo was decided ({outcome}), but its event was not published: the driver may not know.",
            about,
            f"Publish it: make redrive STAGE={stage}",
        )
    if record is not None and not record.is_unrouted_by(failure.execution):
        other = record.execution.rpartition(":")[2]
        return _notice(
            stage,
            failure,
            f"{stage}: an execution for {photo} failed, another one continues",
            f"An execution failed, and another one works on the same photo: {other} (the photo is {record.status}).",
            about,
            "Nothing needs to be done unless that one fails too.",
        )
    replay = f"Start an execution for it again: make redrive STAGE={stage}"
    if record is None:
        replay += "\nIts record could not be written, so it does not show that the photo is unrouted."
    return _notice(
        stage,
        failure,
        f"{stage}: {photo} is not routed, {failure.state or 'unknown state'} failed",
        "A photo was not routed. Its driver waits.",
        about,
        replay,
    )


def model_notice(stage: str, failure: Failure) -> Notice:
    """Return the notice of a failed execution of retrain-model, rollback-model or another workflow."""
    trigger = {"Trigger": printable(str(failure.input["trigger"]))} if "trigger" in failure.input else {}
    midway = "" if failure.status == "FAILED" else " It ended midway: `make status` shows what the endpoint serves."
    if failure.workflow == RETRAIN_MODEL:
        initial = "initial_model" in failure.input
        what = "The deployment of the initial model" if initial else "A retraining"
        command = f"make deploy STAGE={stage}" if initial else f"make retrain STAGE={stage}"
        return _notice(
            stage,
            failure,
            f"{stage}: {what[0].lower()}{what[1:]} failed",
            f"{what} failed. The model in production is kept.{midway}",
            trigger,
            f"Start it again: {command}",
        )
    if failure.workflow == ROLLBACK_MODEL:
        to = str(failure.input.get("to") or "")
        option = f" TO={to}" if re.fullmatch(r"[\w.-]+", to) else ""
        return _notice(
            stage,
            failure,
            f"{stage}: a rollback of the model failed",
            f"A rollback failed. `make status` shows what the endpoint serves.{midway}",
            trigger,
            f"Start it again: make rollback STAGE={stage}{option}",
        )
    return _notice(
        stage,
        failure,
        f"{stage}: an execution of {failure.workflow} failed",
        "An execution failed.",
        {},
        "Its history in the Step Functions console shows the reason.",
    )


def hide_key(cause: str, given: Mapping[str, Any]) -> str:
    """Return a cause without the key of the photo in the input `given`: a notice outlives the photo.

    The cause of States.Runtime quotes the state's input.

    >>> hide_key('no $.a in {"key": "uploads/ana/1", "driver_id": "ana"}', {"photo": {"key": "uploads/ana/1"}})
    'no $.a in {"key": "(not shown)", "driver_id": "(not shown)"}'
    """
    photo = given.get("photo")
    key = photo.get("key") if isinstance(photo, dict) else None
    if not isinstance(key, str) or not key:
        return cause
    for written in sorted({key, json.dumps(key)[1:-1], quote(key)}, key=len, reverse=True):
        cause = cause.replace(written, "(not shown)")
    return _DRIVER.sub(r"\1(not shown)", cause)


def shorten(cause: str) -> str:
    """Return a cause on one line of at most CAUSE_CHARACTERS characters, without task tokens.

    >>> shorten("the photo\\nis 'missing'")
    "the photo is 'missing'"
    """
    return shortened(printable(" ".join(_TOKEN.sub(r"\1(not shown)", cause).split())), CAUSE_CHARACTERS)


def _notice(stage: str, failure: Failure, subject: str, first: str, about: Mapping[str, str], action: str) -> Notice:
    facts = {
        **about,
        "Failed in": failure.state or "unknown: the history of the execution could not be read",
        "Error": printable(failure.error),
        "Cause": shorten(hide_key(failure.cause, failure.input)),
        "Stage": f"{stage} ({_place(failure.execution)})",
        "Workflow": failure.workflow,
        "Execution": failure.name,
        "Ended": f"{failure.status} at {failure.ended_at}",
    }
    lines = [first, "", *(f"{name + ':':<11}{value}" for name, value in facts.items()), "", action]
    if "make " in action:
        lines.append(_WHERE)
    ascii_subject = printable(subject).encode("ascii", "backslashreplace").decode("ascii")
    if len(ascii_subject) > SUBJECT_CHARACTERS:
        ascii_subject = ascii_subject[: SUBJECT_CHARACTERS - 3] + "..."
    return Notice(ascii_subject, "\n".join(lines) + "\n")


def _place(execution: str) -> str:
    """Return account and region of an ARN.

    >>> _place("arn:aws:states:eu-west-1:123456789012:execution:scones-dev-classify-photo:first")
    'account 123456789012, eu-west-1'
    """
    _, _, _, region, account, *_ = execution.split(":")
    return f"account {account}, {region}"
