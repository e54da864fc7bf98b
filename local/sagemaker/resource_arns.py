"""IAM: the resource that a request to SageMaker needs permission for.

Patches: ministack knows no resources of SageMaker, so a policy that names one allows nothing. Here a request is
authorized on the resource that its action names ("Actions, resources, and condition keys for Amazon SageMaker",
Service Authorization Reference).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ministack.core import iam_actions

from local import patches

# The noun of an action, the field with the name, and the type in the ARN; longer nouns before their beginnings.
_RESOURCES = (
    ("EndpointConfig", "EndpointConfigName", "endpoint-config"),
    ("Endpoint", "EndpointName", "endpoint"),
    ("ModelPackageGroup", "ModelPackageGroupName", "model-package-group"),
    ("ModelPackage", "ModelPackageName", "model-package"),
    ("Model", "ModelName", "model"),
    ("TrainingJob", "TrainingJobName", "training-job"),
    ("ProcessingJob", "ProcessingJobName", "processing-job"),
)


def _resource(path: str, target: str, body: bytes) -> str | None:
    """The type and name of the resource that a request names, such as `endpoint/a`, or its ARN; None without one."""
    parts = path.strip("/").split("/")
    if parts[0] == "endpoints" and parts[-1] == "invocations":
        return f"endpoint/{parts[1]}"
    action = target.rpartition(".")[2]
    try:
        request: Any = json.loads(body or b"{}")
    except ValueError:
        return None
    for noun, field, kind in _RESOURCES:
        if action.endswith(noun):
            name = request.get(field) if isinstance(request, dict) else None
            named = isinstance(name, str) and name
            return (name if str(name).startswith("arn:") else f"{kind}/{str(name).lower()}") if named else None
    return None


def install() -> None:
    """Apply the patch."""

    def extract_resource_arn(
        service: str,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        query_params: Any,
        region: str,
        account_id: str,
    ) -> str:
        if service == "sagemaker" and (resource := _resource(path, headers.get("x-amz-target", ""), body)):
            return resource if resource.startswith("arn:") else f"arn:aws:sagemaker:{region}:{account_id}:{resource}"
        arn: str = original(service, method, path, headers, body, query_params, region, account_id)
        return arn

    parameters = "service method path headers body query_params region account_id"
    original = patches.replace(iam_actions, "extract_resource_arn", parameters, extract_resource_arn)
