"""The watch of the service measures with the permissions of its role."""

import json
from typing import Any

import boto3

from deploy.outputs import Deployed


def test_the_watch_measures_waiting_drivers_and_the_last_photo(deployed: Deployed) -> None:
    answer: Any = boto3.client("lambda").invoke(FunctionName=f"{deployed.app_name}-watch-service", Payload=b"{}")
    measured = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, measured
    assert measured["LongestDriverWait"] >= 0
    assert measured["HoursWithoutPhoto"] >= 0
