"""The messages of the review dead-letter queue and of the unrouted queue: what each is about and how it is replayed.

The unrouted queue has three kinds of messages:
- photos whose execution failed, from classify-photo and NotifyFailure: `{"photo", "error", "execution"}`;
- dead letters of EventBridge: the event, with RULE_ARN, TARGET_ARN, ERROR_CODE and ERROR_MESSAGE as message attributes
  ("Using dead-letter queues to process undelivered events", EventBridge User Guide);
- invocations of NotifyFailure that failed, from Lambda: the event is the `requestPayload` of the record ("Capturing
  records of Lambda asynchronous invocations", Lambda Developer Guide).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

from console.redaction import redacted, redacted_text
from console.review_request import MalformedRequest, parse_review_request
from deploy.outputs import Deployed
from functions.shared.causes import error_message
from functions.shared.errors import InvalidInput
from functions.shared.photo import Photo

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef

NOTIFY_FAILURE = "notify-failure"
_TRIGGERS = {"retrain-weekly": "schedule", "retrain-on-labels": "labels", "retrain-on-drift": "drift"}
_NOT_JSON = "The body is not a JSON object."


# The errors of executions of classify-photo, by what a person does about them.
_PASSING = "AWS did not answer at that time. Replay it: if it fails again, look at the AWS Health Dashboard."
_ADVICE = {
    **dict.fromkeys(("RecordUnavailable", "EventNotPublished", "ReviewNotSent", "AwsUnavailable"), _PASSING),
    **dict.fromkeys(("PhotoUnavailable", "Lambda.TooManyRequestsException", "Lambda.ServiceException"), _PASSING),
    "ModelUnavailable": "The endpoint did not answer. Look at the page Now whether it is in service, then replay.",
    "ModelAnswerInvalid": "The model in production gives wrong answers: roll it back (`make rollback`), then replay.",
    "InvalidThreshold": "The threshold is not set correctly: `make threshold` shows and sets it. Then replay.",
    "ThresholdUnavailable": _PASSING,
    "States.Timeout": "The execution took too long. Replay it.",
    "TIMED_OUT": "The execution took too long. Replay it.",
    "ABORTED": "Somebody stopped the execution. Replay it unless that was on purpose.",
    "Lambda.Unknown": "A function ended without a word. Its log group names the cause; then replay.",
    "PhotoUnrouted": "The history of the execution names the state that failed. Replay it.",
}
_UNKNOWN_ERROR = "This error is not expected. Read the log of the function before you replay it."


def advice_on(error: str) -> str:
    """Return what to do about an execution of classify-photo that ended with an error, in a sentence or two.

    >>> advice_on("ABORTED")
    'Somebody stopped the execution. Replay it unless that was on purpose.'
    """
    return _ADVICE.get(error, _UNKNOWN_ERROR)


class Action(Enum):
    """What a replay does with a message."""

    REVIEW = "Send it back to the reviewers"
    CLASSIFY = "Start an execution for the photo"
    RETRAIN = "Start a retraining"


@dataclass(frozen=True)
class FailedMessage:
    """A message of one of the two queues.

    `title` says what failed, `error` why, as far as the message tells. `action` is None for a message that is not
    replayed. `advice` is what to do. `execution` is the ARN of the execution that failed, if one did,
    `trigger` that of a retraining. `body` is for display, without task tokens. `outcome` is what became of the photo by
    now, empty while it has none: then a replay only removes the message.
    """

    message_id: str
    title: str
    sent_at: datetime
    body: str
    error: str = ""
    action: Action | None = None
    advice: str = ""
    photo: Photo | None = None
    execution: str | None = None
    trigger: str | None = None
    outcome: str = ""

    @property
    def is_repaired(self) -> bool:
        """Whether nothing is left to do but to remove the message."""
        return bool(self.outcome)

    @property
    def has_advice(self) -> bool:
        """Whether `advice` says more than what a replay does."""
        return self.action is None or self.advice != f"{self.action.value}."


def parse_review_letter(message: "MessageTypeDef", deployed: Deployed) -> FailedMessage:
    """Parse a message of the review dead-letter queue."""
    sent_at = _sent_at(message)
    try:
        request = parse_review_request(message["Body"], bucket=deployed.uploads_bucket, sent_at=sent_at)
    except MalformedRequest as error:
        advice = f"It cannot be answered, because {error}. {_drop(message, deployed)}"
        return _failed(message, "Review request", advice=advice, photo=_find_photo(_parse(message["Body"])))
    why = "It was received five times without an answer: reviewers skipped it, or their consoles were closed"
    return _failed(message, "Review request", error=why, action=Action.REVIEW, photo=request.photo)


def parse_unrouted(message: "MessageTypeDef", deployed: Deployed) -> FailedMessage:
    """Parse a message of the unrouted queue."""
    body = _parse(message["Body"])
    attributes = {name: value.get("StringValue", "") for name, value in message.get("MessageAttributes", {}).items()}
    if target := attributes.get("TARGET_ARN"):
        why = ": ".join(part for part in (attributes.get("ERROR_CODE"), attributes.get("ERROR_MESSAGE")) if part)
        return _parse_dead_letter(message, body, target, attributes.get("RULE_ARN", ""), why, deployed)
    if isinstance(body.get("requestPayload"), dict):
        response = body.get("responsePayload")
        why = str(response.get("errorMessage", "")) if isinstance(response, dict) else ""
        return _parse_status_change(message, body["requestPayload"], f"NotifyFailure failed: {why}", deployed)
    photo = _find_photo(body)
    if photo is None:
        reason = "It names no photo." if body else _NOT_JSON
        return _failed(message, "Unknown message", advice=f"{reason} {_drop(message, deployed)}")
    error = body.get("error")
    caught: Mapping[str, Any] = error if isinstance(error, dict) else {}
    name = str(caught.get("Error", "unknown error"))
    why = f"{name}: {error_message(str(caught.get('Cause', '')))}"
    return _failed(
        message,
        "Photo not routed",
        error=why,
        action=Action.CLASSIFY,
        advice=advice_on(name),
        photo=photo,
        execution=body.get("execution"),
    )


def _parse_dead_letter(
    message: "MessageTypeDef", event: Mapping[str, Any], target: str, rule: str, why: str, deployed: Deployed
) -> FailedMessage:
    """Parse an event, or the input made of it, that EventBridge did not deliver to `target`."""
    if target == deployed.classify_photo_arn:
        title, photo = "Upload that did not start an execution", _find_photo(event)
        if photo is None:
            return _failed(message, title, error=why, advice=f"It names no photo. {_drop(message, deployed)}")
        advice = "EventBridge could not start the execution. Read the error, correct it, then replay."
        return _failed(message, title, error=why, action=Action.CLASSIFY, advice=advice, photo=photo)
    if target == deployed.retrain_model_arn:
        title, trigger = "Retraining that did not start", _find_trigger(event, rule, deployed.app_name)
        if trigger is None:
            advice = f"Run `make retrain STAGE={deployed.stage}` instead. {_drop(message, deployed)}"
            return _failed(message, title, error=why, advice=advice)
        return _failed(message, f"{title} ({trigger})", error=why, action=Action.RETRAIN, trigger=trigger)
    if target == deployed.rollback_model_arn:
        advice = (
            "Not replayed: since the alarm, the model may have changed. If the model in production is bad, run "
            f"`make rollback STAGE={deployed.stage}`. {_drop(message, deployed)}"
        )
        return _failed(message, "Rollback that did not start", error=why, advice=advice)
    if target.endswith(f":function:{deployed.app_name}-{NOTIFY_FAILURE}"):
        return _parse_status_change(message, event, why, deployed)
    return _failed(message, f"Event for {target}", error=why, advice=f"It is not replayed. {_drop(message, deployed)}")


def _parse_status_change(
    message: "MessageTypeDef", event: Mapping[str, Any], why: str, deployed: Deployed
) -> FailedMessage:
    """Parse the event of a failed execution of which no operator was notified."""
    detail = event.get("detail")
    ended: Mapping[str, Any] = detail if isinstance(detail, dict) else {}
    machine, error = ended.get("stateMachineArn"), why
    if ended.get("error"):
        error = f"{ended['error']}: {error_message(str(ended.get('cause') or ''))} ({why})"
    status = str(ended.get("status", "failed")).lower().replace("_", " ")
    photo = _find_photo(_parse(str(ended.get("input"))))
    arn, title = ended.get("executionArn"), f"Execution {status}, without a notice"
    if machine == deployed.classify_photo_arn and photo:
        name = str(ended.get("error") or status)
        return _failed(
            message, title, error=error, action=Action.CLASSIFY, advice=advice_on(name), photo=photo, execution=arn
        )
    commands = {deployed.retrain_model_arn: "retrain", deployed.rollback_model_arn: "rollback"}
    if machine in commands:
        advice = f"Run `make {commands[machine]} STAGE={deployed.stage}`. {_drop(message, deployed)}"
        return _failed(message, f"{commands[machine]}-model {status}, without a notice", error=error, advice=advice)
    advice = f"Look at the history of {arn or 'the execution'}. {_drop(message, deployed)}"
    return _failed(message, title, error=error, advice=advice)


def _failed(
    message: "MessageTypeDef",
    title: str,
    *,
    error: str = "",
    advice: str = "",
    action: Action | None = None,
    photo: Photo | None = None,
    execution: Any = None,
    trigger: str | None = None,
) -> FailedMessage:
    return FailedMessage(
        message_id=message["MessageId"],
        title=title,
        sent_at=_sent_at(message),
        body=redacted(message["Body"]),
        error=redacted_text(error),
        action=action,
        advice=advice or (f"{action.value}." if action else ""),
        photo=photo,
        execution=str(execution) if execution else None,
        trigger=trigger,
    )


def _drop(message: "MessageTypeDef", deployed: Deployed) -> str:
    return f"To remove it: make redrive STAGE={deployed.stage} DROP={message['MessageId']}"


def _parse(text: str) -> Mapping[str, Any]:
    """Return a JSON object; an empty one for any other text."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):  # no JSON has no photo either
        return {}
    return found if isinstance(found, dict) else {}


def _find_photo(body: Mapping[str, Any]) -> Photo | None:
    """Return the photo of an execution's input, of a review request, or of an event of S3."""
    state = body.get("photo")
    detail = body.get("detail")
    if state is None and isinstance(detail, dict):
        bucket, stored = detail.get("bucket"), detail.get("object")
        if isinstance(bucket, dict) and isinstance(stored, dict):
            state = {name: stored.get(name) for name in ("key", "etag", "size", "sequencer")}
            state |= {"bucket": bucket.get("name"), "uploaded_at": body.get("time")}
    try:
        return Photo.from_state(state)
    except InvalidInput:  # the message is shown without a photo
        return None


def _find_trigger(event: Mapping[str, Any], rule: str, app: str) -> str | None:
    """Return the trigger in the input of a retraining, else that of the rule, else None."""
    given = event.get("trigger")
    return given if given in _TRIGGERS.values() else _TRIGGERS.get(rule.rpartition("/")[2].removeprefix(f"{app}-"))


def _sent_at(message: "MessageTypeDef") -> datetime:
    return datetime.fromtimestamp(int(message["Attributes"]["SentTimestamp"]) / 1000, UTC)
