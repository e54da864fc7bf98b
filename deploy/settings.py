"""The settings of a stage: parameters of the app stack, which keep their value until another one is given."""

import math
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from deploy.errors import DeployError
from deploy.package import THIS_RUNTIME
from deploy.target import Target
from functions.judge_challenger.gate import Gate
from functions.shared.settings import read_object

# Environment variables that set a parameter of the app stack.
SETTINGS = {
    "REVIEW_TIMEOUT_S": "ReviewTimeoutSeconds",
    "UPLOADS_PER_MINUTE": "UploadsPerMinute",
    "EXCESS_CONCURRENCY": "ExcessConcurrency",
    "BATCH_CONCURRENCY": "BatchConcurrency",
    "BATCH_TOLERATED_FAILURES": "BatchToleratedFailures",
    "BATCH_REVIEWS": "BatchReviews",
    "DRIVER_API": "DriverApi",
    "DRIVER_API_RATE": "DriverApiRate",
    "AUDIT_SHARE": "AuditShare",
    "SECOND_OPINION_SHARE": "SecondOpinionShare",
    "AUDIT_ERROR_LIMIT": "AuditErrorLimit",
    "DRIFT_PERIOD_HOURS": "DriftPeriodHours",
    "DRIFT_MIN_PHOTOS": "DriftMinPhotos",
    "DRIFT_PSI_LIMIT": "DriftPsiLimit",
    "DRIFT_WINDOW_PERIODS": "DriftWindowPeriods",
    "DRIFT_LABELS": "DriftLabels",
    "DRIFT_AUDIT_SHARE": "DriftAuditShare",
    "MIN_NEW_LABELS": "MinNewLabels",
    "MAX_LABELS_PER_DRIVER": "MaxLabelsPerDriver",
    "MAX_LABELS_PER_REVIEWER": "MaxLabelsPerReviewer",
    "BAKE_SECONDS": "BakeSeconds",
    "CANARY_PERCENT": "CanaryPercent",
    "ROLLOUT_SECONDS": "RolloutSeconds",
    "GATE": "Gate",
    "BAKE_ALARMS": "BakeAlarms",
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
    "ALERT_EMAIL": "AlertEmail",
    "ALERT_URL": "AlertUrl",
    "OPENING_HOURS": "OpeningHours",
    "TIME_ZONE": "TimeZone",
    "HOURS_WITHOUT_PHOTO": "HoursWithoutPhoto",
    "DAYS_WITHOUT_RETRAINING": "DaysWithoutRetraining",
}
# Beside those whose default is a fraction.
_FRACTIONAL = (
    "RollbackWindowHours",
    "DriftPeriodHours",
    "HoursWithoutPhoto",
    "MonthlyBudgetUsd",
    "EndpointTargetInvocations",
)
# The parameter of the data stack with which the uploads bucket accepts (`yes`) or denies (`no`) uploads.
ACCEPT_UPLOADS = "AcceptUploads"

# The limits of MessageRetentionPeriod (Amazon SQS API Reference, SetQueueAttributes).
RETENTION_S = (60, 14 * 86_400)
# The alarms on what a new model can cause.
BAKE_ALARMS = (
    *("endpoint-errors", "endpoint-latency", "endpoint-out-of-service", "model-unavailable"),
    *("failed-executions", "timed-out-executions"),
)

# The limit of AutoRollbackConfiguration (Amazon SageMaker API Reference).
MOST_BAKE_ALARMS = 10

DEFAULT = "default"
"""The value of an environment variable that sets its parameter back to the default."""


