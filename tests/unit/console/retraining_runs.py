"""Executions of retrain-model whose outputs the tests choose; moto interprets no state machine here."""

import json
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from console.aws import Aws
from tests.unit import model_stage

METRICS = {"accuracy": 0.95, "ece": 0.02, "auroc": 0.99, "coverage": 0.9, "error_accepted": 0.004, "threshold": 0.935}
CHECKS = [
    {"check": "accuracy", "value": 0.96, "limit": 0.85, "direction": "at least", "passed": True},
    {"check": "possible loss in accuracy", "value": 0.031, "limit": 0.02, "direction": "at most", "passed": False},
]
DIFFERENCES = {
    "accuracy": {"mean": 0.01, "low": 0.002, "high": 0.02},
    "ece": {"mean": 0.01, "low": 0.004, "high": 0.02},
    "auroc": {"mean": 0.001, "low": -0.002, "high": 0.003},
}


def output(version: str, **changes: Any) -> dict[str, Any]:
    """Return the output of a run whose challenger was rejected as worse than the champion."""
    return {
        "outcome": "rejected",
        "model_version": version,
        "reason": "WorseThanChampion",
        "verdict": "possibly worse than the champion on the holdout",
        "checks": CHECKS,
        "challenger": {**METRICS, "model_version": version, "accuracy": 0.96, "recall": {"bicycle": 0.97}},
        "compared_with": {**METRICS, "model_version": model_stage.CHAMPION, "recall": {"bicycle": 0.95}},
        "reference": None,
        "evaluation": f"s3://scones-ml/retraining/{version}/evaluation.json",
        **changes,
    }


def put_report(version: str, **changes: Any) -> None:
    """Write the evaluation report of a run."""
    report = {
        "holdout": {
            "photos": 150,
            "photos_by_vehicle": {"bicycle": 80, "motorcycle": 70},
            "others": 40,
            "differences": DIFFERENCES,
        },
        "labelled": None,
        **changes,
    }
    body = json.dumps(report).encode()
    model_stage.aws("s3").put_object(Bucket="scones-ml", Key=f"retraining/{version}/evaluation.json", Body=body)


class Executions:
    """The executions of retrain-model, the last added first."""

    def __init__(self, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
        self.described: list[str] = []
        self._found: dict[str, dict[str, Any]] = {}
        for name in ("list_executions", "describe_execution"):
            monkeypatch.setattr(aws.stepfunctions, name, getattr(self, name))

    def add(self, name: str, result: dict[str, Any] | None, status: str = "SUCCEEDED", **changes: Any) -> str:
        """Add an execution with an output, None for none; return its ARN."""
        arn = f"arn:aws:states:eu-west-1:123456789012:execution:retrain:{name}"
        started = model_stage.NOW - timedelta(hours=5 - len(self._found))
        self._found[arn] = {
            "name": name,
            "executionArn": arn,
            "status": status,
            "startDate": started,
            "input": json.dumps({"trigger": "labels"}),
            **({} if status == "RUNNING" else {"stopDate": started + timedelta(minutes=9)}),
            **({} if result is None else {"output": json.dumps(result)}),
            **changes,
        }
        return arn

    def list_executions(self, **_: Any) -> dict[str, Any]:
        return {"executions": list(reversed(self._found.values()))}

    def describe_execution(self, *, executionArn: str) -> dict[str, Any]:
        self.described.append(executionArn)
        if executionArn not in self._found:
            raise ClientError({"Error": {"Code": "ExecutionDoesNotExist", "Message": "no"}}, "DescribeExecution")
        return self._found[executionArn]
