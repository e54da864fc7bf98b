"""retrain-model: labels become a better model, or the champion stays; nobody has to watch.

Input, every key optional: `{"trigger": "manual" | "schedule" | "labels" | "drift", "force": false, "dry_run": false,
"classes": ["bicycle", …], "dataset": "s3://…/", "source": "s3://…/sourcedir.tar.gz", "hyperparameters": {…},
"golden": "s3://…/"}`; data, code and hyperparameters that are left out are those of the last promotion. The output
says what became of it: `{"outcome": "promoted" | "rejected", "model_version", "reason", "verdict", "checks", …}`. A
challenger that lost, nothing new to learn, or another retraining under way are outcomes; an execution fails only when
something broke, and every ending but a promotion is announced as `Model Rejected`.

What the execution carries: `request` and `run` (the name), then one slot per state that has something to say:
`prepared`, `trained`, `judged`, `endpoint`, `error`, `concluded`.
"""

from typing import Any

from workflows import sagemaker_steps as sagemaker
from workflows.errors import ANY_FAILURE, LAMBDA_ACCIDENTS, LAMBDA_TRANSIENT
from workflows.sdk import (
    Catch,
    Chain,
    Choice,
    ChoiceRule,
    EventBridgePutEventsStep,
    Fail,
    Graph,
    LambdaStep,
    Pass,
    Succeed,
    Wait,
)
from workflows.tasks import call, on_error, retry

# What BuildDataset finds and decides.
PREPARED = (
    *("proceed", "reason", "words", "dataset", "source", "hyperparameters", "golden", "drawn", "training_input"),
    *("snapshot", "labelled", "labels"),
    *("new_labels", "champion", "baseline", "rollback_config", "force", "dry_run", "bake_s"),
)
LAMBDA_TIMEOUT_S = 330
POLL_S = 5
# Half an hour: a SageMaker endpoint takes five to ten minutes.
POLLS = 360
FAILED_STATES = ("Failed", "UpdateRollbackFailed")
BUSY_STATES = ("Creating", "Updating", "SystemUpdating", "RollingBack")

EXECUTION = {"execution.$": "$$.Execution.Id"}

TRANSIENT = retry(*LAMBDA_TRANSIENT, first_s=2, attempts=6, longest_s=30)
ACCIDENTS = retry(*LAMBDA_ACCIDENTS, first_s=1, attempts=2)

STARTED = "States.StringSplit($$.Execution.StartTime, '-T:.Z+')"
NAME = (
    "States.Format('vehicles-${Stage}-{}{}{}-{}{}{}-{}', "
    + ", ".join(f"States.ArrayGetItem({STARTED}, {part})" for part in range(6))
    # Two may start in one second: the second right after the first was stopped.
    + ", States.ArrayGetItem(States.StringSplit(States.UUID(), '-'), 1))"
)


