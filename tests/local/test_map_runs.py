"""Step Functions: a Distributed Map reads, groups and bounds its items, and writes its results, as on AWS."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from tests.local.aws import Aws
from tests.local.definitions import invoke, machine
from tests.support.waiting import eventually

PASS: dict[str, Any] = {"Pass": {"Type": "Pass", "End": True}}
OUTPUT = "arn:aws:states:::s3:putObject"
GET, LIST = "arn:aws:states:::s3:getObject", "arn:aws:states:::s3:listObjectsV2"
FAILING = """
def handler(event, context):
    if event.get("fail"): raise ValueError("no " + str(event["fail"]))
    return {"seen": event}
"""


def distributed(states: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """A Distributed Map state whose children begin with the first of `states`."""
    states = states or PASS
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": next(iter(states)),
        "States": states,
    }
    return {"Type": "Map", "Label": "Each", "ItemProcessor": processor, "End": True, **fields}


def items(aws: Aws, execution_input: Any = None, /, **fields: Any) -> Any:
    """The items that the children of a Distributed Map got."""
    ended = aws.run_to_end(machine(distributed(**fields)), execution_input)
    assert ended["status"] == "SUCCEEDED", ended.get("cause")
    return ended["output"]


def reader(bucket: str, key: str, **config: Any) -> dict[str, Any]:
    return {"Resource": GET, "ReaderConfig": config, "Parameters": {"Bucket": bucket, "Key": key}}


def put(aws: Aws, bucket: str, key: str, content: bytes) -> None:
    aws.client("s3").put_object(Bucket=bucket, Key=key, Body=content)


def read(aws: Aws, bucket: str, key: str) -> str:
    content: bytes = aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    return content.decode()


def children(aws: Aws, execution: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The only Map Run of an execution, described, and its child executions."""
    states = aws.client("stepfunctions")
    (run,) = states.list_map_runs(executionArn=execution)["mapRuns"]
    found = states.list_executions(mapRunArn=run["mapRunArn"])["executions"]
    return states.describe_map_run(mapRunArn=run["mapRunArn"]), found


@pytest.fixture(scope="module")
def bucket(aws: Aws) -> str:
    return aws.create_bucket()


