"""Run the drift watch of a deployed stage."""

import json

import boto3

from deploy.outputs import Deployed
from functions.shared.drift_state import DriftState, DriftTable


def run_watch(deployed: Deployed) -> DriftState:
    """Let the function look at the photos since the last look; return the state that it wrote."""
    answer = boto3.client("lambda").invoke(FunctionName=f"{deployed.app_name}-watch-quality", Payload=b'{"look": true}')
    payload = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, payload
    state = DriftTable(deployed.model_table, boto3.client("dynamodb")).read()
    assert state is not None
    assert (state.as_state()["look"], state.as_state()["drift"]) == (payload["look"], payload["drift"])
    return state