def build() -> Any:
    """The SDK graph of retrain-model."""
    name_it = Pass(
        "NameTheModel",
        comment="One name for the job, the model and the endpoint configuration.",
        parameters={"request.$": "$", "run": {"name.$": NAME}, "looks": {"count": 0}},
    )
    build_dataset = _lambda(
        "BuildDataset",
        "Take the lock, see who is champion, and freeze labels and base data into a snapshot.",
        "${BuildDatasetFunctionArn}",
        {"request.$": "$.request", "run.$": "$.run"},
        "$.prepared",
        PREPARED,
        retries=[TRANSIENT, ACCIDENTS, retry("EndpointBusy", first_s=15, attempts=20)],
    )
    enough = Choice(
        "EnoughToLearn?", comment="A person who asks always gets a training; a schedule may find nothing new."
    )
    nothing_new = _because(
        "NothingNew", "Too few new labels since the champion.", "$.prepared.reason", "$.prepared.words"
    )
    train = sagemaker.train("Train", "Script mode: our training code on base data and labels.")
    evaluate = sagemaker.evaluate(
        "Evaluate", "Champion and challenger on the same frozen holdout and the reviewed photos."
    )
    judge = _lambda(
        "JudgeChallenger",
        "The gate: a written rule, its numbers in a file, its verdict in words.",
        "${JudgeChallengerFunctionArn}",
        {
            "run.$": "$.run",
            "prepared.$": "$.prepared",
            "evaluation.$": "States.Format('s3://${MlBucket}/retraining/{}/evaluation.json', $.run.name)",
        },
        "$.judged",
        ("promote", "reason", "words", "checks", "challenger", "champion", "threshold", "evaluation"),
    )
    better = Choice("Better?", comment="Only what is better goes on.")
    not_better = _because("NotBetter", "The champion stays.", "$.judged.reason", "$.judged.words")
    create_model = sagemaker.create_model("CreateModel", "The artifact and the container that serves it.")
    configure = sagemaker.configure_endpoint(
        "ConfigureEndpoint", f"One instance, {sagemaker.CAPTURE_PERCENT}% of requests and answers captured."
    )
    find = sagemaker.describe_endpoint("FindEndpoint", "Is there an endpoint to update?")
    usable = Choice("EndpointUsable?", comment="A failed endpoint cannot be updated, only replaced.")
    update = sagemaker.put_endpoint(
        "UpdateEndpoint",
        "Blue/green: the champion answers until the challenger is healthy.",
        config="$.run.name",
        update=True,
    )
    replace = sagemaker.delete_endpoint("ReplaceEndpoint", "It answers nobody as it is.")
    create = sagemaker.put_endpoint(
        "CreateEndpoint", "The first model of this stage.", config="$.run.name", update=False, patient=True
    )
    wait = Wait("WaitForEndpoint", comment="Endpoints have no .sync integration, so poll.", seconds=POLL_S)
    look = sagemaker.describe_endpoint("LookAtEndpoint", "Which configuration serves, and how is it?")
    count = _count("CountLooks")
    in_service = Choice(
        "InService?", comment="With the new configuration; after SageMaker's own rollback it is the old."
    )
    never = _because(
        "NeverInService",
        "SageMaker rolled back, gave up, or took half an hour.",
        "EndpointNotInService",
        "States.Format('Endpoint ${EndpointName} is {} with configuration {}.', $.endpoint.status, $.endpoint.config)",
    )
    probe = _probe(
        "ProbeEndpoint", "Golden photos through the front door: right answers, the right model version, in time."
    )
    bake = Wait("Bake", comment="The first minutes with real photos.", seconds_path="$.prepared.bake_s")
    probe_again = _probe("ProbeAgain", "Still right, and no alarm has gone off.", since={"since.$": "$.probed.began"})
    promote = _conclude("Promote", "promoted", "Write down the new champion, and let the next retraining in.")
    announce_promotion = _announce("AnnouncePromotion", "`Model Promoted`: this model answers from now on.")
    promoted = Succeed("Promoted", comment="The challenger is the champion.", output_path="$.concluded.output")

    go_back = Choice("GoBack?", comment="The endpoint was touched: is there a champion, and does it serve already?")
    roll_back = sagemaker.put_endpoint(
        "RollBack",
        "Back to the champion's configuration.",
        config="$.prepared.rollback_config",
        update=True,
        patient=True,
    )
    clear = sagemaker.delete_endpoint("ClearEndpoint", "A failed endpoint can only be deleted.")
    recreate = sagemaker.put_endpoint(
        "RecreateEndpoint",
        "The champion again, on a new endpoint.",
        config="$.prepared.rollback_config",
        update=False,
        patient=True,
    )
    wait_back = Wait("WaitForRollBack", comment="Not over before the champion answers again.", seconds=POLL_S)
    look_back = sagemaker.describe_endpoint("LookAtRollBack", "Does the champion serve?", result_path="$.rollback")
    count_back = _count("CountRollBackLooks")
    rolled_back = Choice("RolledBack?", comment="Another half hour at most.")
    drop = sagemaker.delete_endpoint("DropEndpoint", "No champion yet: an endpoint that fails is worse than none.")
    reject = _conclude("Reject", "rejected", "Write down why, and let the next retraining in.")
    reject_plainly = Pass(
        "RejectPlainly",
        comment="Not even that could be written down; the lock expires by itself.",
        parameters={
            "failed": True,
            "error.$": "$.error.Error",
            "cause.$": "$.error.Cause",
            "event": {
                "model_version.$": "$.run.name",
                "champion": None,
                "reason.$": "$.error.Error",
                "verdict": "The retraining broke, and so did recording it; see the execution.",
                "rejected_at.$": "$$.State.EnteredTime",
                **EXECUTION,
            },
        },
        result_path="$.concluded",
    )
    announce_rejection = _announce("AnnounceRejection", "`Model Rejected`: the champion stays, and why.")
    how = Choice("HowDidItEnd?", comment="To lose is an outcome; to break is a failure, and rings the alarm.")
    rejected = Succeed("Rejected", comment="The champion stays.", output_path="$.concluded.output")
    failed = Fail(
        "Failed",
        comment="The champion stays, and a person should look.",
        asl={"ErrorPath": "$.concluded.error", "CausePath": "$.concluded.cause"},
    )

    # The picture. First the way of a better model, from top to bottom:
    Chain([name_it, build_dataset, enough])
    enough.add_choice(ChoiceRule.BooleanEquals("$.prepared.proceed", True), train)
    Chain([train, evaluate, judge, better])
    better.add_choice(ChoiceRule.BooleanEquals("$.judged.promote", True), create_model)
    Chain([create_model, configure, find, usable])
    usable.add_choice(_failed("$.endpoint"), replace)
    usable.default_choice(update)
    Chain([update, wait])
    Chain([create, wait, look, count, in_service])
    in_service.add_choice(_serves("$.endpoint", "$.run.name"), probe)
    in_service.add_choice(_still_busy("$.endpoint", POLLS), wait)
    Chain([probe, bake, probe_again, promote, announce_promotion, promoted])

    # Ways around: no endpoint yet, or one that failed.
    Chain([replace, create])
    on_error(find, ["SageMaker.SageMakerException"], create)

    # The champion stays, for a reason:
    enough.default_choice(nothing_new)
    better.default_choice(not_better)
    Chain([nothing_new, reject])
    Chain([not_better, reject])
    for step in (build_dataset, train, evaluate, judge, create_model, configure, find, replace, update, create):
        on_error(step, ["States.ALL"], reject)

    # Back, once the endpoint has been touched:
    in_service.default_choice(never)
    Chain([never, go_back])
    for step in (look, probe, probe_again, promote):
        on_error(step, ["States.ALL"], go_back)
    go_back.add_choice(ChoiceRule.StringEquals("$.prepared.rollback_config", ""), drop)
    go_back.add_choice(_serves("$.endpoint", "$.prepared.rollback_config"), reject)
    go_back.add_choice(_failed("$.endpoint"), clear)
    go_back.default_choice(roll_back)
    Chain([clear, recreate, wait_back])
    Chain([roll_back, wait_back, look_back, count_back, rolled_back])
    rolled_back.add_choice(_serves("$.rollback", "$.prepared.rollback_config"), reject)
    rolled_back.add_choice(_still_busy("$.rollback", 2 * POLLS), wait_back)
    rolled_back.default_choice(reject)
    Chain([drop, reject])
    for step in (roll_back, clear, recreate, look_back, drop):
        step.add_catch(_keeping_the_first_error(reject))

    # However it was rejected, somebody is told:
    Chain([reject, announce_rejection, how])
    how.add_choice(ChoiceRule.BooleanEquals("$.concluded.failed", True), failed)
    how.default_choice(rejected)
    reject.add_catch(_keeping_the_first_error(reject_plainly))
    Chain([reject_plainly, announce_rejection])

    return Graph(name_it, comment="Labels become a better model, or the champion stays.")