@pytest.mark.parametrize(
    ("content", "config", "expected"),
    [
        (b'["a", {"b": 1}]', {"InputType": "JSON"}, ["a", {"b": 1}]),
        (b'{"x": {"y": [1, 2]}}', {"InputType": "JSON", "ItemsPointer": "/x/y"}, [1, 2]),
        (b'{"key": "a"}\n\n{"key": "b"}\n', {"InputType": "JSONL"}, [{"key": "a"}, {"key": "b"}]),
        (
            b'key,size\n"a,1",3\nb\n',
            {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"},
            [{"key": "a,1", "size": "3"}, {"key": "b", "size": ""}],
        ),
        (
            b"a;3;more\n",
            {"InputType": "CSV", "CSVHeaderLocation": "GIVEN", "CSVHeaders": ["k", "n"], "CSVDelimiter": "SEMICOLON"},
            [{"k": "a", "n": "3"}],
        ),
        (b"[1, 2, 3]", {"InputType": "JSON", "MaxItems": 2}, [1, 2]),
    ],
)
def test_items_are_read_from_an_object(aws: Aws, bucket: str, content: bytes, config: Any, expected: Any) -> None:
    put(aws, bucket, "list", content)
    assert items(aws, ItemReader=reader(bucket, "list", **config)) == expected


def test_items_are_the_objects_under_a_prefix(aws: Aws, bucket: str) -> None:
    for key in ("photos/b", "photos/a", "other"):
        put(aws, bucket, key, b"12345")
    listing = {"Resource": LIST, "Parameters": {"Bucket.$": "$.bucket", "Prefix": "photos/"}}
    found = items(aws, {"bucket": bucket}, ItemReader=listing)
    assert [item["Key"] for item in found] == ["photos/a", "photos/b"]
    assert [item["Size"] for item in found] == [5, 5]
    assert found[0].keys() == {"Etag", "Key", "LastModified", "Size", "StorageClass"}


def test_items_are_the_objects_of_an_inventory(aws: Aws, bucket: str) -> None:
    rows = '"source","a%20b.jpg","7","e1"\n"source","c.jpg","8","e2"\n'
    put(aws, bucket, "inventory/data/1.csv.gz", gzip.compress(rows.encode()))
    manifest = {
        "sourceBucket": "source",
        "destinationBucket": f"arn:aws:s3:::{bucket}",
        "fileFormat": "CSV",
        "fileSchema": "Bucket, Key, Size, ETag",
        "files": [{"key": "inventory/data/1.csv.gz"}],
    }
    put(aws, bucket, "inventory/manifest.json", json.dumps(manifest).encode())
    found = items(aws, ItemReader=reader(bucket, "inventory/manifest.json", InputType="MANIFEST"))
    assert found == [
        {"Bucket": "source", "Key": "a%20b.jpg", "Size": "7", "ETag": "e1"},
        {"Bucket": "source", "Key": "c.jpg", "Size": "8", "ETag": "e2"},
    ]


def test_a_list_that_does_not_exist_fails_the_state(aws: Aws, bucket: str) -> None:
    ended = aws.run_to_end(machine(distributed(ItemReader=reader(bucket, "none", InputType="JSON"))))
    assert ended["error"] == "States.ItemReaderFailed"
    assert "none" in ended["cause"]


def test_a_list_that_cannot_be_parsed_fails_the_state(aws: Aws, bucket: str) -> None:
    put(aws, bucket, "broken", b"{")
    ended = aws.run_to_end(machine(distributed(ItemReader=reader(bucket, "broken", InputType="JSON"))))
    assert ended["error"] == "States.ItemReaderFailed"


def test_items_are_selected_before_they_are_grouped(aws: Aws) -> None:
    found = items(
        aws,
        {"list": [1, 2, 3, 4, 5], "id": "run-1", "most": 2},
        ItemsPath="$.list",
        ItemSelector={"value.$": "$$.Map.Item.Value", "index.$": "$$.Map.Item.Index", "id.$": "$.id"},
        ItemBatcher={"MaxItemsPerBatchPath": "$.most", "BatchInput": {"id.$": "$.id", "more": True}},
    )
    assert [batch["BatchInput"] for batch in found] == [{"id": "run-1", "more": True}] * 3
    assert [[item["value"] for item in batch["Items"]] for batch in found] == [[1, 2], [3, 4], [5]]
    assert found[2]["Items"] == [{"value": 5, "index": 4, "id": "run-1"}]


def test_a_batch_has_at_most_a_number_of_bytes(aws: Aws) -> None:
    found = items(aws, ["x" * 100] * 5, ItemBatcher={"MaxInputBytesPerBatch": 250})
    assert [len(batch["Items"]) for batch in found] == [2, 2, 1]


def test_a_child_is_an_execution_with_its_own_history_and_context(aws: Aws) -> None:
    context = {"Pass": {"Type": "Pass", "Parameters": {"execution.$": "$$.Execution.Id"}, "End": True}}
    ended = aws.run_to_end(machine(distributed(context)), [1, 2])
    run, found = children(aws, ended["executionArn"])
    assert sorted(child["executionArn"] for child in found) == sorted(one["execution"] for one in ended["output"])
    assert {child["stateMachineArn"].rpartition("/")[2] for child in found} == {"Each"}
    states = aws.client("stepfunctions")
    history = states.get_execution_history(executionArn=found[0]["executionArn"])["events"]
    assert [event["type"] for event in history] == [
        *("ExecutionStarted", "PassStateEntered", "PassStateExited", "ExecutionSucceeded"),
    ]
    parent = states.get_execution_history(executionArn=ended["executionArn"])["events"]
    assert [event["type"] for event in parent] == [
        *("ExecutionStarted", "MapStateEntered", "MapRunStarted", "MapRunSucceeded", "MapStateExited"),
        "ExecutionSucceeded",
    ]
    assert parent[2]["mapRunStartedEventDetails"]["mapRunArn"] == run["mapRunArn"]


def test_the_state_machine_of_children_is_not_listed(aws: Aws) -> None:
    waiting = {"Wait": {"Type": "Wait", "Seconds": 60, "End": True}}
    arn = aws.create_state_machine(machine(distributed(waiting)))
    states = aws.client("stepfunctions")
    execution = states.start_execution(stateMachineArn=arn, input="[1]")["executionArn"]
    (child,) = eventually(lambda: running(aws, execution), lambda found: len(found) == 1)
    assert states.describe_state_machine(stateMachineArn=child["stateMachineArn"])["name"].endswith("/Each")
    pages = states.get_paginator("list_state_machines").paginate()
    assert not [one["name"] for page in pages for one in page["stateMachines"] if "/" in one["name"]]
    states.stop_execution(executionArn=execution)


def running(aws: Aws, execution: str) -> list[dict[str, Any]]:
    states = aws.client("stepfunctions")
    return [
        child
        for run in states.list_map_runs(executionArn=execution)["mapRuns"]
        for child in states.list_executions(mapRunArn=run["mapRunArn"], statusFilter="RUNNING")["executions"]
    ]


def test_no_more_children_run_than_the_concurrency_allows(aws: Aws) -> None:
    waiting = {"Wait": {"Type": "Wait", "Seconds": 60, "End": True}}
    arn = aws.create_state_machine(machine(distributed(waiting, ItemsPath="$.list", MaxConcurrencyPath="$.most")))
    states = aws.client("stepfunctions")
    given = json.dumps({"list": list(range(9)), "most": 3})
    execution = states.start_execution(stateMachineArn=arn, input=given)["executionArn"]
    eventually(lambda: running(aws, execution), lambda found: len(found) == 3)
    states.stop_execution(executionArn=execution)
    run, found = eventually(lambda: children(aws, execution), lambda seen: seen[0]["status"] == "ABORTED")
    assert [child["status"] for child in found] == ["ABORTED"] * 3
    assert run["itemCounts"]["aborted"] == run["itemCounts"]["total"] == 9
    assert run["maxConcurrency"] == 3


@pytest.fixture(scope="module")
def function(aws: Aws) -> str:
    return aws.create_function(FAILING)


def failing(function: str, **fields: Any) -> dict[str, Any]:
    """Children that fail for an item with `fail`, one at a time."""
    call = invoke(function, {"fail.$": "$.fail"}, OutputPath="$.Payload")
    return machine(distributed({"Call": call}, MaxConcurrency=1, **fields))


ITEMS = [{"fail": text} for text in ("", "luck", "", "way", "", "")]


@pytest.mark.parametrize(
    ("tolerated", "status", "succeeded"),
    [
        ({}, "FAILED", 1),
        ({"ToleratedFailureCount": 1}, "FAILED", 2),
        ({"ToleratedFailureCount": 2}, "SUCCEEDED", 4),
        ({"ToleratedFailurePercentage": 34}, "SUCCEEDED", 4),
        ({"ToleratedFailurePercentage": 33}, "FAILED", 2),
        ({"ToleratedFailurePercentage": 100, "ToleratedFailureCount": 0}, "FAILED", 1),
    ],
)
def test_a_map_run_ends_when_more_items_fail_than_tolerated(
    aws: Aws, function: str, tolerated: dict[str, int], status: str, succeeded: int
) -> None:
    ended = aws.run_to_end(failing(function, **tolerated), ITEMS)
    assert ended["status"] == status
    assert ended.get("error") == (None if status == "SUCCEEDED" else "States.ExceedToleratedFailureThreshold")
    run, found = children(aws, ended["executionArn"])
    assert run["status"] == status
    assert run["itemCounts"]["succeeded"] == succeeded
    assert sum(child["status"] == "SUCCEEDED" for child in found) == succeeded


def test_the_tolerated_failures_are_those_of_items(aws: Aws, function: str) -> None:
    call = {"Call": invoke(function, {"fail.$": "$.Items[0].fail"}, OutputPath="$.Payload")}
    batched = distributed(call, ItemBatcher={"MaxItemsPerBatch": 3}, ToleratedFailureCount=2, MaxConcurrency=1)
    ended = aws.run_to_end(machine(batched), [{"fail": "luck"}] * 3 + [{"fail": ""}] * 3)
    assert ended["error"] == "States.ExceedToleratedFailureThreshold"
    run, _ = children(aws, ended["executionArn"])
    assert run["itemCounts"]["failed"] == 3
    assert run["executionCounts"]["failed"] == 1


def writer(bucket: str, **config: str) -> dict[str, Any]:
    named = {"Resource": OUTPUT, "Parameters": {"Bucket": bucket, "Prefix": "results"}}
    return {"ResultWriter": {**named, **({"WriterConfig": config} if config else {})}}


def exported(aws: Aws, bucket: str, output: dict[str, Any]) -> dict[str, list[str]]:
    """The texts of the exported files by status."""
    details = output["ResultWriterDetails"]
    assert details == {"Bucket": bucket, "Key": f"results/{output['MapRunArn'].rpartition(':')[2]}/manifest.json"}
    manifest = json.loads(read(aws, bucket, details["Key"]))
    assert manifest["DestinationBucket"] == bucket
    assert manifest["MapRunArn"] == output["MapRunArn"]
    texts = {}
    for status, files in manifest["ResultFiles"].items():
        texts[status] = [read(aws, bucket, file["Key"]) for file in files]
        assert [file["Size"] for file in files] == [len(text) for text in texts[status]]
        assert all(file["Key"].rpartition("/")[2].startswith(f"{status}_0.json") for file in files)
    return texts


def test_results_are_exported_by_status(aws: Aws, bucket: str, function: str) -> None:
    ended = aws.run_to_end(failing(function, ToleratedFailurePercentage=100, **writer(bucket)), ITEMS)
    texts = exported(aws, bucket, ended["output"])
    assert texts["PENDING"] == []
    succeeded, failed = json.loads(texts["SUCCEEDED"][0]), json.loads(texts["FAILED"][0])
    assert [json.loads(one["Output"]) for one in succeeded] == [{"seen": {"fail": ""}}] * 4
    assert [json.loads(one["Input"])["fail"] for one in failed] == ["luck", "way"]
    assert [one["Error"] for one in failed] == ["ValueError"] * 2
    assert succeeded[0].keys() == {
        *("ExecutionArn", "Input", "InputDetails", "Name", "Output", "OutputDetails", "RedriveCount", "RedriveStatus"),
        *("RedriveStatusReason", "StartDate", "StateMachineArn", "Status", "StopDate"),
    }
    run, _ = children(aws, ended["executionArn"])
    assert run["itemCounts"]["resultsWritten"] == 6


def test_results_of_a_failed_map_run_are_exported_too(aws: Aws, function: str) -> None:
    bucket = aws.create_bucket()
    ended = aws.run_to_end(failing(function, ToleratedFailureCount=0, **writer(bucket)), ITEMS)
    assert ended["status"] == "FAILED"
    run, _ = children(aws, ended["executionArn"])
    key = f"results/{run['mapRunArn'].rpartition(':')[2]}/manifest.json"
    output = {"MapRunArn": run["mapRunArn"], "ResultWriterDetails": {"Bucket": bucket, "Key": key}}
    texts = exported(aws, bucket, output)
    assert [len(json.loads(texts[status][0])) for status in ("SUCCEEDED", "FAILED", "PENDING")] == [1, 1, 4]


@pytest.mark.parametrize(("transformation", "expected"), [("COMPACT", [[1, 2], [3]]), ("FLATTEN", [1, 2, 3])])
def test_results_are_exported_as_json_lines(aws: Aws, bucket: str, transformation: str, expected: Any) -> None:
    fields = writer(bucket, OutputType="JSONL", Transformation=transformation)
    ended = aws.run_to_end(machine(distributed(**fields)), [[1, 2], [3]])
    (text,) = exported(aws, bucket, ended["output"])["SUCCEEDED"]
    assert [json.loads(line) for line in text.splitlines()] == expected


def test_results_are_formatted_without_an_export(aws: Aws) -> None:
    config = {"WriterConfig": {"OutputType": "JSON", "Transformation": "FLATTEN"}}
    assert items(aws, [[1, 2], [3]], ResultWriter=config) == [1, 2, 3]


def test_results_that_are_too_large_for_the_output_fail_the_state(aws: Aws) -> None:
    large = {"Pass": {"Type": "Pass", "Result": "x" * 2000, "End": True}}
    ended = aws.run_to_end(machine(distributed(large)), [1] * 200)
    assert ended["error"] == "States.DataLimitExceeded"


def test_results_for_a_bucket_that_does_not_exist_fail_the_state(aws: Aws) -> None:
    ended = aws.run_to_end(machine(distributed(**writer("no-such-bucket"))), [1])
    assert ended["error"] == "States.ResultWriterFailed"


def test_two_map_runs_of_one_state_machine_run_at_the_same_time(aws: Aws) -> None:
    arn = aws.create_state_machine(machine(distributed({"Wait": {"Type": "Wait", "Seconds": 1, "End": True}})))
    states = aws.client("stepfunctions")
    started = [states.start_execution(stateMachineArn=arn, input="[1, 2]")["executionArn"] for _ in range(2)]
    assert [aws.wait_for_execution(execution)["status"] for execution in started] == ["SUCCEEDED"] * 2
