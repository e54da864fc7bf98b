"""Requests are validated as AWS does: with every pattern of the service model."""

from __future__ import annotations

import warnings

import botocore.session
import pytest

from local.sagemaker.errors import SageMakerError
from local.sagemaker.validation import service_model, validate
from local.service_models import compiled, constraint_problems

SERVICES = ("sagemaker", "dynamodb", "lambda", "stepfunctions", "events", "iam", "logs", "ssm", "sts", "s3", "sqs")


@pytest.mark.parametrize("service", SERVICES)
def test_every_pattern_of_a_service_is_checked(service: str) -> None:
    model = botocore.session.get_session().get_service_model(service)
    patterns = {shape.metadata.get("pattern") for name in model.shape_names if (shape := model.shape_for(name))}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # A set may be nested in a set in Java.
        assert all(compiled(pattern) for pattern in patterns if pattern)


@pytest.mark.parametrize("value", ["accuracy 0.95, loss 0.1", "a;b", "better (0.95)"])
def test_metadata_of_a_model_package_has_no_punctuation(value: str) -> None:
    operation = service_model().operation_model("CreateModelPackage")
    request = {"ModelPackageGroupName": "g", "CustomerMetadataProperties": {"verdict": value}}
    with pytest.raises(SageMakerError, match="regular expression pattern"):
        validate(operation, request)
    validate(operation, {**request, "CustomerMetadataProperties": {"source": "s3://b/source/1a-2b/x.tar.gz"}})


def test_characters_above_u_ffff_are_accepted_where_java_accepts_them() -> None:
    shape = service_model().shape_for("AthenaCatalog")
    assert list(constraint_problems("catalogue \U0001f6b2", shape)) == []
    assert list(constraint_problems("\x00", shape))
