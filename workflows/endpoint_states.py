"""The states that put a configuration on the endpoint, shared by retrain-model and rollback-model.

`serve` puts a new configuration into service, `restore` puts back the one of the champion when that failed. Both wait
until the endpoint changes no more. They share the counter `$.looks`, which the workflow starts with `{"count": 0}`.
"""

from typing import Any

from workflows import sagemaker_steps as sagemaker
from workflows.sdk import Catch, Chain, Choice, ChoiceRule, Pass, Wait
from workflows.tasks import because, on_error

POLL_S = 5
# Half an hour: a SageMaker endpoint takes five to ten minutes.
POLLS = 360
FAILED_STATES = ("Failed", "UpdateRollbackFailed")
BUSY_STATES = ("Creating", "Updating", "SystemUpdating", "RollingBack")
# The AWS SDK integration's name for the ValidationException "Could not find endpoint".
NOT_FOUND = "SageMaker.SageMakerException"


def serve(config: str, *, then: Any, unchanged: Any, changed: Any, patient: bool = False) -> Any:
    """The first of the states that put the configuration at the path `config` into service; `then` follows them.

    A missing endpoint is created, a failed one replaced. An error leads to `unchanged` while the endpoint is as it
    was, and to `changed` afterwards. `patient` waits for an endpoint that is still changing.
    """
    find = sagemaker.describe_endpoint("FindEndpoint", "Is there an endpoint to update?")
    usable = Choice("EndpointUsable?", comment="A failed endpoint cannot be updated, only replaced.")
    update = sagemaker.put_endpoint(
        "UpdateEndpoint",
        "Blue/green: the old model answers until the new one is healthy.",
        config=config,
        update=True,
        patient=patient,
    )
    replace = sagemaker.delete_endpoint("ReplaceEndpoint", "A failed endpoint answers no request.")
    create = sagemaker.put_endpoint(
        "CreateEndpoint", "A stage without an endpoint gets one.", config=config, update=False, patient=True
    )
    wait = Wait("WaitForEndpoint", comment="Endpoints have no .sync integration, so poll.", seconds=POLL_S)
    look = sagemaker.describe_endpoint("LookAtEndpoint", "Which configuration serves, and how is it?")
    count = _count("CountLooks")
    in_service = Choice(
        "InService?", comment="With the new configuration; after SageMaker's own rollback it is the old."
    )
    never = because(
        "NeverInService",
        "SageMaker rolled back, gave up, or took half an hour.",
        "EndpointNotInService",
        "States.Format('Endpoint ${EndpointName} is {} with configuration {}.', $.endpoint.status, $.endpoint.config)",
    )

    Chain([find, usable])
    usable.add_choice(_failed("$.endpoint"), replace)
    usable.default_choice(update)
    Chain([update, wait])
    Chain([replace, create, wait, look, count, in_service])
    in_service.add_choice(_serves("$.endpoint", config), then)
    in_service.add_choice(_still_busy("$.endpoint", POLLS), wait)
    in_service.default_choice(never)
    Chain([never, changed])
    on_error(find, [NOT_FOUND], create)
    for step in (find, update, replace):
        on_error(step, ["States.ALL"], unchanged)
    for step in (create, look):
        on_error(step, ["States.ALL"], changed)
    return find


def restore(config: str, *, then: Any) -> Any:
    """The first of the states that put the champion's configuration, at the path `config`, back on the endpoint.

    `then` follows, whether that succeeded or not; `$.restored` is the endpoint as it was seen last.
    """
    inspect = sagemaker.describe_endpoint(
        "InspectEndpoint", "What is on the endpoint after the failure?", result_path="$.restored"
    )
    needed = Choice("RestoreNeeded?", comment="SageMaker's own rollback may have restored the champion already.")
    update = sagemaker.put_endpoint(
        "RestoreEndpoint", "The champion's configuration again.", config=config, update=True, patient=True
    )
    delete = sagemaker.delete_endpoint("DeleteFailedEndpoint", "A failed endpoint can only be deleted.")
    create = sagemaker.put_endpoint(
        "RecreateEndpoint", "The champion again, on a new endpoint.", config=config, update=False, patient=True
    )
    wait = Wait("WaitForRestore", comment="The execution does not end before the champion answers.", seconds=POLL_S)
    look = sagemaker.describe_endpoint("LookAtRestore", "Does the champion serve?", result_path="$.restored")
    count = _count("CountRestoreLooks")
    restored = Choice("Restored?", comment="Another half hour at most.")

    Chain([inspect, needed])
    needed.add_choice(_serves("$.restored", config), then)
    needed.add_choice(_failed("$.restored"), delete)
    needed.default_choice(update)
    Chain([update, wait])
    Chain([delete, create, wait, look, count, restored])
    restored.add_choice(_serves("$.restored", config), then)
    restored.add_choice(_still_busy("$.restored", 2 * POLLS), wait)
    restored.default_choice(then)
    inspect.add_catch(keeping_the_first_error(create, NOT_FOUND))
    for step in (inspect, update, delete, create, look):
        step.add_catch(keeping_the_first_error(then))
    return inspect


def keeping_the_first_error(then: Any, error: str = "States.ALL") -> Any:
    """A catcher that leaves `$.error` as it is: what went wrong first is what counts."""
    return Catch(error_equals=[error], next_step=then, result_path="$.later_error")


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
    """Rule: the endpoint last seen is changing, and has not been looked at too often."""
    busy = ChoiceRule.Or([ChoiceRule.StringEquals(f"{endpoint}.status", status) for status in BUSY_STATES])
    return ChoiceRule.And([busy, ChoiceRule.NumericLessThan("$.looks.count", looks)])
