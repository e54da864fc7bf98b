"""The dashboard of a deployed stage names metrics that were published, by the names of its resources."""

import json
from typing import Any

import boto3
from jsonschema import Draft202012Validator

from tests.support import dashboard_body
from tests.support.dashboard_body import Metric
from tests.support.upload_stage import UploadStage
from tests.support.waiting import eventually

# What the embedded AWS does not publish, and what no photo and no retraining causes.
# tests/unit/functions/test_published_metrics.py holds all names to the documentation.
UNPUBLISHED = {"ExecutionThrottled", "ConsumedWriteCapacityUnits", "BucketSizeBytes"}


def listed() -> set[Metric]:
    """The metrics that somebody has published."""
    pages = boto3.client("cloudwatch").get_paginator("list_metrics").paginate()
    return {
        Metric.of(one["Namespace"], one["MetricName"], {pair["Name"]: pair["Value"] for pair in one["Dimensions"]})
        for page in pages
        for one in page["Metrics"]
    }


def test_the_dashboard_shows_what_an_upload_and_the_watch_publish(upload_stage: UploadStage) -> None:
    deployed = upload_stage.deployed
    dashboard = boto3.client("cloudwatch").get_dashboard(DashboardName=deployed.app_name)
    body: dict[str, Any] = json.loads(dashboard["DashboardBody"])
    Draft202012Validator(dashboard_body.SCHEMA).validate(body)
    photo = upload_stage.put("uploads/driver-dashboard/1.png", upload_stage.photo_of("bicycle", 0).content)
    eventually(lambda: upload_stage.decision(photo), what="the decision")
    boto3.client("lambda").invoke(FunctionName=f"{deployed.app_name}-watch-service", Payload=b"{}")
    expected = {
        one
        for _, one in dashboard_body.named(body)
        if isinstance(one, Metric)
        and one.name not in UNPUBLISHED
        and (one.namespace.startswith("AWS/") or ("service", "watch-service") in one.dimensions)
        and not any("rollback-model" in value for _, value in one.dimensions)
    }
    assert {one.namespace for one in expected} >= {"AWS/SQS", "AWS/States", "AWS/Lambda", "AWS/SageMaker"}
    eventually(lambda: expected - listed(), lambda missing: not missing, what="the metrics of the dashboard")
    searched = [one for _, one in dashboard_body.named(body) if isinstance(one, dashboard_body.Search)]
    routed = next(one for one in searched if one.name == "DriversRouted" and ("", "model") in one.wanted)
    assert routed.finds(listed())
