"""The states that change the configuration of the endpoint, used by retrain-model and rollback-model.

`deploy` puts a new configuration into service; `restore` puts the champion's configuration back into service when that
failed. Both poll until the endpoint has stopped changing. They count their polls together in `$.polls.count`, which the
workflow starts as `{"count": 0}`.

The endpoint is not scaled while it is updated, because SageMaker refuses to change the instance type of a scalable
target. `deploy` registers it again when the new configuration is in service; `ensure_scaling` belongs on every other
path to the end. SageMaker deregisters the variants of an endpoint that is deleted, if the caller may.
"""

from typing import Any

from workflows import sagemaker_steps as sagemaker
from workflows import scaling_steps as scaling
from workflows.errors import SCALING_TARGET_MISSING
from workflows.sdk import Catch, Chain, Choice, ChoiceRule, Pass, Wait
from workflows.tasks import on_error, set_error

POLL_S = 5
# 50 minutes. SageMaker takes five to ten for new instances, and waits twice for ROLLOUT_SECONDS, ten minutes at most.
MAX_POLLS = 600
FAILED_STATUSES = ("Failed", "UpdateRollbackFailed")
CHANGING_STATUSES = ("Creating", "Updating", "SystemUpdating", "RollingBack")
# The AWS SDK integration's name for the ValidationException "Could not find endpoint".
NOT_FOUND = "SageMaker.SageMakerException"


def deploy(
    config: str,
    *,
    then: Any,
    on_unchanged: Any,
    on_unscaled: Any,
    on_changed: Any,
    rollout: str | None = None,
    retry_while_changing: bool = False,
) -> Any:
    """Return the first of the states that put the configuration at the path `config` into service.

    A missing endpoint is created, a failed one deleted and created again. `then` follows when the endpoint is in
    service and scaled. An error before the endpoint is changed continues at `on_unchanged`, or at `on_unscaled` when
    it is not scaled any more; a later one at `on_changed`. `rollout` is the path of the DeploymentConfig with which an
    endpoint is updated; without it, all traffic shifts at once, and no alarm is monitored. `retry_while_changing` waits
    for an endpoint that is still changing when the update begins.
    """
    find = sagemaker.describe_endpoint("FindEndpoint", "Look up the endpoint to update.")
    usable = Choice("EndpointUsable?", comment="A failed endpoint cannot be updated; delete it.")
    stop_scaling = scaling.deregister_target("StopScaling", "A new instance type is refused while the endpoint scales.")
    update = sagemaker.update_endpoint(
        "UpdateEndpoint",
        "Blue/green deployment: the old model serves until the new one is healthy.",
        config=config,
        rollout=rollout,
        retry_while_changing=retry_while_changing,
    )
    delete = sagemaker.delete_endpoint("DeleteOldEndpoint", "The endpoint failed before this execution changed it.")
    create = sagemaker.create_endpoint("CreateEndpoint", "The stage has no endpoint.", config=config)
    wait = Wait("WaitForEndpoint", comment="Poll, because endpoints have no .sync integration.", seconds=POLL_S)
    describe = sagemaker.describe_endpoint("DescribeEndpoint", "Status and configuration of the endpoint.")
    count = _count_polls("CountPolls")
    in_service = Choice(
        "InService?", comment="Check the configuration too: after SageMaker's own rollback it is the old one."
    )
    not_in_service = set_error(
        "ReportEndpointNotInService",
        "SageMaker rolled back, the endpoint failed, or 50 minutes passed.",
        error="EndpointNotInService",
        cause="States.Format('Endpoint ${EndpointName} is {} with configuration {}. SageMaker returns to the old one"
        " when an alarm of BAKE_ALARMS goes off or the new instances do not start.',"
        " $.endpoint.status, $.endpoint.config)",
    )

    scale = scaling.register_target("RegisterScaling", "Scale the endpoint between the limits of the deployment.")
    set_policy = scaling.put_policy("SetScalingPolicy", "Track the requests per instance and minute.")

    Chain([find, usable])
    usable.add_choice(_has_failed("$.endpoint"), delete)
    usable.default_choice(stop_scaling)
    Chain([stop_scaling, update, wait])
    Chain([delete, create, wait, describe, count, in_service])
    in_service.add_choice(_is_in_service("$.endpoint", config), scale)
    Chain([scale, set_policy, then])
    in_service.add_choice(_is_changing("$.endpoint", MAX_POLLS), wait)
    in_service.default_choice(not_in_service)
    Chain([not_in_service, on_changed])
    on_error(find, [NOT_FOUND], create)
    stop_scaling.add_catch(catch_later_error(update, SCALING_TARGET_MISSING))
    for step in (find, stop_scaling, delete):
        on_error(step, ["States.ALL"], on_unchanged)
    on_error(update, ["States.ALL"], on_unscaled)
    for step in (create, describe, scale, set_policy):
        on_error(step, ["States.ALL"], on_changed)
    return find


