"""retrain-model: labels become a better model, or the champion stays; nobody has to watch.

Input, every key optional: `{"trigger": "manual" | "schedule" | "labels" | "drift", "force": false, "dry_run": false,
"classes": ["bicycle", …], "dataset": "s3://…/", "source": "s3://…/sourcedir.tar.gz", "hyperparameters": {…},
"golden": "s3://…/"}`; data, code and hyperparameters that are left out are those of the last promotion.
`{"initial_model": "s3://…/model.tar.gz", "golden": "s3://…/"}` instead puts a model that exists into service, in a
stage that has no champion: it is neither trained nor compared. `golden`, optional, is a prefix of photos to probe with.
The output says what became of it: `{"outcome": "promoted" | "rejected", "model_version", "reason", "verdict", "checks",
…}`. A challenger that lost, nothing new to learn, or another retraining under way are outcomes; an execution fails only
when something broke, and every ending but a promotion is announced as `Model Rejected`.

What the execution carries: `request` and `run` (the name), then one slot per state that has something to say:
`prepared`, `trained`, `judged`, `endpoint`, `error`, `restored`, `concluded`.
"""

from typing import Any

from workflows import endpoint_states as endpoint
from workflows import sagemaker_steps as sagemaker
from workflows.sdk import Chain, Choice, ChoiceRule, Fail, Graph, Pass, Succeed, Wait
from workflows.tasks import (
    EXECUTION,
    accidents,
    announce,
    because,
    conclude,
    function,
    on_error,
    probe,
    retry,
    transient,
)

# What BuildDataset finds and decides.
PREPARED = (
    *("proceed", "reason", "words", "dataset", "source", "hyperparameters", "drawn", "training_input"),
    *("snapshot", "labelled", "features", "labels", "new_labels"),
    *("champion", "baseline", "rollback_config", "force", "dry_run", "bake_s"),
    *("initial", "model_version", "golden"),
)
CONCLUDED = ("event", "output", "failed", "error", "cause")

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
    build_dataset = function(
        "BuildDataset",
        "Take the lock, see who is champion, and freeze labels and base data into a snapshot.",
        "${BuildDatasetFunctionArn}",
        {"request.$": "$.request", "run.$": "$.run"},
        "$.prepared",
        PREPARED,
        retries=[transient(), accidents(), retry("EndpointBusy", first_s=15, attempts=20)],
    )
    initial = Choice("InitialModel?", comment="A model that exists already needs neither data nor a training.")
    use_initial = Pass(
        "UseInitialModel",
        comment="The artifact takes the place of a training's.",
        parameters={"job": None, "artifact.$": "$.prepared.initial.artifact"},
        result_path="$.trained",
    )
    enough = Choice(
        "EnoughToLearn?", comment="A person who asks always gets a training; a schedule may find nothing new."
    )
    no_training = because(
        "NoTraining",
        "Too few new labels, or an initial model for a stage that has a champion.",
        "$.prepared.reason",
        "$.prepared.words",
    )
    train = sagemaker.train("Train", "Script mode: our training code on base data and labels.")
    evaluate = sagemaker.evaluate(
        "Evaluate", "Champion and challenger on the same frozen holdout and the reviewed photos."
    )
    judge = function(
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
    not_better = because("NotBetter", "The champion stays.", "$.judged.reason", "$.judged.words")
    create_model = sagemaker.create_model("CreateModel", "The artifact and the container that serves it.")
    configure = sagemaker.configure_endpoint(
        "ConfigureEndpoint", f"One instance, {sagemaker.CAPTURE_PERCENT}% of requests and answers captured."
    )
    probe_endpoint = probe(
        "ProbeEndpoint",
        "Golden photos through the front door: right answers, the right model version, in time.",
        "$.prepared.model_version",
    )
    bake = Wait("Bake", comment="The first minutes with real photos.", seconds_path="$.prepared.bake_s")
    probe_again = probe(
        "ProbeAgain",
        "Still right, and no alarm has gone off.",
        "$.prepared.model_version",
        since={"since.$": "$.probed.began"},
    )
    promote = _conclude("Promote", "promoted", "Write down the new champion, and let the next retraining in.")
    announce_promotion = announce(
        "AnnouncePromotion", "`Model Promoted`: this model answers from now on.", "Model Promoted"
    )
    promoted = Succeed("Promoted", comment="The challenger is the champion.", output_path="$.concluded.output")

    champion_before = Choice("ChampionBefore?", comment="The endpoint was changed: is there a champion to restore?")
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
    announce_rejection = announce(
        "AnnounceRejection", "`Model Rejected`: the champion stays, and why.", "Model Rejected"
    )
    how = Choice("HowDidItEnd?", comment="To lose is an outcome; to break is a failure, and rings the alarm.")
    rejected = Succeed("Rejected", comment="The champion stays.", output_path="$.concluded.output")
    failed = Fail(
        "Failed",
        comment="The champion stays, and a person should look.",
        asl={"ErrorPath": "$.concluded.error", "CausePath": "$.concluded.cause"},
    )

    serve = endpoint.serve("$.run.name", then=probe_endpoint, unchanged=reject, changed=champion_before)
    restore = endpoint.restore("$.prepared.rollback_config", then=reject)

    # The picture. First the way of a better model, from top to bottom:
    Chain([name_it, build_dataset, initial])
    initial.default_choice(enough)
    enough.add_choice(ChoiceRule.BooleanEquals("$.prepared.proceed", True), train)
    Chain([train, evaluate, judge, better])
    better.add_choice(ChoiceRule.BooleanEquals("$.judged.promote", True), create_model)
    Chain([create_model, configure, serve])
    Chain([probe_endpoint, bake, probe_again, promote, announce_promotion, promoted])

    # The way of an initial model joins it where there is a model:
    initial.add_choice(ChoiceRule.IsNull("$.prepared.initial", False), use_initial)
    Chain([use_initial, create_model])

    # The champion stays, for a reason:
    enough.default_choice(no_training)
    better.default_choice(not_better)
    Chain([no_training, reject])
    Chain([not_better, reject])
    for step in (build_dataset, train, evaluate, judge, create_model, configure):
        on_error(step, ["States.ALL"], reject)

    # Back, once the endpoint has been changed:
    for step in (probe_endpoint, probe_again, promote):
        on_error(step, ["States.ALL"], champion_before)
    champion_before.add_choice(ChoiceRule.StringEquals("$.prepared.rollback_config", ""), drop)
    champion_before.default_choice(restore)
    Chain([drop, reject])
    drop.add_catch(endpoint.keeping_the_first_error(reject))

    # However it was rejected, somebody is told:
    Chain([reject, announce_rejection, how])
    how.add_choice(ChoiceRule.BooleanEquals("$.concluded.failed", True), failed)
    how.default_choice(rejected)
    reject.add_catch(endpoint.keeping_the_first_error(reject_plainly))
    Chain([reject_plainly, announce_rejection])

    return Graph(name_it, comment="Labels become a better model, or the champion stays.")


def _conclude(name: str, outcome: str, comment: str) -> Any:
    return conclude(name, comment, "${RecordRetrainingFunctionArn}", outcome, CONCLUDED)
