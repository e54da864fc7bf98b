"""A fake of Application Auto Scaling with one scalable target: the variant of the fake SageMaker's endpoint."""

from dataclasses import dataclass, field
from functools import cache
from typing import Any

from botocore.exceptions import ClientError
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from local.service_models import constraint_problems
from tests.workflow.fake_sagemaker import FakeSageMaker


@dataclass
class FakeScaling:
    """Application Auto Scaling; `limits` and `target_value` are None while the endpoint is not scaled.

    `failures` has, by API name, the codes of the errors of the next calls. SageMaker refuses updates of a target, as it
    does when they change the instance type, and deregisters it with its endpoint.
    """

    sagemaker: FakeSageMaker
    limits: tuple[int, int] | None = None
    target_value: float | None = None
    failures: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the endpoint depend on the target."""
        self.sagemaker.is_scaled = lambda: self.limits is not None
        self.sagemaker.on_deleted = self._forget

    def scale(self) -> None:
        """Make the endpoint a scalable target, as a deployment with the substitutions of the tests does."""
        self.limits, self.target_value = (1, 4), 600.0

    def is_scaled(self) -> bool:
        """Whether the endpoint is scaled as `scale` does."""
        return (self.limits, self.target_value) == ((1, 4), 600.0)

    def call(self, api: str, request: dict[str, Any]) -> dict[str, Any]:
        """The response of one API call. Raises ClientError."""
        operation = service_model().operation_model(api)
        assert operation.input_shape
        report = ParamValidator().validate(request, operation.input_shape)
        assert not report.has_errors(), report.generate_report()
        assert not list(constraint_problems(request, operation.input_shape))
        assert request["ResourceId"] == "endpoint/scones-test/variant/AllTraffic"
        if self.failures.get(api):
            raise _error(api, self.failures[api].pop(0))
        response: dict[str, Any] = getattr(self, f"_{api}")(api, request)
        return response

    def _RegisterScalableTarget(self, api: str, request: dict[str, Any]) -> dict[str, Any]:  # the API's name
        if self.sagemaker.config is None:
            raise _error(api, "ValidationException")
        self.limits = (request["MinCapacity"], request["MaxCapacity"])
        return {"ScalableTargetARN": "arn:target"}

    def _PutScalingPolicy(self, api: str, request: dict[str, Any]) -> dict[str, Any]:
        if self.limits is None:
            raise _error(api, "ObjectNotFoundException")
        self.target_value = request["TargetTrackingScalingPolicyConfiguration"]["TargetValue"]
        return {"PolicyARN": "arn:policy", "Alarms": []}

    def _DeregisterScalableTarget(self, api: str, request: dict[str, Any]) -> dict[str, Any]:
        if self.limits is None:
            raise _error(api, "ObjectNotFoundException")
        self._forget()
        return {}

    def _forget(self) -> None:
        self.limits = self.target_value = None


def _error(api: str, code: str) -> ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": "made up"},
        "ResponseMetadata": {"HTTPStatusCode": 400, "RequestId": "1"},
    }
    return ClientError(response, api)


@cache
def service_model() -> ServiceModel:
    """botocore's description of the Application Auto Scaling API."""
    return ServiceModel(Loader().load_service_model("application-autoscaling", "service-2"), "application-autoscaling")
