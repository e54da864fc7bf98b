"""rollback-model: an earlier model serves again, and the model that it replaces is marked.

Input, every key optional: `{"to": "<model version>", "reason": "<text>", "trigger": "manual" | "alarm"}`. Without `to`
the champion's most recent predecessor that was not rolled back itself. The rule on alarms adds `alarm`, its name, and
`alarmed_at`.
The output says what became of it: `{"outcome": "rolled back" | "ignored" | "refused", "champion", "verdict", …}`.
Ignored is an alarm that has nothing to do with the champion; refused is a rollback that cannot begin, because a
retraining is under way or there is no such model. Neither changes anything. An execution fails when the earlier model
did not get into service or did not pass its probe; then the champion it began with is restored.

What the execution carries: `request`, then one slot per state that has something to say: `prepared`, `endpoint`,
`probed`, `error`, `restored`, `concluded`.
"""

from typing import Any

from workflows import endpoint_states as endpoint
from workflows.sdk import Chain, Choice, ChoiceRule, Fail, Graph, Pass, Succeed
from workflows.tasks import announce, conclude, function, on_error, probe

# What PrepareRollback finds and decides.
PREPARED = (
    *("outcome", "reason", "words", "request", "champion", "target", "skipped", "config", "restore_config"),
    *("model_version", "golden", "output"),
)
CONCLUDED = ("event", "output", "error", "cause")


def build() -> Any:
    """The SDK graph of rollback-model."""
    read_request = Pass(
        "ReadRequest",
        comment="The input, and a counter for waiting.",
        parameters={"request.$": "$", "looks": {"count": 0}},
    )
    prepare = function(
        "PrepareRollback",
        "Take the lock, see who is champion, and find the model to restore.",
        "${PrepareRollbackFunctionArn}",
        {"request.$": "$.request"},
        "$.prepared",
        PREPARED,
    )
    begins = Choice("Begins?", comment="An alarm may have another cause than the model; a retraining may be under way.")
    ignored = Succeed("Ignored", comment="The alarm rolls nothing back.", output_path="$.prepared.output")
    refused = Succeed("Refused", comment="Nothing was changed, and why.", output_path="$.prepared.output")
    probe_endpoint = probe(
        "ProbeEndpoint",
        "Golden photos through the front door: right answers, the right model version, in time.",
        "$.prepared.model_version",
    )
    record = _conclude("RecordRollback", "rolled back", "Who is champion again, and the mark of the model before.")
    announce_rollback = announce(
        "AnnounceRollback", "`Model Rolled Back`: this model answers again.", "Model Rolled Back"
    )
    rolled_back = Succeed("RolledBack", comment="The earlier model is champion.", output_path="$.concluded.output")
    record_failure = _conclude("RecordFailure", "failed", "Release the lock, and say what the endpoint serves.")
    fail_without_record = Pass(
        "FailWithoutRecord",
        comment="Not even that worked; the next execution takes the lock over.",
        parameters={"error.$": "$.error.Error", "cause.$": "$.error.Cause"},
        result_path="$.concluded",
    )
    failed = Fail(
        "Failed",
        comment="The champion stays, and a person should look.",
        asl={"ErrorPath": "$.concluded.error", "CausePath": "$.concluded.cause"},
    )
    restore = endpoint.restore("$.prepared.restore_config", then=record_failure)
    serve = endpoint.serve(
        "$.prepared.config", then=probe_endpoint, unchanged=record_failure, changed=restore, patient=True
    )

    # From top to bottom:
    Chain([read_request, prepare, begins])
    begins.add_choice(ChoiceRule.StringEquals("$.prepared.outcome", "ready"), serve)
    begins.add_choice(ChoiceRule.StringEquals("$.prepared.outcome", "ignored"), ignored)
    begins.default_choice(refused)
    Chain([probe_endpoint, record, announce_rollback, rolled_back])

    # A failure restores the champion once the endpoint has been changed:
    on_error(prepare, ["States.ALL"], record_failure)
    for step in (probe_endpoint, record):
        on_error(step, ["States.ALL"], restore)
    Chain([record_failure, failed])
    record_failure.add_catch(endpoint.keeping_the_first_error(fail_without_record))
    Chain([fail_without_record, failed])

    return Graph(read_request, comment="An earlier model serves again, and the model it replaces is marked.")


def _conclude(name: str, outcome: str, comment: str) -> Any:
    return conclude(name, comment, "${RecordRollbackFunctionArn}", outcome, CONCLUDED)
