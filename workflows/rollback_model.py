"""rollback-model: puts an earlier model back into service and marks the model that it replaces.

Input, every key optional: `{"to": "<model version>", "reason": "<text>", "trigger": "manual" | "alarm"}`. `to` defaults
to the most recent predecessor of the champion that was not rolled back itself. The rule on alarms adds `alarm`, the
name of the alarm, and `alarmed_at`.

Output: `{"outcome": "rolled back" | "ignored" | "refused", "champion", "verdict", …}`. `ignored`: the alarm does not
concern the champion. `refused`: the rollback cannot begin, because a retraining is running or there is no such model.
Neither changes anything. The execution fails when the earlier model does not reach InService or fails its
probe; the champion is restored first.

Fields of the execution's data: `request`, the input, and the results of the states: `prepared`, `endpoint`, `probed`,
`error`, `restored`, `recorded`.
"""

from typing import Any

from workflows import endpoint_states as endpoint
from workflows.sdk import Chain, Choice, ChoiceRule, Fail, Graph, Pass, Succeed
from workflows.tasks import invoke_lambda, on_error, probe_endpoint, publish_event, record_outcome

# The fields of the results of PrepareRollback and RecordRollback.
PREPARED = (
    *("outcome", "reason", "words", "request", "champion", "target", "skipped", "config", "restore_config"),
    *("model_version", "golden", "output"),
)
RECORDED = ("event", "output", "error", "cause")

# The polls of the endpoint, and two updates that are repeated while it changes, take two and a half hours at most.
TIMEOUT_S = 3 * 3600


def build() -> Any:
    """Return the SDK graph of rollback-model."""
    read_request = Pass(
        "ReadRequest",
        comment="Wrap the input, and start the count of polls.",
        parameters={"request.$": "$", "polls": {"count": 0}},
    )
    prepare_rollback = invoke_lambda(
        "PrepareRollback",
        "Acquire the lock, look up the champion, and find the model to restore.",
        function="PrepareRollback",
        payload={"request.$": "$.request"},
        result_path="$.prepared",
        fields=PREPARED,
    )
    rollback_ready = Choice("RollbackReady?", comment="Branch on the outcome: ready, ignored or refused.")
    ignore_alarm = Succeed(
        "IgnoreAlarm", comment="The alarm does not concern the champion.", output_path="$.prepared.output"
    )
    refuse_rollback = Succeed(
        "RefuseRollback", comment="Nothing was changed; the output has the reason.", output_path="$.prepared.output"
    )
    probe = probe_endpoint(
        "ProbeEndpoint",
        "Smoke-test the endpoint with golden photos: predictions, model version and latency.",
        model_version="$.prepared.model_version",
    )
    record_rollback = _record(
        "RecordRollback", "Record the earlier model as champion and mark the one it replaces.", "rolled back"
    )
    announce_rollback = publish_event(
        "AnnounceRollback", "Publish `Model Rolled Back`.", detail_type="Model Rolled Back"
    )
    return_rollback = Succeed(
        "ReturnRollback", comment="The earlier model is the new champion.", output_path="$.recorded.output"
    )
    record_failure = _record("RecordFailure", "Release the lock and describe what the endpoint serves.", "failed")
    fail_without_record = Pass(
        "FailWithoutRecord",
        comment="Recording the failure failed too. The next execution takes over the lock.",
        parameters={"error.$": "$.error.Error", "cause.$": "$.error.Cause"},
        result_path="$.recorded",
    )
    fail_execution = Fail(
        "FailExecution",
        comment="The champion is unchanged. An alarm notifies an operator.",
        asl={"ErrorPath": "$.recorded.error", "CausePath": "$.recorded.cause"},
    )
    scale = endpoint.ensure_scaling(then=record_failure)
    restore = endpoint.restore("$.prepared.restore_config", then=scale)
    deploy = endpoint.deploy(
        "$.prepared.config",
        then=probe,
        on_unchanged=record_failure,
        on_unscaled=scale,
        on_changed=restore,
        retry_while_changing=True,
    )

    # A rollback that succeeds, or does not begin:
    Chain([read_request, prepare_rollback, rollback_ready])
    rollback_ready.add_choice(ChoiceRule.StringEquals("$.prepared.outcome", "ready"), deploy)
    rollback_ready.add_choice(ChoiceRule.StringEquals("$.prepared.outcome", "ignored"), ignore_alarm)
    rollback_ready.default_choice(refuse_rollback)
    Chain([probe, record_rollback, announce_rollback, return_rollback])

    # An error; after the endpoint was changed, the champion is restored first:
    on_error(prepare_rollback, ["States.ALL"], record_failure)
    for step in (probe, record_rollback):
        on_error(step, ["States.ALL"], restore)
    Chain([record_failure, fail_execution])
    record_failure.add_catch(endpoint.catch_later_error(fail_without_record))
    Chain([fail_without_record, fail_execution])

    return Graph(
        read_request,
        comment="Puts an earlier model back into service and marks the model that it replaces.",
        timeout_seconds=TIMEOUT_S,
    )


def _record(name: str, comment: str, outcome: str) -> Any:
    return record_outcome(name, comment, function="RecordRollback", outcome=outcome, fields=RECORDED)
