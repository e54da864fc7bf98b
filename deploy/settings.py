"""The settings of a stage: parameters of the app stack, which keep their value until another one is given."""

import os
from collections.abc import Mapping
from typing import Any

from deploy.errors import DeployError
from deploy.package import THIS_RUNTIME
from deploy.target import Target

# Environment variables that set a parameter of the app stack.
SETTINGS = {
    "REVIEW_TIMEOUT_S": "ReviewTimeoutSeconds",
    "UPLOADS_PER_MINUTE": "UploadsPerMinute",
    "EXCESS_CONCURRENCY": "ExcessConcurrency",
    "MIN_NEW_LABELS": "MinNewLabels",
    "MAX_LABELS_PER_DRIVER": "MaxLabelsPerDriver",
    "MAX_LABELS_PER_REVIEWER": "MaxLabelsPerReviewer",
    "BAKE_SECONDS": "BakeSeconds",
    "GATE": "Gate",
    "ROLLBACK_ALARMS": "RollbackAlarms",
    "ROLLBACK_WINDOW_HOURS": "RollbackWindowHours",
    "LOG_RETENTION_DAYS": "LogRetentionDays",
    "TRAINING_INSTANCE_TYPE": "TrainingInstanceType",
    "ENDPOINT_INSTANCE_TYPE": "EndpointInstanceType",
    "ENDPOINT_MIN_INSTANCES": "EndpointMinInstances",
    "ENDPOINT_MAX_INSTANCES": "EndpointMaxInstances",
    "ENDPOINT_TARGET_INVOCATIONS": "EndpointTargetInvocations",
    "RUNTIME": "Runtime",
    "MONTHLY_BUDGET_USD": "MonthlyBudgetUsd",
}
# The parameter of the data stack with which the uploads bucket accepts (`yes`) or denies (`no`) uploads.
ACCEPT_UPLOADS = "AcceptUploads"

DEFAULT = "default"
"""The value of an environment variable that sets its parameter back to the default."""


def given_settings(target: Target, template: Mapping[str, Any], present: Mapping[str, str]) -> dict[str, str]:
    """Return the values of the settings that are given; every other one keeps its value in `present`.

    `template` is the app template, `present` the parameters of the deployed stack. Raises DeployError for a runtime
    that the template does not allow: the artefacts are built for it before CloudFormation sees it.
    """
    defaults = default_settings(target, template)
    given = {parameter: value for parameter, value in defaults.items() if parameter not in present}
    given |= {
        parameter: defaults[parameter] if os.environ[name] == DEFAULT else os.environ[name]
        for name, parameter in SETTINGS.items()
        if os.environ.get(name)
    }
    # Facts about the target, not settings.
    if target.is_local and not os.environ.get("RUNTIME"):
        given["Runtime"] = THIS_RUNTIME
    # Without a downloaded data set, training uses pictures drawn by the program.
    given["AllowDrawnTrainingData"] = "yes" if target.is_local else "no"
    allowed = template["Parameters"]["Runtime"]["AllowedValues"]
    if given.get("Runtime", allowed[0]) not in allowed:
        raise DeployError(f"RUNTIME is {given['Runtime']!r}; this version runs on {', '.join(allowed)}.")
    return given


def default_settings(target: Target, template: Mapping[str, Any]) -> dict[str, str]:
    """Return the default of each setting by parameter, as text: the template's, or that of the target."""
    declared = template["Parameters"]
    values = {name: str(declared[name]["Default"]) for name in SETTINGS.values() if "Default" in declared[name]}
    values["RollbackAlarms"] = f"{target.app_stack}-endpoint-errors"
    if target.is_local:
        values["Runtime"] = THIS_RUNTIME
        # The embedded AWS has no traffic to monitor.
        values["BakeSeconds"] = "5"
    return values