def _lambda(
    name: str,
    comment: str,
    arn: str,
    payload: dict[str, Any],
    result_path: str,
    answer: tuple[str, ...],
    retries: list[Any] | None = None,
) -> Any:
    """A Lambda state; the fields of its answer that are named in `answer` are what the workflow keeps."""
    return LambdaStep(
        name,
        comment=comment,
        parameters=call(arn, {**payload, **EXECUTION}),
        asl={"ResultSelector": {f"{field}.$": f"$.Payload.{field}" for field in answer}},
        result_path=result_path,
        timeout_seconds=LAMBDA_TIMEOUT_S,
        retry=retries or [TRANSIENT, ACCIDENTS],
    )


def _probe(name: str, comment: str, since: dict[str, Any] | None = None) -> Any:
    # A model server may need a moment after its endpoint is in service; a wrong answer is wrong at once.
    slow = retry("ModelUnavailable", first_s=2, attempts=4, longest_s=15)
    return _lambda(
        name,
        comment,
        "${ProbeEndpointFunctionArn}",
        {"run.$": "$.run", "golden.$": "$.prepared.golden", **(since or {})},
        "$.probed",
        ("photos", "right", "latency_ms", "began"),
        [TRANSIENT, slow, ACCIDENTS],
    )


def _conclude(name: str, outcome: str, comment: str) -> Any:
    payload = {"outcome": outcome, "state.$": "$"}
    # It writes conditionally and may run again, so anything is worth another try.
    retries = [TRANSIENT, retry("States.ALL", first_s=2, attempts=3)]
    answer = ("event", "output", "failed", "error", "cause")
    return _lambda(name, comment, "${ConcludeRetrainingFunctionArn}", payload, "$.concluded", answer, retries)


