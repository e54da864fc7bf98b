"""Apply all patches of this package to ministack."""

from __future__ import annotations

from ministack.core import lambda_runtime

from local import (
    alarms,
    authorization,
    bucket_policies,
    cloudformation,
    conditional_writes,
    dashboards,
    encrypted_topics,
    event_buses,
    event_conditions,
    events,
    http_apis,
    item_conditions,
    logs,
    metrics,
    missing_objects,
    object_keys,
    parameter_permissions,
    policy_variables,
    recorded_calls,
    request_permissions,
    service_roles,
    signatures,
)
from local.images import builds, registry
from local.lambdas import code, emf, execution, pool, report, roles
from local.persistence import services
from local.sagemaker import resource_arns, scaling, service
from local.settings import Settings
from local.states import callbacks, executions, intake, map_runs, nested, sagemaker_tasks, tasks


def apply_patches(settings: Settings) -> service.SageMaker:
    """Patch ministack in this process; returns SageMaker. Raises PatchFailed when it is not the pinned version."""
    signatures.install()
    authorization.install(settings)
    service_roles.install()
    recorded_calls.install(settings)
    roles.install()
    pool.install(settings)
    execution.install(settings)
    code.install()
    report.install()
    emf.install()
    logs.install()
    alarms.install()
    metrics.install()
    dashboards.install()
    events.install()
    event_buses.install()
    http_apis.install(settings)
    executions.install()
    intake.install(settings)
    callbacks.install()
    tasks.install()
    nested.install()
    map_runs.install()
    images = registry.install(settings)
    builds.install(settings, images)
    sagemaker = service.install(settings, images)
    scaling.install(sagemaker.endpoints)
    resource_arns.install()
    sagemaker_tasks.install(sagemaker)
    bucket_policies.install()
    missing_objects.install()
    conditional_writes.install()
    policy_variables.install()
    event_conditions.install()
    item_conditions.install()
    encrypted_topics.install()
    parameter_permissions.install()
    object_keys.install()
    request_permissions.install()
    cloudformation.install(sagemaker)
    services.install()
    return sagemaker


def end_processes() -> None:
    """End every process that the server has started."""
    service.end_processes()
    lambda_runtime.reset()
