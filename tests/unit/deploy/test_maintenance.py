"""Alarms do not notify during a deployment."""

import boto3
import pytest
from moto import mock_aws

from deploy import maintenance


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)


def test_a_deployment_publishes_that_it_runs() -> None:
    said: list[str] = []
    with mock_aws():
        with maintenance.silenced("dev", said.append):
            pass
        (metric,) = boto3.client("cloudwatch").list_metrics(Namespace="Scones/Vehicles")["Metrics"]
    assert (metric["MetricName"], metric["Dimensions"]) == ("Deploying", [{"Name": "stage", "Value": "dev"}])
    assert said == []


def test_a_deployment_that_may_not_publish_says_so_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    said: list[str] = []
    with maintenance.silenced("dev", said.append):
        done = True
    assert done
    assert said[0].startswith("Alarms may notify during this deployment: ")
