"""classify-photo: one uploaded photo becomes one decision, one rejection, or one message in a queue somebody watches.

Input `{"photo": {"bucket", "key", "etag"?, "size"?}}`; the output is the decision (or the rejection) itself. A Standard
workflow, because it may wait for a person.

What the execution carries, each in its own slot so that no path below can be missing: `photo` as it came in,
`model.answer` from the endpoint, `review` (what a person is asked), `reviewer` (what the person answered), `error`
(what was caught last), `pending` (how long to wait for somebody else's review). The states before AssignBay replace all
of it by AssignBay's own input.
"""

from typing import Any

from workflows.errors import ANY_FAILURE, LAMBDA_ACCIDENTS, LAMBDA_TRANSIENT
from workflows.sdk import Chain, Choice, ChoiceRule, Fail, Graph, LambdaStep, Pass, Succeed, Wait
from workflows.sdk import SqsSendMessageStep as SqsSendMessage
from workflows.tasks import call, on_error, retry

# Longer than a Lambda may run, because a burst of photos also waits here for a free Lambda environment.
LAMBDA_TIMEOUT_S = 120

# The first wait for another execution's review, and how much longer each further one gets. A constant 15 s would
# write 16 history events per round and hit the limit of 25,000 within seven hours; this one waits a day in 107 rounds.
PENDING_WAIT_S = 15

EXECUTION = {"execution.$": "$$.Execution.Id"}
REVIEW_TIMEOUT = {"timeout_s.$": "States.StringToJson('${ReviewTimeoutSeconds}')"}

TRANSIENT = retry(*LAMBDA_TRANSIENT, first_s=2, attempts=6, longest_s=30)
ACCIDENTS = retry(*LAMBDA_ACCIDENTS, first_s=1, attempts=1)


