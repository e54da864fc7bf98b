"""retrain-model: trains a challenger on the labels and promotes it if it is better than the champion.

Input, every key optional: `{"trigger": "manual" | "schedule" | "labels" | "drift", "force": false, "dry_run": false,
"classes": ["bicycle", …], "dataset": "s3://…/", "image": "…@sha256:…", "hyperparameters": {…}, "golden": "s3://…/"}`.
Data, image and hyperparameters default to those of the last promotion. The image trains, compares and serves.
`{"initial_model": "s3://…/model.tar.gz", "golden": "s3://…/"}` instead puts an existing model into service, without
training or comparison, in a stage without a champion. `golden` is the prefix of the photos for the probe.
With `"candidate": "s3://…/model.tar.gz"`, that model is compared and promoted in place of one that is trained.
`{"trigger": "repair"}` trains nothing: the endpoint is made to serve the champion, which every retraining does first.

Output: `{"outcome": "promoted" | "rejected", "model_version", "reason", "verdict", "checks", …}`. The execution also
succeeds when the challenger is not better, when there are too few new labels or when another retraining is running; it
fails only on an error. Every outcome except a promotion is published as `Model Rejected`.

Fields of the execution's data: `request`, the input; `run.name`, the name of this retraining; and the results of the
states: `prepared`, `trained`, `evaluated`, `judged`, `endpoint`, `error`, `restored`, `recorded`.
"""

from typing import Any

from workflows import endpoint_states as endpoint
from workflows import sagemaker_steps as sagemaker
from workflows.sdk import Chain, Choice, ChoiceRule, Fail, Graph, Pass, Succeed, Wait
from workflows.tasks import (
    EXECUTION,
    invoke_lambda,
    on_error,
    probe_endpoint,
    publish_event,
    record_outcome,
    retry,
    retry_crashes,
    retry_transient,
    set_error,
)

# The fields of the results of BuildDataset, JudgeChallenger and RecordRetraining.
PREPARED = (
    *("proceed", "reason", "words", "dataset", "image", "hyperparameters", "drawn", "training_input"),
    *("snapshot", "labelled", "features", "labels", "new_labels", "skipped_labels", "disagreeing_reviewers"),
    *("champion", "baseline", "reference", "rollback_config", "force", "dry_run", "bake_s"),
    *("rollout", "initial", "candidate", "model_version", "golden"),
)
JUDGED = (
    *("promote", "reason", "words", "checks", "challenger", "champion", "reference", "new_reference"),
    *("threshold", "evaluation"),
)
RECORDED = ("event", "output", "failed", "error", "cause")

# Two jobs of 75 minutes, the polls of the endpoint, and a bake take a little over five hours at most, and the functions
# with their retries minutes. The lock is held as long (functions/shared/champion.py), so that no execution changes the
# endpoint after another one took over its lock.
TIMEOUT_S = 6 * 3600

STARTED = "States.StringSplit($$.Execution.StartTime, '-T:.Z+')"
NAME = (
    "States.Format('vehicles-${Stage}-{}{}{}-{}{}{}-{}', "
    + ", ".join(f"States.ArrayGetItem({STARTED}, {part})" for part in range(6))
    # A random part, because two executions can start in the same second.
    + ", States.ArrayGetItem(States.StringSplit(States.UUID(), '-'), 1))"
)


