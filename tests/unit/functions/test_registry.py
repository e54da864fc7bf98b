"""The model registry: what SageMaker accepts, and what happens when it refuses."""

import json
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from functions.record_retraining.registry import Registry
from functions.record_retraining.result import RetrainingResult
from functions.shared.observability import log_and_count_unrecorded, make_logger_and_metrics
from local.sagemaker.validation import service_model, validate

ARN = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/scones-dev/1"
WORDS = "Better than v1: accuracy 0.951 (0.902), on 412 photos; street 0.98, catalogue 0.99,\nECE 0.021 ≤ 0.05"


def result_of(*, promoted: bool, words: str = WORDS) -> RetrainingResult:
    state: dict[str, Any] = {
        "run": {"name": "vehicles-dev-20261128-010203-4f1a"},
        "prepared": {
            "model_version": "vehicles-dev-20261128-010203-4f1a",
            "champion": {"model_version": "v1"},
            "snapshot": "s3://scones-dev-ml-123456789012-eu-west-1/datasets/snapshots/0123456789abcdef/",
            "image": f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/scones-dev@sha256:{'0a' * 32}",
        },
        "trained": {"artifact": "s3://scones-dev-ml-123456789012-eu-west-1/models/a/model.tar.gz"},
        "judged": {"words": words, "evaluation": "s3://scones-dev-ml-123456789012-eu-west-1/retraining/r/e.json"},
        "error": {"Error": "NotBetter", "Cause": words},
    }
    execution = "arn:aws:states:eu-west-1:123456789012:execution:scones-dev-retrain-model:0f1e2d3c-4b5a"
    return RetrainingResult(promoted, state, execution, "scones-dev-vehicles", "2026-11-28T01:02:03.000Z", "v1")


def registered(result: RetrainingResult) -> dict[str, Any]:
    """Register a result; return the request, which is valid for SageMaker."""
    sagemaker = boto3.client("sagemaker", region_name="eu-west-1", config=Config(signature_version=UNSIGNED))
    requests: list[dict[str, Any]] = []
    sagemaker.meta.events.register(
        "provide-client-params.sagemaker.CreateModelPackage", lambda params, **_: requests.append(params)
    )
    with Stubber(sagemaker) as answers:
        answers.add_response("create_model_package_group", {"ModelPackageGroupArn": "arn:aws:sagemaker:group"})
        answers.add_response("create_model_package", {"ModelPackageArn": ARN})
        assert Registry("scones-dev", sagemaker).register(result, "0123456789abcdef") == ARN
    (request,) = requests
    validate(service_model().operation_model("CreateModelPackage"), request)
    return request


@pytest.mark.parametrize("promoted", [True, False])
def test_sagemaker_accepts_a_verdict_with_punctuation(promoted: bool) -> None:
    request = registered(result_of(promoted=promoted))
    assert request["ModelApprovalStatus"] == ("Approved" if promoted else "Rejected")
    assert request["ModelPackageDescription"] == " ".join(WORDS.split())
    assert request["CustomerMetadataProperties"]["parent"] == "v1"
    assert "verdict" not in request["CustomerMetadataProperties"]


def test_a_long_verdict_is_cut_at_its_end() -> None:
    description = registered(result_of(promoted=True, words="word " * 400))["ModelPackageDescription"]
    assert (len(description), description[-1]) == (1024, "…")


def test_what_could_not_be_recorded_is_counted_for_an_alarm(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAGE", "test")
    logger, _ = make_logger_and_metrics("record-retraining")
    error = ClientError({"Error": {"Code": "ValidationException", "Message": "no"}}, "CreateModelPackage")
    log_and_count_unrecorded(logger, "challenger", "v2", error)
    (metric,) = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    assert (metric["ModelRecordsMissing"], metric["service"], metric["stage"]) == ([1.0], "model-records", "test")
    assert metric["model_version"] == "v2"
