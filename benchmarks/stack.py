"""The temporary stack with the baselines: created by `deployed_baseline`, removed at the end of its block."""

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError

from benchmarks import chain
from benchmarks.template import Context, Function, template
from deploy.names import logical_id
from deploy.outputs import Deployed
from deploy.package import FUNCTIONS, build_function
from deploy.stack import Stack
from functions.shared.sagemaker import is_missing
from operate.errors import CommandError

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_lambda.type_defs import FunctionConfigurationResponseTypeDef
    from mypy_boto3_logs import CloudWatchLogsClient

CODE_PREFIX = "bench/"
CHAIN_MEMORY_MB = 256
_CODE = Path(__file__).parent / "functions"
_HANDLERS = (*chain.STEPS, "cold_start")


@dataclass(frozen=True)
class ColdStart:
    """A function whose initialisation is that of `measured`, or of an empty handler when `measured` is empty."""

    function: str
    measured: str
    memory_mb: int


@dataclass(frozen=True)
class Baseline:
    """The deployed stack: the bucket that starts the state machines, their ARNs, and the functions for cold starts."""

    bucket: str
    chain_arn: str
    empty_arn: str
    cold_starts: list[ColdStart]


@contextmanager
def deployed_baseline(deployed: Deployed, threshold: float) -> Iterator[Baseline]:
    """Create the stack `scones-{stage}-bench` for this stage; remove it at the end of the block, also after an error.

    `threshold` is the chain's, from 0 to 1. A stack that an earlier run left behind is removed first. Raises
    DeployError when CloudFormation fails, CommandError when a function of the stage is not deployed.
    """
    name = f"{deployed.app_name}-bench"
    remove(deployed)
    try:
        configurations = {function: _configuration(deployed, function) for function in FUNCTIONS}
        any_function = next(iter(configurations.values()))
        context = Context(
            name=name,
            code_bucket=deployed.artifacts_bucket,
            layer=any_function["Layers"][0]["Arn"],
            runtime=str(any_function["Runtime"]),
            architectures=list(any_function.get("Architectures", ["arm64"])),
            endpoint=deployed.endpoint_name,
        )
        cold_starts, functions = _cold_start_functions(context, configurations)
        functions += _chain_functions(context, threshold)
        stack = Stack(name, _no_progress)
        stack.deploy(template(context, functions), {})
        outputs = stack.outputs()
        yield Baseline(outputs["Bucket"], outputs["ChainArn"], outputs["EmptyArn"], cold_starts)
    finally:
        remove(deployed)


def remove(deployed: Deployed) -> None:
    """Remove the stack of this stage with its photos, code and logs; do nothing when there is none."""
    name = f"{deployed.app_name}-bench"
    stack = Stack(name, _no_progress)
    s3 = boto3.resource("s3")
    if stack.status() is not None:
        if bucket := _physical_id(name, "Bucket"):
            s3.Bucket(bucket).objects.all().delete()
        stack.delete()
    s3.Bucket(deployed.artifacts_bucket).objects.filter(Prefix=CODE_PREFIX).delete()
    logs: CloudWatchLogsClient = boto3.client("logs")
    # A function that logs while its stack is deleted creates its group again.
    for page in logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=f"/aws/lambda/{name}-"):
        for group in page["logGroups"]:
            logs.delete_log_group(logGroupName=group["logGroupName"])


def _physical_id(stack: str, resource: str) -> str:
    """Return the name of a resource of a stack; an empty string when it does not exist."""
    try:
        found = boto3.client("cloudformation").describe_stack_resource(StackName=stack, LogicalResourceId=resource)
    except ClientError:
        return ""
    return str(found["StackResourceDetail"].get("PhysicalResourceId", ""))


def _configuration(deployed: Deployed, function: str) -> "FunctionConfigurationResponseTypeDef":
    functions: LambdaClient = boto3.client("lambda")
    name = f"{deployed.app_name}-{function.replace('_', '-')}"
    try:
        return functions.get_function_configuration(FunctionName=name)
    except ClientError as error:
        if is_missing(error) or error.response["Error"]["Code"] == "ResourceNotFoundException":
            raise CommandError(f"Function {name} is not deployed. Run `make deploy` first.") from error
        raise


def _cold_start_functions(context: Context, configurations: dict[str, Any]) -> tuple[list[ColdStart], list[Function]]:
    """Return a function for each measured one and an empty one for each memory size; uploads their code."""
    cold_starts, functions = [], []
    memory_sizes = sorted({configuration["MemorySize"] for configuration in configurations.values()})
    for memory_mb in memory_sizes:
        name = f"Nothing{memory_mb}"
        functions.append(Function(name, "cold_start.handler", _upload(context, name, _zip()), memory_mb))
        cold_starts.append(ColdStart(f"{context.name}-{name}", "", memory_mb))
    for measured, configuration in configurations.items():
        name, memory_mb = f"{logical_id(measured)}ColdStart", configuration["MemorySize"]
        variables = {
            **configuration.get("Environment", {}).get("Variables", {}),
            "MEASURED_MODULE": f"functions.{measured}.handler",
        }
        key = _upload(context, name, _zip(build_function(measured)))
        functions.append(Function(name, "cold_start.handler", key, memory_mb, variables))
        cold_starts.append(ColdStart(f"{context.name}-{name}", measured, memory_mb))
    return cold_starts, functions


def _chain_functions(context: Context, threshold: float) -> list[Function]:
    variables = {"ENDPOINT_NAME": context.endpoint, "THRESHOLD": str(threshold)}
    key = _upload(context, "chain", _zip())
    return [Function(logical_id(step), f"{step}.handler", key, CHAIN_MEMORY_MB, variables) for step in chain.STEPS]


def _zip(content: bytes = b"") -> bytes:
    """Return a zip with the handlers in functions/, added to the zip in `content`."""
    buffer = io.BytesIO(content)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
        for name in _HANDLERS:
            archive.write(_CODE / f"{name}.py", f"{name}.py")
    return buffer.getvalue()


def _upload(context: Context, name: str, content: bytes) -> str:
    key = f"{CODE_PREFIX}{name}.zip"
    boto3.client("s3").put_object(Bucket=context.code_bucket, Key=key, Body=content, IfNoneMatch="*")
    return key


def _no_progress(_line: str) -> None:
    """Report no progress."""