def build() -> Any:
    """Return the SDK graph of retrain-model."""
    name_model = Pass(
        "NameModel",
        comment="One name for the training job, the model and the endpoint configuration.",
        parameters={"request.$": "$", "run": {"name.$": NAME}, "polls": {"count": 0}},
    )
    build_dataset = invoke_lambda(
        "BuildDataset",
        "Acquire the lock, look up the champion, and write a snapshot of labels and base data.",
        function="BuildDataset",
        payload={"request.$": "$.request", "run.$": "$.run"},
        result_path="$.prepared",
        fields=PREPARED,
        retries=[retry_transient(), retry_crashes(), retry("EndpointBusy", interval_s=15, max_attempts=20)],
    )
    initial_model = Choice("InitialModel?", comment="An initial model is deployed without data and training.")
    use_initial_model = Pass(
        "UseInitialModel",
        comment="Use the artifact of the initial model as that of a training job.",
        parameters={"job": None, "artifact.$": "$.prepared.initial.artifact"},
        result_path="$.trained",
    )
    training_needed = Choice(
        "TrainingNeeded?", comment="A manual retraining always trains; an automatic one needs enough new labels."
    )
    skip_training = set_error(
        "SkipTraining",
        "Too few new labels, or an initial model for a stage that has a champion.",
        error="$.prepared.reason",
        cause="$.prepared.words",
    )
    candidate_given = Choice("CandidateGiven?", comment="A model of another stage is compared without training one.")
    use_candidate = Pass(
        "UseCandidate",
        comment="Use the artifact of the candidate as that of a training job.",
        parameters={"job": None, "artifact.$": "$.prepared.candidate.artifact"},
        result_path="$.trained",
    )
    train = sagemaker.train("Train", "A training job on base data and labels.")
    evaluate = sagemaker.evaluate(
        "Evaluate",
        "Evaluate challenger, champion and reference model on the same holdout photos; the first two on labels, too.",
    )
    judge_challenger = invoke_lambda(
        "JudgeChallenger",
        "Compare the evaluation with the limits of the gate.",
        function="JudgeChallenger",
        payload={
            "run.$": "$.run",
            "prepared.$": "$.prepared",
            "evaluation.$": "States.Format('s3://${MlBucket}/retraining/{}/evaluation.json', $.run.name)",
        },
        result_path="$.judged",
        fields=JUDGED,
    )
    better = Choice("Better?", comment="Branch on the verdict of the gate.")
    keep_champion = set_error(
        "KeepChampion", "The challenger did not pass the gate.", error="$.judged.reason", cause="$.judged.words"
    )
    create_model = sagemaker.create_model("CreateModel", "A model of the trained artifact and the image.")
    create_endpoint_config = sagemaker.create_endpoint_config(
        "CreateEndpointConfig", "Instances of the model, as few as the deployment allows."
    )
    probe = probe_endpoint(
        "ProbeEndpoint",
        "Smoke-test the endpoint with golden photos: predictions, model version and latency.",
        model_version="$.prepared.model_version",
    )
    bake = Wait(
        "Bake", comment="The baking period, in which the alarms are monitored.", seconds_path="$.prepared.bake_s"
    )
    probe_again = probe_endpoint(
        "ProbeAgain",
        "Repeat the smoke test, and check the alarms since the first one.",
        model_version="$.prepared.model_version",
        since={"since.$": "$.probed.began"},
    )
    promote = _record("Promote", "Record the new champion and release the lock.", "promoted")
    announce_promotion = publish_event("AnnouncePromotion", "Publish `Model Promoted`.", detail_type="Model Promoted")
    return_promotion = Succeed(
        "ReturnPromotion", comment="The challenger is the new champion.", output_path="$.recorded.output"
    )

    rollback_needed = Choice(
        "RollbackNeeded?", comment="The endpoint was changed: restore the champion, if the stage has one."
    )
    delete_new_endpoint = sagemaker.delete_endpoint(
        "DeleteNewEndpoint", "The stage has no champion, and its first model failed: delete the endpoint."
    )
    reject = _record("Reject", "Record the reason and release the lock.", "rejected")
    reject_without_record = Pass(
        "RejectWithoutRecord",
        comment="Recording the rejection failed too. The lock expires.",
        parameters={
            "failed": True,
            "error.$": "$.error.Error",
            "cause.$": "$.error.Cause",
            "event": {
                "model_version.$": "$.run.name",
                "champion": None,
                "reason.$": "$.error.Error",
                "verdict": "The retraining failed, and so did recording it; see the execution.",
                "rejected_at.$": "$$.State.EnteredTime",
                **EXECUTION,
            },
        },
        result_path="$.recorded",
    )
    announce_rejection = publish_event("AnnounceRejection", "Publish `Model Rejected`.", detail_type="Model Rejected")
    retraining_failed = Choice(
        "RetrainingFailed?", comment="A rejected challenger ends the execution successfully; an error fails it."
    )
    return_rejection = Succeed("ReturnRejection", comment="The champion is unchanged.", output_path="$.recorded.output")
    fail_execution = Fail(
        "FailExecution",
        comment="The champion is unchanged. An alarm notifies an operator.",
        asl={"ErrorPath": "$.recorded.error", "CausePath": "$.recorded.cause"},
    )

    scale = endpoint.ensure_scaling(then=reject)
    deploy = endpoint.deploy(
        "$.run.name",
        rollout="$.prepared.rollout",
        then=probe,
        on_unchanged=reject,
        on_unscaled=scale,
        on_changed=rollback_needed,
    )
    restore = endpoint.restore("$.prepared.rollback_config", then=scale)

    # A challenger that is promoted:
    Chain([name_model, build_dataset, initial_model])
    initial_model.default_choice(training_needed)
    training_needed.add_choice(ChoiceRule.BooleanEquals("$.prepared.proceed", True), candidate_given)
    candidate_given.add_choice(ChoiceRule.IsNull("$.prepared.candidate", False), use_candidate)
    candidate_given.default_choice(train)
    Chain([use_candidate, evaluate])
    Chain([train, evaluate, judge_challenger, better])
    better.add_choice(ChoiceRule.BooleanEquals("$.judged.promote", True), create_model)
    Chain([create_model, create_endpoint_config, deploy])
    Chain([probe, bake, probe_again, promote, announce_promotion, return_promotion])

    # An initial model:
    initial_model.add_choice(ChoiceRule.IsNull("$.prepared.initial", False), use_initial_model)
    Chain([use_initial_model, create_model])

    # Before the endpoint is changed, a rejection only needs to be recorded; the champion is scaled, if it was not:
    training_needed.default_choice(skip_training)
    better.default_choice(keep_champion)
    Chain([skip_training, scale])
    Chain([keep_champion, scale])
    for step in (build_dataset, train, evaluate, judge_challenger, create_model, create_endpoint_config):
        on_error(step, ["States.ALL"], reject)

    # After that, the endpoint is restored first:
    for step in (probe, probe_again, promote):
        on_error(step, ["States.ALL"], rollback_needed)
    rollback_needed.add_choice(ChoiceRule.StringEquals("$.prepared.rollback_config", ""), delete_new_endpoint)
    rollback_needed.default_choice(restore)
    Chain([delete_new_endpoint, reject])
    delete_new_endpoint.add_catch(endpoint.catch_later_error(reject))

    # Every rejection is published:
    Chain([reject, announce_rejection, retraining_failed])
    retraining_failed.add_choice(ChoiceRule.BooleanEquals("$.recorded.failed", True), fail_execution)
    retraining_failed.default_choice(return_rejection)
    reject.add_catch(endpoint.catch_later_error(reject_without_record))
    Chain([reject_without_record, announce_rejection])

    return Graph(
        name_model,
        comment="Trains a challenger on the labels and promotes it if it is better than the champion.",
        timeout_seconds=TIMEOUT_S,
    )


def _record(name: str, comment: str, outcome: str) -> Any:
    return record_outcome(name, comment, function="RecordRetraining", outcome=outcome, fields=RECORDED)