def build() -> Any:
    """The SDK graph of classify-photo."""
    classify_photo = LambdaStep(
        "ClassifyPhoto",
        comment="Has the photo been decided already? If not, ask the endpoint what it shows.",
        parameters=call("${ClassifyPhotoFunctionArn}", {"photo.$": "$.photo", **EXECUTION}),
        asl={"ResultSelector": {"answer.$": "$.Payload"}},
        result_path="$.model",
        timeout_seconds=LAMBDA_TIMEOUT_S,
        retry=[TRANSIENT, retry("ModelUnavailable", first_s=2, attempts=4, longest_s=30), ACCIDENTS],
    )
    confident = Choice("Confident?", comment="The Lambda compares with the threshold; here its word decides the way.")
    already_decided = Succeed(
        "AlreadyDecided",
        comment="A second delivery of the same photo: answer with the decision that stands.",
        output_path="$.model.answer.decision",
    )
    model_decides = Pass(
        "ModelDecides",
        comment="A configured vehicle, at least as confident as the threshold.",
        parameters={
            "photo.$": "$.model.answer.photo",
            "vehicle.$": "$.model.answer.classification.vehicle",
            "confidence.$": "$.model.answer.classification.confidence",
            "model_version.$": "$.model.answer.classification.model_version",
            "decided_by": "model",
        },
    )
    unsure = Pass(
        "Unsure",
        comment="Too little confidence, or none of our vehicles: say what the model thought, and ask a person.",
        parameters={
            "photo.$": "$.model.answer.photo",
            "classification.$": "$.model.answer.classification",
            "threshold.$": "$.model.answer.threshold",
            "reason.$": "$.model.answer.reason",
            "model_version.$": "$.model.answer.classification.model_version",
            **REVIEW_TIMEOUT,
        },
        result_path="$.review",
    )
    no_answer = Pass(
        "NoAnswerFromModel",
        comment="The endpoint is down or answered nonsense: ask a person, and name the error as the reason.",
        parameters={
            "photo.$": "$.photo",
            "classification": None,
            "threshold": None,
            "reason.$": "$.error.Error",
            "model_version": None,
            **REVIEW_TIMEOUT,
        },
        result_path="$.review",
    )
    request_review = LambdaStep(
        "RequestReview",
        wait_for_callback=True,
        comment="Put the photo into the review queue with a task token, and wait for the reviewer or the timeout.",
        parameters=call(
            "${RequestReviewFunctionArn}",
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
            retry("ReviewPending", attempts=0),
            TRANSIENT,
            retry(*ANY_FAILURE, first_s=2, attempts=2),
        ],
    )
    answered = Choice("ReviewerSays?", comment="A vehicle or `other`, `unusable`, or something we cannot read.")
    reviewer_decides = Pass(
        "ReviewerDecides",
        comment="The person's word; the confidence was the model's, so it goes.",
        parameters={
            "photo.$": "$.review.photo",
            "vehicle.$": "$.reviewer.vehicle",
            "confidence": None,
            "model_version.$": "$.review.model_version",
            "decided_by": "reviewer",
        },
    )
    nobody_decides = Pass(
        "NobodyDecides",
        comment="Nobody answered in time, or nobody could be asked: the driver goes to the help desk.",
        parameters={
            "photo.$": "$.review.photo",
            "vehicle": None,
            "confidence": None,
            "model_version.$": "$.review.model_version",
            "decided_by": "fallback",
        },
    )
    unusable = Pass(
        "Unusable",
        comment="The reviewer found nothing to judge in the photo.",
        parameters={
            "photo.$": "$.review.photo",
            "error": {"Error": "UnusablePhoto", "Cause": "A reviewer could not use this photo."},
        },
    )
    assign_bay = LambdaStep(
        "AssignBay",
        comment="Write the one decision of this photo and announce it as `Driver Routed`.",
        parameters=call(
            "${AssignBayFunctionArn}",
            {
                "photo.$": "$.photo",
                "vehicle.$": "$.vehicle",
                "confidence.$": "$.confidence",
                "model_version.$": "$.model_version",
                "decided_by.$": "$.decided_by",
                **EXECUTION,
            },
        ),
        output_path="$.Payload",
        timeout_seconds=LAMBDA_TIMEOUT_S,
        retry=[TRANSIENT, retry("States.ALL", first_s=2, attempts=3)],
    )
    reject_photo = LambdaStep(
        "RejectPhoto",
        comment="Record why this photo has no decision and announce it as `Photo Rejected`.",
        parameters=call("${RejectPhotoFunctionArn}", {"photo.$": "$.photo", "error.$": "$.error", **EXECUTION}),
        output_path="$.Payload",
        timeout_seconds=LAMBDA_TIMEOUT_S,
        retry=[TRANSIENT, retry("States.ALL", first_s=2, attempts=3)],
    )
    waited_before = Choice("WaitedBefore?", comment="Another execution is already asking about this photo.")
    wait_shortly = Pass(
        "WaitShortly",
        comment="The first wait: the other execution may just be deciding.",
        result={"wait_s": PENDING_WAIT_S},
        result_path="$.pending",
    )
    wait_longer = Pass(
        "WaitLonger",
        comment="Each wait is longer than the last, which keeps a day of waiting far below the history limit.",
        parameters={"wait_s.$": f"States.MathAdd($.pending.wait_s, {PENDING_WAIT_S})"},
        result_path="$.pending",
    )
    wait_for_other_review = Wait(
        "WaitForOtherReview",
        comment="Then ask again whether the photo has been decided.",
        seconds_path="$.pending.wait_s",
    )
    keep_unrouted = SqsSendMessage(
        "KeepUnrouted",
        comment="The last net: the photo waits in a queue with an alarm on it.",
        parameters={
            "QueueUrl": "${UnroutedQueueUrl}",
            "MessageBody": {"photo.$": "$.photo", "error.$": "$.error", **EXECUTION},
        },
        result_path="$.kept",
        timeout_seconds=60,
        retry=[retry(*ANY_FAILURE, first_s=2, attempts=6, longest_s=60)],
    )
    unrouted = Fail(
        "Unrouted",
        comment="The only way this workflow fails: the alarm on the queue calls a person.",
        error="PhotoUnrouted",
        cause="The outcome could not be recorded. Photo and error are in the unrouted queue; start again with them.",
    )

    # The picture: the straight way first, then everything that leaves it.
    Chain([classify_photo, confident])
    confident.add_choice(ChoiceRule.StringEquals("$.model.answer.outcome", "confident"), model_decides)
    confident.add_choice(ChoiceRule.StringEquals("$.model.answer.outcome", "decided"), already_decided)
    confident.default_choice(unsure)
    Chain([model_decides, assign_bay])

    Chain([unsure, request_review, answered])
    answered.add_choice(
        ChoiceRule.And(
            [
                ChoiceRule.IsPresent("$.reviewer.vehicle", True),
                ChoiceRule.StringEquals("$.reviewer.vehicle", "unusable"),
            ]
        ),
        unusable,
    )
    answered.add_choice(
        ChoiceRule.And(
            [ChoiceRule.IsPresent("$.reviewer.vehicle", True), ChoiceRule.IsString("$.reviewer.vehicle", True)]
        ),
        reviewer_decides,
    )
    answered.default_choice(nobody_decides)
    Chain([reviewer_decides, assign_bay])
    Chain([nobody_decides, assign_bay])
    Chain([unusable, reject_photo])

    on_error(classify_photo, ["UnreadablePhoto", "PhotoTooLarge", "PhotoMissing"], reject_photo)
    on_error(classify_photo, ["States.ALL"], no_answer)
    Chain([no_answer, request_review])

    on_error(request_review, ["ReviewPending"], waited_before)
    on_error(request_review, ["States.ALL"], nobody_decides)
    waited_before.add_choice(ChoiceRule.IsPresent("$.pending.wait_s", True), wait_longer)
    waited_before.default_choice(wait_shortly)
    Chain([wait_shortly, wait_for_other_review, classify_photo])
    Chain([wait_longer, wait_for_other_review])

    on_error(assign_bay, ["States.ALL"], keep_unrouted)
    on_error(reject_photo, ["States.ALL"], keep_unrouted)
    Chain([keep_unrouted, unrouted])

    return Graph(
        classify_photo, comment="A driver's photo becomes a decision: by the model, a reviewer, or the help desk."
    )
