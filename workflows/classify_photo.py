"""classify-photo: one uploaded photo becomes one decision, one rejection, or one message in the unrouted queue.

Input: `{"photo": {"bucket", "key", "etag"?, "size"?, "uploaded_at"?, "sequencer"?}}`. Output: the decision or the
rejection; the input with the error for the marker of a folder, which is no photo, and for one upload too many of a
photo that another execution works on. It is a Standard workflow, because a review can take hours.

Fields of the execution's data: `photo`, the input; `model.answer`, the result of the ClassifyPhoto Lambda; `review`,
the review request; `reviewer`, the reviewer's answer; `error`, the last error caught; `pending`, how long to wait for
the review of another execution. The states before AssignBay replace all of them by the input of AssignBay.
"""

from collections.abc import Sequence
from typing import Any

from workflows.errors import ANY_FAILURE
from workflows.sdk import Chain, Choice, ChoiceRule, Fail, Graph, LambdaStep, Pass, Succeed, Wait
from workflows.sdk import SqsSendMessageStep as SqsSendMessage
from workflows.tasks import (
    API_TIMEOUT_S,
    EXECUTION,
    lambda_parameters,
    on_error,
    payload_template,
    retry,
    retry_crashes,
    retry_transient,
    to_number,
)

# Longer than the Lambda's own timeout, because in a burst of photos a task also waits for a free Lambda environment.
LAMBDA_TIMEOUT_S = 120

# The first wait for the review of another execution; each further wait is this much longer. A constant wait of 15 s
# writes 16 history events per round and reaches the limit of 25,000 within seven hours. With growing waits, one day
# takes 107 rounds.
PENDING_WAIT_S = 15

# An execution may wait for the review of another one, and for its own if nobody decided in the first: each takes 14
# days at most, which is the largest REVIEW_TIMEOUT_S. Two more days are for the last wait and for retries.
TIMEOUT_S = (14 + 14 + 2) * 24 * 3600

UNAVAILABLE = (
    *("PhotoUnavailable", "ModelUnavailable", "ThresholdUnavailable"),
    *("RecordUnavailable", "EventNotPublished"),
)

STARTED_AT = {"started_at.$": "$$.Execution.StartTime"}
REVIEW_TIMEOUT = {"timeout_s.$": to_number("${ReviewTimeoutSeconds}")}


