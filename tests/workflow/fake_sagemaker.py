"""A fake of the SageMaker API: it validates requests against botocore's model and keeps the state of one endpoint."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from botocore.exceptions import ClientError
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from local.service_models import constraint_problems

# A time as the API sends it, in seconds since 1970.
_TIME = 1_700_000_000


class JobFailed(Exception):
    """A job was accepted and then failed; the first argument is its description."""


@dataclass
class FakeSageMaker:
    """SageMaker with one endpoint, whose jobs and updates succeed unless `failures` or `next_statuses` are set.

    `failures` has, by API name, the results of the next calls: None is success, a text the failure reason of a job or
    the error message of a call. `next_statuses` are the statuses that DescribeEndpoint returns while the endpoint
    changes; then the update is complete. The status "rolled back" stands for InService with the old configuration.
    `on_request` is called with the API name and the request before each call. `is_scaled` is whether the endpoint is a
    scalable target; then no update is accepted, because it may change the instance type. `on_deleted` is called when
    the endpoint was deleted. `packages` are the model packages: the model version of each ARN, newest first.
    """

    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    failures: dict[str, list[str | None]] = field(default_factory=dict)
    next_statuses: list[str] = field(default_factory=list)
    status: str = "InService"
    config: str | None = None
    pending_config: str | None = None
    modified: float = _TIME
    packages: dict[str, str] = field(default_factory=dict)
    on_request: Callable[[str, dict[str, Any]], None] = field(default=lambda api, request: None)
    is_scaled: Callable[[], bool] = field(default=lambda: False)
    on_deleted: Callable[[], None] = field(default=lambda: None)

    def call(self, api: str, request: dict[str, Any]) -> dict[str, Any]:
        """The response of one API call.

        Raises:
            ClientError: the call fails.
            JobFailed: the call starts a job that fails later.
        """
        operation = service_model().operation_model(api)
        assert operation.input_shape
        report = ParamValidator().validate(request, operation.input_shape)
        assert not report.has_errors(), report.generate_report()
        assert not list(constraint_problems(request, operation.input_shape))
        self.requests.append((api, request))
        self.on_request(api, request)
        failure = self.failures[api].pop(0) if self.failures.get(api) else None
        if failure and "Job" not in api:
            raise validation_error(api, failure)
        response: dict[str, Any] = getattr(self, f"_{api}", self._default_response)(api, request)
        if failure:
            raise JobFailed({**response, f"{api[6:]}Status": "Failed", "FailureReason": failure})
        return response

    def requests_to(self, api: str) -> list[dict[str, Any]]:
        """The requests to one API."""
        return [request for name, request in self.requests if name == api]

    def finish_update(self) -> None:
        """Poll until the endpoint has stopped changing."""
        while self.pending_config:
            self._DescribeEndpoint("DescribeEndpoint", {"EndpointName": "any"})

    def _default_response(self, api: str, request: dict[str, Any]) -> dict[str, Any]:
        shape = service_model().operation_model(api).output_shape
        return {**request, **{member: f"arn:aws:sagemaker:{member}" for member in (shape.members if shape else {})}}

    def _CreateTrainingJob(self, api: str, request: dict[str, Any]) -> dict[str, Any]:  # the API's name
        name, path = request["TrainingJobName"], request["OutputDataConfig"]["S3OutputPath"]
        return {**request, "ModelArtifacts": {"S3ModelArtifacts": f"{path}/{name}/output/model.tar.gz"}}

    def _DescribeEndpoint(self, api: str, request: dict[str, Any]) -> dict[str, Any]:
        if self.config is None and self.pending_config is None:
            raise validation_error(api, f'Could not find endpoint "{request["EndpointName"]}".')
        if self.pending_config and self.next_statuses:
            self.status = self.next_statuses.pop(0)
            if self.status == "rolled back":
                self.status, self.pending_config = "InService", None
        elif self.pending_config:
            self.status, self.config, self.pending_config = "InService", self.pending_config, None
        shown = self.config or self.pending_config
        return {
            **request, "EndpointStatus": self.status, "EndpointConfigName": shown, "EndpointArn": "arn:endpoint",
            "CreationTime": _TIME, "LastModifiedTime": self.modified,
        }  # fmt: skip

    def _CreateEndpoint(self, api: str, request: dict[str, Any]) -> dict[str, Any]:
        if self.config or self.pending_config:
            raise validation_error(api, "Cannot create already existing endpoint")
        self.status, self.pending_config = "Creating", request["EndpointConfigName"]
        return {"EndpointArn": "arn:endpoint"}

    def _UpdateEndpoint(self, api: str, request: dict[str, Any]) -> dict[str, Any]:
        if self.status != "InService":
            raise validation_error(api, f"Cannot update endpoint in status {self.status}")
        if self.is_scaled():
            raise validation_error(api, "Deregister the variant as a scalable target first")
        assert request.get("RetainAllVariantProperties"), "the update would undo the scaling"
        self.status, self.pending_config = "Updating", request["EndpointConfigName"]
        return {"EndpointArn": "arn:endpoint"}

    def _DeleteEndpoint(self, api: str, request: dict[str, Any]) -> dict[str, Any]:
        self.config = self.pending_config = None
        self.on_deleted()
        return {}

    def _DescribeEndpointConfig(self, api: str, request: dict[str, Any]) -> dict[str, Any]:
        name = request["EndpointConfigName"]
        variants = [{"VariantName": "a", "ModelName": name}]
        return {
            "EndpointConfigName": name, "ProductionVariants": variants, "EndpointConfigArn": "arn:config",
            "CreationTime": _TIME,
        }  # fmt: skip

    def _ListModelPackages(self, api: str, request: dict[str, Any]) -> dict[str, Any]:
        about = {"ModelPackageStatus": "Completed", "CreationTime": _TIME}
        return {"ModelPackageSummaryList": [{"ModelPackageArn": arn, **about} for arn in self.packages]}

    def _DescribeModelPackage(self, api: str, request: dict[str, Any]) -> dict[str, Any]:
        arn = request["ModelPackageName"]
        about = {"ModelPackageName": "scones-test", "CreationTime": _TIME, "ModelPackageStatus": "Completed"}
        details = {"ModelPackageStatusDetails": {"ValidationStatuses": []}}
        metadata = {"model_version": self.packages[arn]}
        return {**about, **details, "ModelPackageArn": arn, "CustomerMetadataProperties": metadata}

    def _DescribeModel(self, api: str, request: dict[str, Any]) -> dict[str, Any]:
        artifact = f"s3://scones-ml/models/{request['ModelName']}/output/model.tar.gz"
        about = {"ModelArn": "arn:model", "CreationTime": _TIME}
        return {**request, **about, "PrimaryContainer": {"ModelDataUrl": artifact}}


def validation_error(api: str, message: str) -> ClientError:
    """Return the ValidationException with which SageMaker rejects a call."""
    response: Any = {
        "Error": {"Code": "ValidationException", "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": 400, "RequestId": "1"},
    }
    return ClientError(response, api)


@cache
def service_model() -> ServiceModel:
    """botocore's description of the SageMaker API."""
    return ServiceModel(Loader().load_service_model("sagemaker", "service-2"), "sagemaker")