def given_settings(target: Target, template: Mapping[str, Any], present: Mapping[str, str]) -> dict[str, str]:
    """Return the values of the settings that are given; every other one keeps its value in `present`.

    `template` is the app template, `present` the parameters of the deployed stack. Raises DeployError naming every
    value that CloudFormation or a function would refuse, which they do after a part of the stage was changed.
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
    timeout_s = given.get("ReviewTimeoutSeconds") or present["ReviewTimeoutSeconds"]
    given["ReviewRetentionSeconds"] = _retention(timeout_s)
    # Without a downloaded data set, training uses pictures drawn by the program.
    given["AllowDrawnTrainingData"] = "yes" if target.is_local else "no"
    variables = {parameter: name for name, parameter in SETTINGS.items()}
    declared = template["Parameters"]
    mistakes = [
        f"{variables[parameter]} is {value!r}: {mistake}"
        for parameter, value in given.items()
        if parameter in variables and (mistake := _mistake(parameter, value, declared[parameter]))
    ]
    if mistakes := mistakes or list(_contradictions({**present, **given})):
        raise DeployError(f"{'; '.join(mistakes)}. Nothing was changed.")
    return given


def _mistake(parameter: str, value: str, declared: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the value of a parameter, None for a valid one.

    >>> _mistake("LogRetentionDays", "a month", {"Type": "Number"})
    'pass a whole number'
    """
    if parameter == "Gate":
        try:
            read_object(Gate, value)
        except ValueError as error:
            return str(error)
    if declared["Type"] == "Number":
        fractional = parameter in _FRACTIONAL or "." in str(declared.get("Default", ""))
        if not re.fullmatch(r"\d+(\.\d+)?" if fractional else r"\d+", value):
            return "pass a number" if fractional else "pass a whole number"
        least, most = declared.get("MinValue", 0), declared.get("MaxValue", math.inf)
        if not least <= float(value) <= most:
            return f"it must be at least {least}" + (f" and at most {most}" if most < math.inf else "")
    if value not in declared.get("AllowedValues", [value]):
        return f"this version has {', '.join(declared['AllowedValues'])}"
    if parameter == "BakeAlarms" and value.count(",") >= MOST_BAKE_ALARMS:
        return f"SageMaker monitors at most {MOST_BAKE_ALARMS} alarms"
    if not re.fullmatch(declared.get("AllowedPattern", ".*"), value):
        return f"it must match {declared['AllowedPattern']}"
    return None


def _contradictions(values: Mapping[str, str]) -> Iterator[str]:
    least, most = (int(values[f"Endpoint{end}Instances"]) for end in ("Min", "Max"))
    if least > most:
        yield f"ENDPOINT_MIN_INSTANCES is {least}, more than ENDPOINT_MAX_INSTANCES, which is {most}"
    percent = int(values["CanaryPercent"])
    if least > 1 and percent * least < 100:
        yield (
            f"CANARY_PERCENT is {percent}, less than one of ENDPOINT_MIN_INSTANCES={least}; "
            f"pass {math.ceil(100 / least)} to 50"
        )


def _retention(timeout_s: str) -> str:
    """Return how long the review queue keeps a message, given the timeout of a review in seconds.

    CloudFormation cannot compute, and rejects a timeout that is no number itself.

    >>> _retention("900"), _retention("5"), _retention("2000000"), _retention("soon")
    ('900', '60', '1209600', 'soon')
    """
    shortest, longest = RETENTION_S
    return str(min(max(int(timeout_s), shortest), longest)) if timeout_s.isdecimal() else timeout_s


def default_settings(target: Target, template: Mapping[str, Any]) -> dict[str, str]:
    """Return the default of each setting by parameter, as text: the template's, or that of the target."""
    declared = template["Parameters"]
    values = {name: str(declared[name]["Default"]) for name in SETTINGS.values() if "Default" in declared[name]}
    values["RollbackAlarms"] = f"{target.app_stack}-endpoint-errors"
    values["BakeAlarms"] = ",".join(f"{target.app_stack}-{name}" for name in BAKE_ALARMS)
    if target.is_local:
        values["Runtime"] = THIS_RUNTIME
        # The embedded AWS has no traffic to monitor.
        values["BakeSeconds"] = "5"
        values["RolloutSeconds"] = "2"
    return values