def build() -> Any:
    """Return the SDK graph of classify-photo."""
    classify_photo = LambdaStep(
        "ClassifyPhoto",
        comment="Classify the photo; decide and announce the decision when the model is confident.",
        parameters=lambda_parameters("ClassifyPhoto", {"photo.$": "$.photo", **EXECUTION, **STARTED_AT}),
        asl={"ResultSelector": {"answer.$": "$.Payload"}},
        result_path="$.model",
        timeout_seconds=LAMBDA_TIMEOUT_S,
        retry=[
            retry_transient(),
            retry(*UNAVAILABLE, interval_s=2, max_attempts=4, max_delay_s=30),
            # Expensive photos are decoded one after the other, each within five seconds.
            retry("ModelBusy", interval_s=2, max_attempts=30, max_delay_s=10),
            retry_announcement(),
            retry_crashes(max_attempts=1),
        ],
    )
    decided = Choice("Decided?", comment="Branch on the outcome; the Lambda compares with the threshold.")
    return_decision = Succeed(
        "ReturnDecision",
        comment="The decision of the model, or the outcome that the photo already had.",
        output_path="$.model.answer.recorded",
    )
    ignore_folder = Succeed(
        "IgnoreFolder",
        comment="The object is the marker of a folder, which S3 tools create: it is no photo and has no outcome.",
    )
    leave_to_other_execution = Succeed(
        "LeaveToOtherExecution",
        comment="One upload too many of a photo that was accepted before: the execution of that upload decides.",
    )
    return_outcome = _record(
        "ReturnOutcome",
        "The photo already has an outcome: return it, and publish its event if that was not published.",
        function="AssignBay",
        payload={"photo.$": "$.review.photo", "decided_by": "recorded"},
    )
    prepare_review = _prepare_review(
        "PrepareReview",
        "Confidence below the threshold, or no configured vehicle: request a review of the classification.",
        photo="$.model.answer.photo",
        classification="$.model.answer.classification",
        threshold="$.model.answer.threshold",
        reason="$.model.answer.reason",
        model_version="$.model.answer.classification.model_version",
    )
    prepare_review_after_error = _prepare_review(
        "PrepareReviewAfterError",
        "ClassifyPhoto failed, often because the endpoint is unavailable: request a review with the error as reason.",
        photo="$.photo",
        classification=None,
        threshold=None,
        reason="$.error.Error",
        model_version=None,
    )
    request_review = LambdaStep(
        "RequestReview",
        wait_for_callback=True,
        comment="Send the photo to the review queue with a task token; wait for the answer or the timeout.",
        parameters=lambda_parameters(
            "RequestReview",
            {
                "photo.$": "$.review.photo",
                "classification.$": "$.review.classification",
                "threshold.$": "$.review.threshold",
                "reason.$": "$.review.reason",
                "timeout_s.$": "$.review.timeout_s",
                "task_token.$": "$$.Task.Token",
                **EXECUTION,
            },
        ),
        result_path="$.reviewer",
        timeout_seconds_path="$.review.timeout_s",
        retry=[
            retry("ReviewPending", "PhotoDecided", max_attempts=0),
            retry_transient(),
            retry(*ANY_FAILURE, interval_s=2, max_attempts=2),
        ],
    )
    reviewer_answered = Choice(
        "ReviewerAnswered?",
        comment="Branch on the answer: a vehicle or `other`, `unusable`, `ambiguous`, or invalid.",
    )
    decide_by_reviewer = _decide(
        "DecideByReviewer",
        "The answer of the reviewer, which has no confidence.",
        decided_by="reviewer",
        photo="$.review.photo",
        vehicle="$.reviewer.vehicle",
        confidence=None,
        model_version="$.review.model_version",
    )
    decide_ambiguous_photo = _decide(
        "DecideAmbiguousPhoto",
        "The reviewer cannot say which of several vehicles is the driver's: the help desk can ask.",
        decided_by="reviewer",
        photo="$.review.photo",
        vehicle=None,
        confidence=None,
        model_version="$.review.model_version",
    )
    decide_by_fallback = _decide(
        "DecideByFallback",
        "The review timed out, could not be requested or has an invalid answer: send the driver to the help desk.",
        decided_by="fallback",
        photo="$.review.photo",
        vehicle=None,
        confidence=None,
        model_version="$.review.model_version",
    )
    report_unusable_photo = Pass(
        "ReportUnusablePhoto",
        comment="The reviewer answered that the photo is unusable.",
        parameters={
            "photo.$": "$.review.photo",
            "error": {"Error": "UnusablePhoto", "Cause": "A reviewer answered that this photo is unusable."},
        },
    )
    reject_excess_photo = _record(
        "RejectExcessPhoto",
        "Record that the photo is one of too many of its driver and publish it as `Photo Rejected`.",
        function="RejectExcessPhoto",
        payload={"photo.$": "$.model.answer.photo", "excess.$": "$.model.answer.excess"},
        retries=[
            retry("PhotoInProgress", max_attempts=0),
            # In a flood most invocations are throttled, because the function has a small reserved concurrency.
            retry("Lambda.TooManyRequestsException", interval_s=1, max_attempts=100, max_delay_s=30),
        ],
    )
    assign_bay = _record(
        "AssignBay",
        "Record the one decision of this photo and publish it as `Driver Routed`.",
        function="AssignBay",
        payload=_fields("photo", "vehicle", "confidence", "model_version", "decided_by"),
    )
    reject_photo = _record(
        "RejectPhoto",
        "Record why this photo has no decision and publish it as `Photo Rejected`.",
        function="RejectPhoto",
        payload=_fields("photo", "error"),
    )
    waited_before = Choice(
        "WaitedBefore?", comment="Branch on whether this execution has already waited for the review of another one."
    )
    set_first_wait = Pass(
        "SetFirstWait",
        comment="A short first wait, because the other execution may be about to decide.",
        result={"wait_s": PENDING_WAIT_S},
        result_path="$.pending",
    )
    increase_wait = Pass(
        "IncreaseWait",
        comment="Waits of increasing length keep the execution below the limit of 25,000 history events.",
        parameters={"wait_s.$": f"States.MathAdd($.pending.wait_s, {PENDING_WAIT_S})"},
        result_path="$.pending",
    )
    wait_for_other_review = Wait(
        "WaitForOtherReview",
        comment="Wait for the other execution, then try to request the review again.",
        seconds_path="$.pending.wait_s",
    )
    send_to_unrouted_queue = SqsSendMessage(
        "SendToUnroutedQueue",
        comment="The outcome could not be recorded: keep photo and error in a queue with an alarm.",
        parameters={
            "QueueUrl": "${UnroutedQueueUrl}",
            "MessageBody": {"photo.$": "$.photo", "error.$": "$.error", **EXECUTION},
        },
        result_path="$.queued",
        timeout_seconds=API_TIMEOUT_S,
        retry=[retry(*ANY_FAILURE, interval_s=2, max_attempts=6, max_delay_s=60)],
    )
    fail_execution = Fail(
        "FailExecution",
        comment="The photo is not routed. NotifyFailure notifies an operator.",
        error="PhotoUnrouted",
        cause="The outcome could not be recorded or announced. `make redrive` starts an execution for the photo again.",
    )

    # A confident model, or a photo with an outcome:
    Chain([classify_photo, decided])
    decided.add_choice(ChoiceRule.StringEquals("$.model.answer.outcome", "decided"), return_decision)
    decided.add_choice(ChoiceRule.StringEquals("$.model.answer.outcome", "excess"), reject_excess_photo)
    decided.default_choice(prepare_review)

    # A review:
    Chain([prepare_review, request_review, reviewer_answered])
    answer = "$.reviewer.vehicle"
    reviewer_answered.add_choice(
        ChoiceRule.And([ChoiceRule.IsPresent(answer, True), ChoiceRule.StringEquals(answer, "unusable")]),
        report_unusable_photo,
    )
    reviewer_answered.add_choice(
        ChoiceRule.And([ChoiceRule.IsPresent(answer, True), ChoiceRule.StringEquals(answer, "ambiguous")]),
        decide_ambiguous_photo,
    )
    reviewer_answered.add_choice(
        ChoiceRule.And([ChoiceRule.IsPresent(answer, True), ChoiceRule.IsString(answer, True)]), decide_by_reviewer
    )
    reviewer_answered.default_choice(decide_by_fallback)
    Chain([decide_by_reviewer, assign_bay])
    Chain([decide_ambiguous_photo, assign_bay])
    Chain([decide_by_fallback, assign_bay])
    Chain([report_unusable_photo, reject_photo])

    # Errors of the photo and of the endpoint:
    on_error(classify_photo, ["UnreadablePhoto", "PhotoTooLarge", "PhotoTooComplex", "PhotoMissing"], reject_photo)
    on_error(classify_photo, ["FolderMarker"], ignore_folder)
    on_error(classify_photo, ["States.ALL"], prepare_review_after_error)
    Chain([prepare_review_after_error, request_review])

    # An upload too many of a photo that another execution works on:
    on_error(reject_excess_photo, ["PhotoInProgress"], leave_to_other_execution)

    # A review that another execution requested, or that cannot be requested:
    on_error(request_review, ["ReviewPending"], waited_before)
    on_error(request_review, ["PhotoDecided"], return_outcome)
    on_error(request_review, ["States.ALL"], decide_by_fallback)
    waited_before.add_choice(ChoiceRule.IsPresent("$.pending.wait_s", True), increase_wait)
    waited_before.default_choice(set_first_wait)
    Chain([set_first_wait, wait_for_other_review, request_review])
    Chain([increase_wait, wait_for_other_review])

    # An outcome that cannot be recorded:
    on_error(assign_bay, ["States.ALL"], send_to_unrouted_queue)
    on_error(reject_photo, ["States.ALL"], send_to_unrouted_queue)
    on_error(reject_excess_photo, ["States.ALL"], send_to_unrouted_queue)
    on_error(return_outcome, ["States.ALL"], send_to_unrouted_queue)
    Chain([send_to_unrouted_queue, fail_execution])

    return Graph(
        classify_photo,
        comment="Decides on the loading bay for a photo: by the model, by a reviewer, or by the fallback.",
        timeout_seconds=TIMEOUT_S,
    )


