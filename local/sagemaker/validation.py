"""Validate requests against botocore's service model, with SageMaker's error messages."""

from __future__ import annotations

from typing import Any, cast

from botocore.model import OperationModel, ServiceModel
from botocore.validate import ParamValidator
from ministack.core.responses import _service_model

from local.sagemaker.errors import validation_error
from local.service_models import constraint_problems


def service_model() -> ServiceModel:
    """Return botocore's model of SageMaker; ministack uses the same object for `aws-sdk:sagemaker` tasks."""
    return cast(ServiceModel, _service_model("sagemaker"))


def validate(operation: OperationModel, request: dict[str, Any]) -> None:
    """Raise ValidationException when `request` violates types, required members, lengths, patterns or enums."""
    shape = operation.input_shape
    if shape is None:
        return
    report = ParamValidator().validate(request, shape)
    if report.has_errors():
        raise validation_error(str(report.generate_report()))
    problems = [str(problem) for problem in constraint_problems(request, shape)]
    if problems:
        plural = "error" if len(problems) == 1 else "errors"
        raise validation_error(f"{len(problems)} validation {plural} detected: {'; '.join(problems)}")
