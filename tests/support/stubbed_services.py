"""Answers of boto3's clients that a test gives, checked against botocore's service models."""

from typing import Any

import boto3
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator

Reply = tuple[AWSResponse, dict[str, Any]]


def checked(model: Any, answer: dict[str, Any]) -> Reply:
    """Return an answer for botocore's event `before-call`. Raises AssertionError when AWS could not have given it."""
    if model.output_shape is not None:
        report = ParamValidator().validate(answer, model.output_shape)
        assert not report.has_errors(), f"{model.name}: {report.generate_report()}"
    return AWSResponse("", 200, {}, None), {**answer, "ResponseMetadata": {"HTTPStatusCode": 200}}


def refused(error: ClientError) -> Reply:
    """Return an error for botocore's event `before-call`."""
    return AWSResponse("", 400, {}, None), {**error.response, "ResponseMetadata": {"HTTPStatusCode": 400}}


class Quotas:
    """The quotas of an account. `sagemaker` has the applied ones by name, every other one has its default."""

    def __init__(self) -> None:
        """The quotas of an account in use."""
        self.sagemaker: dict[str, float] = {}
        self.defaults = {
            f"{kind} for {usage} usage": 4.0
            for kind in ("ml.m5.large", "ml.m5.xlarge", "ml.c7i.xlarge")
            for usage in ("training job", "processing job", "endpoint")
        }
        self.concurrency, self.unreserved = 1000, 1000
        self.is_readable = True

    def install(self) -> None:
        """Answer the clients of the default session."""
        events = boto3.DEFAULT_SESSION.events
        events.register("before-call.service-quotas.ListServiceQuotas", self._applied)
        events.register("before-call.service-quotas.ListAWSDefaultServiceQuotas", self._defaults)
        events.register("before-call.lambda.GetAccountSettings", self._account)

    def _applied(self, model: Any, **_: Any) -> Reply:
        return self._list(model, self.sagemaker)

    def _defaults(self, model: Any, **_: Any) -> Reply:
        return self._list(model, self.defaults)

    def _list(self, model: Any, quotas: dict[str, float]) -> Reply:
        if not self.is_readable:
            error = {"Error": {"Code": "AccessDeniedException", "Message": "not authorized to list quotas"}}
            return refused(ClientError(error, model.name))
        listed = [{"QuotaName": name, "QuotaCode": "L-12345678", "Value": value} for name, value in quotas.items()]
        return checked(model, {"Quotas": listed})

    def _account(self, model: Any, **_: Any) -> Reply:
        limit = {"ConcurrentExecutions": self.concurrency, "UnreservedConcurrentExecutions": self.unreserved}
        return checked(model, {"AccountLimit": limit})


class Functions:
    """The functions of an account, none of which runs; `invoked` are the names of those that were invoked, in order."""

    def __init__(self) -> None:
        self.invoked: list[str] = []

    def install(self) -> None:
        """Answer the clients of the default session."""
        events = boto3.DEFAULT_SESSION.events
        events.register("before-parameter-build.lambda.Invoke", self._record)
        events.register("before-call.lambda.Invoke", self._accept)

    def _record(self, params: Any, **_: Any) -> None:
        assert params["InvocationType"] == "Event"
        self.invoked.append(params["FunctionName"])

    def _accept(self, model: Any, **_: Any) -> Reply:
        return checked(model, {"StatusCode": 202})