def _decide(name: str, comment: str, *, decided_by: str, **fields: str | None) -> Any:
    """A Pass state whose output is the input of AssignBay."""
    return Pass(name, comment=comment, parameters={**payload_template(**fields), "decided_by": decided_by})


def _prepare_review(name: str, comment: str, **fields: str | None) -> Any:
    """A Pass state that writes `$.review`."""
    return Pass(
        name, comment=comment, parameters={**payload_template(**fields), **REVIEW_TIMEOUT}, result_path="$.review"
    )


def _fields(*names: str) -> dict[str, str]:
    """A payload template with these fields of the input."""
    return payload_template(**{name: f"$.{name}" for name in names})


def _record(name: str, comment: str, *, function: str, payload: dict[str, Any], retries: Sequence[Any] = ()) -> Any:
    """A task that invokes the Lambda `function`; its answer is the output of the execution.

    `retries` are its own retriers, before those of every such task.
    """
    return LambdaStep(
        name,
        comment=comment,
        parameters=lambda_parameters(function, {**payload, **EXECUTION}),
        output_path="$.Payload",
        timeout_seconds=LAMBDA_TIMEOUT_S,
        retry=[
            *retries,
            retry_transient(),
            retry_announcement(),
            # The Lambda writes conditionally and is safe to repeat, so every error is retried.
            retry("States.ALL", interval_s=2, max_attempts=3),
        ],
    )


def retry_announcement() -> Any:
    """The retrier for an outcome that another execution is about to announce: until that is overdue."""
    return retry("AnnouncementPending", interval_s=2, max_attempts=20, max_delay_s=5)
