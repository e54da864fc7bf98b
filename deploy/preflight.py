"""What an account must have before anything is created: the region's services, and the quotas of the settings."""

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError

from deploy.errors import DeployError
from deploy.settings import SETTINGS
from deploy.stack import Progress

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

SERVICES = ("sagemaker", "stepfunctions", "lambda", "events", "dynamodb")
IGNORE = "PREFLIGHT"
# A retraining trains first and compares then, and a stage runs one at a time. UpdateEndpoint starts the new instances
# before it stops the old ones ("Blue/Green Deployments", SageMaker), so it may need twice the most that scaling starts.
_QUOTAS = (
    ("TrainingInstanceType", "for training job usage", "a retraining trains on one"),
    ("TrainingInstanceType", "for processing job usage", "a retraining compares on one"),
    ("EndpointInstanceType", "for endpoint usage", "a new model starts beside the old one"),
)
# "You can reserve up to the Unreserved account concurrency value minus 100" ("Configuring reserved concurrency", AWS
# Lambda); an account with a smaller quota cannot reserve any.
_UNRESERVED = 100
_RELEVANT = (
    "TrainingInstanceType",
    "EndpointInstanceType",
    "EndpointMaxInstances",
    "ExcessConcurrency",
    "BatchConcurrency",
)
_VARIABLES = {parameter: name for name, parameter in SETTINGS.items()}


def check_account(settings: Mapping[str, str], present: Mapping[str, str], progress: Progress) -> None:
    """Raise DeployError naming everything that the account lacks for the settings, with what to do.

    `present` are the parameters of the deployed stack: what is deployed already is not checked again. The environment
    variable PREFLIGHT=ignore reports the same and goes on.
    """
    wanted = {**present, **settings}
    if all(present.get(name) == wanted.get(name) for name in _RELEVANT):
        return
    problems = [*_region_problems(), *_concurrency_problems(wanted, present), *_quota_problems(wanted, progress)]
    if not problems:
        progress("Region and quotas suffice.")
        return
    text = "\n".join(f"- {problem}" for problem in problems)
    if os.environ.get(IGNORE) != "ignore":
        raise DeployError(f"This account is not ready:\n{text}\nNothing was changed. {IGNORE}=ignore deploys anyway.")
    progress(f"This account is not ready, which {IGNORE}=ignore accepts:\n{text}")


def _region_problems() -> Iterator[str]:
    session = boto3.session.Session()
    region = str(session.region_name)
    for service in SERVICES:
        partition = session.get_partition_for_region(region)
        if region not in session.get_available_regions(service, partition_name=partition):
            yield f"boto3 knows no {service} in {region}. Choose another AWS_REGION; if it is new there, update boto3."


def _concurrency_problems(wanted: Mapping[str, str], present: Mapping[str, str]) -> Iterator[str]:
    more = _reserved(wanted) - _reserved(present)
    client: LambdaClient = boto3.client("lambda")
    limits = client.get_account_settings()["AccountLimit"]
    quota, unreserved = limits["ConcurrentExecutions"], limits["UnreservedConcurrentExecutions"]
    if more > 0 and unreserved - more < min(_UNRESERVED, quota):
        yield (
            f"Lambda's quota of {quota} concurrent executions does not leave {more} to reserve, for EXCESS_CONCURRENCY "
            f"and BATCH_CONCURRENCY. Set EXCESS_CONCURRENCY=0, or request a quota of 1000: "
            "`aws service-quotas request-service-quota-increase --service-code lambda --quota-code L-B99A9384 "
            "--desired-value 1000`."
        )


def _reserved(parameters: Mapping[str, str]) -> int:
    """The reserved concurrency of all functions. Without that of RejectExcessPhoto, ClassifyBatch has none either."""
    excess = int(parameters.get("ExcessConcurrency", 0))
    return excess + int(parameters.get("BatchConcurrency", 0)) if excess else 0


def _quota_problems(wanted: Mapping[str, str], progress: Progress) -> Iterator[str]:
    try:
        quotas = _sagemaker_quotas()
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("AccessDeniedException", "AccessDenied"):
            raise
        progress(f"SageMaker's quotas are not checked: {error}")
        return
    instances = {"TrainingInstanceType": 1, "EndpointInstanceType": 2 * int(wanted["EndpointMaxInstances"])}
    for parameter, usage, reason in _QUOTAS:
        name, needed, variable = f"{wanted[parameter]} {usage}", instances[parameter], _VARIABLES[parameter]
        if (quota := quotas.get(name)) is None:
            yield f"SageMaker has no quota '{name}' here: no such instance type in this region? Set {variable}."
        elif quota["Value"] < needed:
            fewer = ", or a smaller ENDPOINT_MAX_INSTANCES" if parameter == "EndpointInstanceType" else ""
            yield (
                f"SageMaker's quota '{name}' is {quota['Value']:.0f}, and {needed} are needed: {reason}. Request it: "
                "`aws service-quotas request-service-quota-increase --service-code sagemaker "
                f"--quota-code {quota['QuotaCode']} --desired-value {needed}`, or set {variable}{fewer}."
            )


def _sagemaker_quotas() -> dict[str, Any]:
    """Return the quotas by name. ListServiceQuotas leaves out a quota that has only its default."""
    client: Any = boto3.client("service-quotas")
    quotas: dict[str, Any] = {}
    for page in client.get_paginator("list_aws_default_service_quotas").paginate(ServiceCode="sagemaker"):
        quotas |= {quota["QuotaName"]: quota for quota in page["Quotas"]}
    for applied in client.get_paginator("list_service_quotas").paginate(ServiceCode="sagemaker"):
        quotas |= {quota["QuotaName"]: quota for quota in applied["Quotas"]}
    return quotas
