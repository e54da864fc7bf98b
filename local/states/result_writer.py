"""ResultWriter: what the children of a Distributed Map returned, in the state's output or in S3.

Source: "ResultWriter (Map)", AWS Step Functions Developer Guide: a folder named after the Map Run has `manifest.json`
and one file for each status with children, such as `SUCCEEDED_0.json`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from ministack.services import s3
from ministack.services.stepfunctions import _ExecutionError

from local.service_roles import NotAuthorized, ServiceRole

JSON = Any
FAILED = "States.ResultWriterFailed"
STATUSES = {"SUCCEEDED": "SUCCEEDED", "FAILED": "FAILED", "TIMED_OUT": "FAILED", "ABORTED": "FAILED"}
REDRIVE_REASONS = {
    "SUCCEEDED": "Execution is SUCCEEDED and cannot be redriven",
    "FAILED": "Execution is a child of a Map Run and is redriven with it",
}


def as_output(children: Iterable[dict[str, Any]], definition: dict[str, Any] | None) -> JSON:
    """Return the output of a state whose results are not exported; children that failed are null."""
    config = (definition or {}).get("WriterConfig", {})
    transformation = config.get("Transformation", "COMPACT")
    if transformation == "NONE":
        results: list[JSON] = [_described(child) for child in children]
    else:
        results = _transformed(children, transformation)
    return "\n".join(map(json.dumps, results)) if config.get("OutputType") == "JSONL" else results


def export(
    map_run: str,
    children: Iterable[dict[str, Any]],
    pending: Iterable[str],
    definition: dict[str, Any],
    parameters: dict[str, Any],
    role: ServiceRole,
) -> dict[str, Any]:
    """Write the results to S3; return the output of the state. Raises States.ResultWriterFailed.

    `map_run` is the ARN of the Map Run, `pending` the inputs of children that were not started.
    """
    config = definition.get("WriterConfig", {})
    lines = config.get("OutputType") == "JSONL"
    bucket, prefix = str(parameters["Bucket"]), str(parameters.get("Prefix") or "").rstrip("/")
    folder = "/".join(part for part in (prefix, map_run.rpartition(":")[2]) if part)
    by_status: dict[str, list[dict[str, Any]]] = {"FAILED": [], "PENDING": [], "SUCCEEDED": []}
    for child in children:
        by_status[STATUSES[child["status"]]].append(child)
    written: dict[str, list[JSON]] = {
        "FAILED": [_described(child) for child in by_status["FAILED"]],
        "PENDING": [{"Input": text, "InputDetails": {"Included": True}, "Status": "PENDING"} for text in pending],
        "SUCCEEDED": [_described(child) for child in by_status["SUCCEEDED"]],
    }
    transformation = config.get("Transformation", "NONE")
    if transformation != "NONE":
        written["SUCCEEDED"] = _transformed(by_status["SUCCEEDED"], transformation)
    files: dict[str, list[dict[str, Any]]] = {}
    for status, results in written.items():
        files[status] = []
        if results:
            key = f"{folder}/{status}_0.{'jsonl' if lines else 'json'}"
            text = "\n".join(map(json.dumps, results)) + "\n" if lines else json.dumps(results)
            files[status] = [{"Key": key, "Size": _put(role, bucket, key, text)}]
    key = f"{folder}/manifest.json"
    manifest = {"DestinationBucket": bucket, "MapRunArn": map_run, "ResultFiles": files}
    _put(role, bucket, key, json.dumps(manifest))
    return {"MapRunArn": map_run, "ResultWriterDetails": {"Bucket": bucket, "Key": key}}


def _transformed(children: Iterable[dict[str, Any]], transformation: str) -> list[JSON]:
    outputs = [json.loads(child["output"]) if child["status"] == "SUCCEEDED" else None for child in children]
    if transformation != "FLATTEN":
        return outputs
    return [one for output in outputs for one in (output if isinstance(output, list) else [output])]


def _described(child: dict[str, Any]) -> dict[str, Any]:
    """A child as it is exported with its metadata."""
    succeeded = child["status"] == "SUCCEEDED"
    ended = (
        {"Output": child["output"], "OutputDetails": {"Included": True}}
        if succeeded
        else {"Cause": child.get("cause") or "", "Error": child.get("error") or ""}
    )
    described = {
        "ExecutionArn": child["executionArn"],
        "Input": child["input"],
        "InputDetails": {"Included": True},
        "Name": child["name"],
        **ended,
        "RedriveCount": 0,
        "RedriveStatus": "NOT_REDRIVABLE" if succeeded else "REDRIVABLE_BY_MAP_RUN",
        "RedriveStatusReason": REDRIVE_REASONS["SUCCEEDED" if succeeded else "FAILED"],
        "StartDate": _time(child["startDate"]),
        "StateMachineArn": child["stateMachineArn"],
        "Status": child["status"],
        "StopDate": _time(child["stopDate"]),
    }
    return dict(sorted(described.items()))


def _time(stamp: str) -> str:
    return datetime.fromisoformat(stamp).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _put(role: ServiceRole, bucket: str, key: str, text: str) -> int:
    """Write an object; return its size in bytes. The policy of the bucket is evaluated, too."""
    content = text.encode()
    try:
        role.require("s3:PutObject", f"arn:aws:s3:::{bucket}/{key}")
    except NotAuthorized as error:
        raise _ExecutionError(FAILED, str(error)) from error
    headers = {"content-type": "application/json"}
    status, _headers, answer = s3._dispatch("PUT", bucket, key, headers, content, {})
    if status >= 300:
        text = answer.decode(errors="replace") if isinstance(answer, bytes) else str(answer)
        raise _ExecutionError(FAILED, f"S3 refused s3://{bucket}/{key}: {text}")
    return len(content)
