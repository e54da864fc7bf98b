"""Every metric that an alarm or the dashboard names is one that a function published in a test, or that AWS documents.

These tests run last: they evaluate what the functions published in all other tests of this folder.
"""

from pathlib import Path

import pytest

from tests.support.dashboard_body import Metric, Search, named
from tests.support.dashboard_of_stage import metrics_of_alarms, resolved_dashboard

STAGE = "test"
NAMED = [*metrics_of_alarms(STAGE), *named(resolved_dashboard(STAGE))]
# The metrics of AWS with their dimensions, by the page of the documentation that lists them.
DOCUMENTED = {
    "Available CloudWatch metrics for Amazon SQS": {
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible"): {"QueueName"},
        ("AWS/SQS", "ApproximateNumberOfMessagesNotVisible"): {"QueueName"},
    },
    "Monitoring Step Functions metrics using Amazon CloudWatch": {
        ("AWS/States", "ExecutionsStarted"): {"StateMachineArn"},
        ("AWS/States", "ExecutionsFailed"): {"StateMachineArn"},
        ("AWS/States", "ExecutionsTimedOut"): {"StateMachineArn"},
        ("AWS/States", "ExecutionsAborted"): {"StateMachineArn"},
        ("AWS/States", "ExecutionThrottled"): {"StateMachineArn"},
    },
    "Types of metrics for Lambda functions": {
        ("AWS/Lambda", "Invocations"): {"FunctionName"},
        ("AWS/Lambda", "Errors"): {"FunctionName"},
        ("AWS/Lambda", "Throttles"): {"FunctionName"},
    },
    "Amazon SageMaker AI metrics in Amazon CloudWatch": {
        ("AWS/SageMaker", "Invocations"): {"EndpointName", "VariantName"},
        ("AWS/SageMaker", "InvocationsPerInstance"): {"EndpointName", "VariantName"},
        ("AWS/SageMaker", "Invocation4XXErrors"): {"EndpointName", "VariantName"},
        ("AWS/SageMaker", "Invocation5XXErrors"): {"EndpointName", "VariantName"},
        ("AWS/SageMaker", "ModelLatency"): {"EndpointName", "VariantName"},
    },
    "DynamoDB Metrics and dimensions": {("AWS/DynamoDB", "ConsumedWriteCapacityUnits"): {"TableName"}},
    "Amazon S3 metrics and dimensions": {("AWS/S3", "BucketSizeBytes"): {"BucketName", "StorageType"}},
}


def is_documented(metric: Metric) -> bool:
    """Whether AWS publishes a metric with these dimensions."""
    dimensions = {name for name, _ in metric.dimensions}
    return any(page.get((metric.namespace, metric.name)) == dimensions for page in DOCUMENTED.values())


def test_every_metric_that_is_named_was_published(request: pytest.FixtureRequest, published: set[Metric]) -> None:
    collected = {item.path for item in request.session.items}
    if not collected >= set(Path(__file__).parent.glob("test_*.py")):
        pytest.skip("the metrics of all tests of this folder are needed: make test ARGS=tests/unit/functions")
    unknown = [
        f"{where}: {one}"
        for where, one in NAMED
        if not (one.finds(published) if isinstance(one, Search) else one in published or is_documented(one))
    ]
    assert unknown == []