def restore(config: str, *, then: Any) -> Any:
    """Return the first of the states that put the champion's configuration, at the path `config`, back into service.

    `then` follows whether that succeeded or not. `$.restored` is the last description of the endpoint.
    """
    inspect = sagemaker.describe_endpoint(
        "InspectEndpoint", "Status and configuration of the endpoint after the failure.", result_path="$.restored"
    )
    needed = Choice("RestoreNeeded?", comment="SageMaker's own rollback may have restored the champion already.")
    update = sagemaker.update_endpoint(
        "RestoreEndpoint",
        "Update the endpoint to the champion's configuration.",
        config=config,
        retry_while_changing=True,
    )
    stop_scaling = scaling.deregister_target(
        "StopScalingToRestore", "The champion's instance type may be another one than that of the endpoint."
    )
    delete = sagemaker.delete_endpoint("DeleteFailedEndpoint", "A failed endpoint cannot be updated; delete it.")
    create = sagemaker.create_endpoint(
        "RecreateEndpoint", "Create an endpoint with the champion's configuration.", config=config
    )
    wait = Wait("WaitForRestore", comment="Poll until the champion is in service.", seconds=POLL_S)
    describe = sagemaker.describe_endpoint(
        "DescribeRestoredEndpoint", "Status and configuration of the endpoint.", result_path="$.restored"
    )
    count = _count_polls("CountRestorePolls")
    restored = Choice("Restored?", comment="Poll for at most another 50 minutes.")

    Chain([inspect, needed])
    needed.add_choice(_is_in_service("$.restored", config), then)
    needed.add_choice(_has_failed("$.restored"), delete)
    needed.default_choice(stop_scaling)
    Chain([stop_scaling, update, wait])
    # Whether the update needs it or not, the endpoint must serve the champion.
    stop_scaling.add_catch(catch_later_error(update))
    Chain([delete, create, wait, describe, count, restored])
    restored.add_choice(_is_in_service("$.restored", config), then)
    restored.add_choice(_is_changing("$.restored", 2 * MAX_POLLS), wait)
    restored.default_choice(then)
    inspect.add_catch(catch_later_error(create, NOT_FOUND))
    for step in (inspect, update, delete, create, describe):
        step.add_catch(catch_later_error(then))
    return inspect


def ensure_scaling(then: Any) -> Any:
    """Return the first of the states that scale the endpoint in service; `then` follows, even after an error.

    An endpoint that an execution left unscaled when it was stopped is scaled again, and changed limits take effect.
    """
    register = scaling.register_target("EnsureScaling", "Scale the endpoint between the limits of the deployment.")
    set_policy = scaling.put_policy("EnsureScalingPolicy", "Track the requests per instance and minute.")
    Chain([register, set_policy, then])
    for step in (register, set_policy):
        step.add_catch(catch_later_error(then))
    return register


def catch_later_error(then: Any, error: str = "States.ALL") -> Any:
    """Return a catcher that keeps `$.error`, the first error, and writes this one to `$.later_error`."""
    return Catch(error_equals=[error], next_step=then, result_path="$.later_error")


def _count_polls(name: str) -> Any:
    return Pass(
        name,
        comment="Limits the number of polls.",
        parameters={"count.$": "States.MathAdd($.polls.count, 1)"},
        result_path="$.polls",
    )


def _is_in_service(endpoint: str, config: str) -> Any:
    """Rule: the endpoint described at the path `endpoint` serves the configuration at the path `config`."""
    return ChoiceRule.And(
        [
            ChoiceRule.IsPresent(f"{endpoint}.status", True),
            ChoiceRule.StringEquals(f"{endpoint}.status", "InService"),
            ChoiceRule.StringEqualsPath(f"{endpoint}.config", config),
        ]
    )


def _has_failed(endpoint: str) -> Any:
    """Rule: the endpoint described at the path `endpoint` can only be deleted."""
    return ChoiceRule.And(
        [
            ChoiceRule.IsPresent(f"{endpoint}.status", True),
            ChoiceRule.Or([ChoiceRule.StringEquals(f"{endpoint}.status", status) for status in FAILED_STATUSES]),
        ]
    )


def _is_changing(endpoint: str, max_polls: int) -> Any:
    """Rule: the endpoint described at the path `endpoint` is changing, and there were fewer than `max_polls` polls."""
    changing = ChoiceRule.Or([ChoiceRule.StringEquals(f"{endpoint}.status", status) for status in CHANGING_STATUSES])
    return ChoiceRule.And([changing, ChoiceRule.NumericLessThan("$.polls.count", max_polls)])