def _announce(name: str, comment: str) -> Any:
    detail_type = "Model Promoted" if name == "AnnouncePromotion" else "Model Rejected"
    return EventBridgePutEventsStep(
        name,
        comment=comment,
        parameters={
            "Entries": [
                {
                    "EventBusName": "${EventBus}",
                    "Source": "scones.vehicles",
                    "DetailType": detail_type,
                    "Detail.$": "$.concluded.event",
                }
            ]
        },
        result_path="$.announced",
        timeout_seconds=sagemaker.API_TIMEOUT_S,
        retry=[retry(*ANY_FAILURE, first_s=2, attempts=6)],
    )


def _because(name: str, comment: str, error: str, cause: str) -> Any:
    """A reason that is no error of a state, put where errors are."""
    reason: dict[str, Any] = {}
    for key, value in (("Error", error), ("Cause", cause)):
        is_path = value.startswith(("$.", "States."))
        reason[f"{key}.$" if is_path else key] = value
    return Pass(name, comment=comment, parameters=reason, result_path="$.error")


def _count(name: str) -> Any:
    return Pass(
        name,
        comment="So that waiting has an end.",
        parameters={"count.$": "States.MathAdd($.looks.count, 1)"},
        result_path="$.looks",
    )


def _serves(endpoint: str, config: str) -> Any:
    """Rule: the endpoint last seen is in service with the configuration at the path `config`."""
    return ChoiceRule.And(
        [
            ChoiceRule.IsPresent(f"{endpoint}.status", True),
            ChoiceRule.StringEquals(f"{endpoint}.status", "InService"),
            ChoiceRule.StringEqualsPath(f"{endpoint}.config", config),
        ]
    )


def _failed(endpoint: str) -> Any:
    """Rule: the endpoint last seen can only be deleted."""
    return ChoiceRule.And(
        [
            ChoiceRule.IsPresent(f"{endpoint}.status", True),
            ChoiceRule.Or([ChoiceRule.StringEquals(f"{endpoint}.status", status) for status in FAILED_STATES]),
        ]
    )


def _still_busy(endpoint: str, looks: int) -> Any:
    """Rule: the endpoint last seen is on its way, and we have not looked too often."""
    busy = ChoiceRule.Or([ChoiceRule.StringEquals(f"{endpoint}.status", status) for status in BUSY_STATES])
    return ChoiceRule.And([busy, ChoiceRule.NumericLessThan("$.looks.count", looks)])


def _keeping_the_first_error(then: Any) -> Any:
    """While going back, `$.error` stays what went wrong first."""
    return Catch(error_equals=["States.ALL"], next_step=then, result_path="$.while_going_back")
