"""Step Functions: errors, time-outs, callbacks, stopping and nesting behave as on AWS."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.aws import Aws
from tests.local.definitions import invoke, machine, task
from tests.support.waiting import eventually

FAILING = """
import json, time
class PhotoMissing(Exception): pass
def handler(event, context):
    if event and event.get("sleep"): time.sleep(event["sleep"])
    if event and event.get("fail"): raise PhotoMissing("no photo " + str(event.get("attempt", "")))
    return {"event": event}
"""


@pytest.fixture(scope="module")
def function(aws: Aws) -> str:
    return aws.create_function(FAILING)


def events(aws: Aws, arn: str) -> list[str]:
    history = aws.client("stepfunctions").get_execution_history(executionArn=arn, maxResults=1000)["events"]
    return [event["type"] for event in history]


def test_an_execution_starts_at_once(aws: Aws) -> None:
    arn = aws.create_state_machine(machine({"Type": "Pass", "Result": 1, "End": True}))
    states = aws.client("stepfunctions")

    def seconds() -> float:
        began = time.perf_counter()
        execution = states.start_execution(stateMachineArn=arn)["executionArn"]
        while states.describe_execution(executionArn=execution)["status"] == "RUNNING":
            pass
        return time.perf_counter() - began

    # The least of them, because other processes delay some.
    assert min(seconds() for _ in range(20)) < 0.1


def test_errors_are_caught_by_the_class_of_the_exception(aws: Aws, function: str) -> None:
    catch = [{"ErrorEquals": ["PhotoMissing"], "ResultPath": "$.error", "Next": "Caught"}]
    ended = aws.run_to_end(machine(invoke(function, {"fail": True}, Catch=catch), Caught={"Type": "Pass", "End": True}))
    assert ended["status"] == "SUCCEEDED"
    assert ended["output"]["error"]["Error"] == "PhotoMissing"
    assert json.loads(ended["output"]["error"]["Cause"])["errorMessage"].startswith("no photo")


def test_invocations_of_a_workflow_are_counted(aws: Aws) -> None:
    function = aws.create_function(FAILING)
    aws.run_to_end(machine(invoke(function, {"fail": True})))
    statistics = aws.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/Lambda",
        MetricName="Errors",
        Dimensions=[{"Name": "FunctionName", "Value": function}],
        StartTime=time.time() - 600,
        EndTime=time.time() + 60,
        Period=3600,
        Statistics=["Sum"],
    )["Datapoints"]
    assert [point["Sum"] for point in statistics] == [1.0]


def test_retries_wait_at_most_the_maximum_delay(aws: Aws, function: str) -> None:
    retry = [
        {
            "ErrorEquals": ["PhotoMissing"],
            "IntervalSeconds": 1,
            "BackoffRate": 10,
            "MaxAttempts": 2,
            "MaxDelaySeconds": 1,
            "JitterStrategy": "FULL",
        }
    ]
    parameters = {"fail": True, "attempt.$": "$$.State.RetryCount"}
    began = time.monotonic()
    ended = aws.run_to_end(machine(invoke(function, parameters, Retry=retry)))
    assert ended["status"] == "FAILED"
    assert ended["error"] == "PhotoMissing"
    assert "no photo 2" in ended["cause"]
    assert time.monotonic() - began < 4
    assert events(aws, ended["executionArn"]).count("TaskFailed") == 3


@pytest.mark.parametrize("timeout", [{"TimeoutSeconds": 1}, {"TimeoutSecondsPath": "$.limit"}])
def test_a_state_times_out(aws: Aws, function: str, timeout: dict[str, Any]) -> None:
    catch = [{"ErrorEquals": ["States.Timeout"], "Next": "Late"}]
    definition = machine(invoke(function, {"sleep": 3}, Catch=catch, **timeout), Late={"Type": "Succeed"})
    ended = aws.run_to_end(definition, {"limit": 1})
    assert ended["status"] == "SUCCEEDED"
    assert ended["output"]["Error"] == "States.Timeout"


def test_the_time_limit_of_the_machine_ends_the_execution(aws: Aws) -> None:
    definition = {**machine({"Type": "Wait", "Seconds": 60, "End": True}), "TimeoutSeconds": 1}
    assert aws.run_to_end(definition)["status"] == "TIMED_OUT"


def test_a_path_that_selects_nothing_fails_the_state(aws: Aws, function: str) -> None:
    ended = aws.run_to_end(machine(invoke(function, {"key.$": "$.photo.key"})), {"photo": {}})
    assert ended["status"] == "FAILED"
    assert ended["error"] == "States.ParameterPathFailure"
    assert "The JSONPath '$.photo.key' specified for the field 'key.$' could not be found" in ended["cause"]


def callback_machine(function: str, **fields: Any) -> dict[str, Any]:
    parameters = {"FunctionName": function, "Payload": {"token.$": "$$.Task.Token", "fail.$": "$.fail"}}
    return machine(task("arn:aws:states:::lambda:invoke.waitForTaskToken", parameters, **fields))


def token_function(aws: Aws) -> tuple[str, str]:
    """Create a function that sends its task token to a queue; returns its name and the queue's URL."""
    url = aws.client("sqs").create_queue(QueueName=f"tokens-{time.time_ns()}")["QueueUrl"]
    code = f"""
        import boto3
        queue = boto3.client("sqs")
        class ReviewPending(Exception): pass
        def handler(event, context):
            if event["fail"]: raise ReviewPending("another request is open")
            queue.send_message(QueueUrl="{url}", MessageBody=event["token"])
    """
    return aws.create_function(code), url


def receive(aws: Aws, url: str) -> str:
    messages = eventually(lambda: aws.client("sqs").receive_message(QueueUrl=url).get("Messages"))
    return str(messages[0]["Body"])


def test_a_callback_ends_the_state_once(aws: Aws) -> None:
    function, url = token_function(aws)
    states = aws.client("stepfunctions")
    arn = aws.create_state_machine(callback_machine(function, TimeoutSeconds=20))
    execution = states.start_execution(stateMachineArn=arn, input='{"fail": false}')["executionArn"]
    token = receive(aws, url)
    with pytest.raises(states.exceptions.InvalidOutput):
        states.send_task_success(taskToken=token, output="not json")
    states.send_task_heartbeat(taskToken=token)
    states.send_task_success(taskToken=token, output='{"vehicle": "bicycle"}')
    assert aws.wait_for_execution(execution)["output"] == {"vehicle": "bicycle"}
    with pytest.raises(states.exceptions.TaskTimedOut):
        states.send_task_success(taskToken=token, output="{}")
    with pytest.raises(states.exceptions.InvalidToken):
        states.send_task_success(taskToken="made up", output="{}")


def test_a_callback_whose_function_fails_fails_at_once(aws: Aws) -> None:
    function, _url = token_function(aws)
    began = time.monotonic()
    ended = aws.run_to_end(callback_machine(function, TimeoutSeconds=30), {"fail": True})
    assert ended["error"] == "ReviewPending"
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("limit", "error"),
    [
        ({"TimeoutSeconds": 1}, "States.Timeout"),
        ({"HeartbeatSeconds": 1, "TimeoutSeconds": 20}, "States.HeartbeatTimeout"),
    ],
)
def test_a_missing_callback_times_out(aws: Aws, limit: dict[str, int], error: str) -> None:
    function, url = token_function(aws)
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]
    definition = callback_machine(function, Catch=catch, **limit)
    definition["States"]["Caught"] = {"Type": "Pass", "End": True}
    ended = aws.run_to_end(definition, {"fail": False})
    assert ended["output"]["Error"] == error
    states = aws.client("stepfunctions")
    with pytest.raises(states.exceptions.TaskTimedOut):
        states.send_task_success(taskToken=receive(aws, url), output="{}")


@pytest.mark.parametrize("kind", ["wait", "callback", "retry"])
def test_a_stopped_execution_ends_in_any_state(aws: Aws, function: str, kind: str) -> None:
    retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 60}]
    first = {
        "wait": {"Type": "Wait", "Seconds": 60, "Next": "Never"},
        "callback": callback_machine(token_function(aws)[0])["States"]["First"] | {"Retry": retry},
        "retry": invoke(function, {"fail": True}, Retry=retry),
    }[kind]
    states = aws.client("stepfunctions")
    arn = aws.create_state_machine(machine(first, Never={"Type": "Pass", "End": True}))
    execution = states.start_execution(stateMachineArn=arn, input='{"fail": false}')["executionArn"]
    eventually(lambda: len(events(aws, execution)) >= {"wait": 2, "callback": 3, "retry": 4}[kind])
    states.stop_execution(executionArn=execution, error="Stop", cause="test")
    time.sleep(0.3)
    described = states.describe_execution(executionArn=execution)
    assert (described["status"], described["error"]) == ("ABORTED", "Stop")
    assert events(aws, execution)[-1] == "ExecutionAborted"


def test_a_nested_execution_returns_its_output_and_ends_with_its_parent(aws: Aws) -> None:
    states = aws.client("stepfunctions")
    child = aws.create_state_machine(
        machine({"Type": "Wait", "SecondsPath": "$.wait", "Next": "Done"}, Done={"Type": "Succeed"})
    )
    resource = "arn:aws:states:::states:startExecution.sync:2"
    nested = machine(task(resource, {"StateMachineArn": child, "Input": {"wait.$": "$.wait"}}, OutputPath="$.Output"))
    assert aws.run_to_end(nested, {"wait": 0})["output"] == {"wait": 0}

    parent = states.start_execution(stateMachineArn=aws.create_state_machine(nested), input='{"wait": 60}')[
        "executionArn"
    ]
    children = eventually(lambda: states.list_executions(stateMachineArn=child, statusFilter="RUNNING")["executions"])
    states.stop_execution(executionArn=parent)
    assert aws.wait_for_execution(children[0]["executionArn"])["status"] == "ABORTED"
    assert aws.wait_for_execution(parent)["status"] == "ABORTED"


def test_a_failed_nested_execution_is_a_failed_task(aws: Aws) -> None:
    child = aws.create_state_machine(machine({"Type": "Fail", "Error": "Own", "Cause": "why"}))
    nested = machine(task("arn:aws:states:::states:startExecution.sync:2", {"StateMachineArn": child}))
    ended = aws.run_to_end(nested)
    assert ended["error"] == "States.TaskFailed"
    assert json.loads(ended["cause"])["Error"] == "Own"


def test_service_integrations_reach_their_service(aws: Aws) -> None:
    url = aws.client("sqs").create_queue(QueueName=f"out-{time.time_ns()}")["QueueUrl"]
    aws.client("ssm").put_parameter(Name="/test/threshold", Value="model", Type="String")
    put = {"Name": "/test/threshold", "Value.$": "States.Format('{}', $.value)", "Overwrite": True}
    send = {"QueueUrl": url, "MessageBody": {"limit.$": "States.StringToJson('3600')"}}
    entry = {"Source": "test", "DetailType": "Tested", "Detail": {"a.$": "$.value"}}
    ended = aws.run_to_end(
        machine(
            task("arn:aws:states:::aws-sdk:ssm:putParameter", put, ResultPath="$.put", End=False, Next="Send"),
            Send=task("arn:aws:states:::sqs:sendMessage", send, ResultPath="$.sent", End=False, Next="Publish"),
            Publish=task("arn:aws:states:::events:putEvents", {"Entries": [entry]}, ResultPath="$.published"),
        ),
        {"value": 0.5},
    )
    assert ended["status"] == "SUCCEEDED", ended
    assert ended["output"]["published"]["FailedEntryCount"] == 0
    assert aws.client("ssm").get_parameter(Name="/test/threshold")["Parameter"]["Value"] == "0.5"
    assert json.loads(receive(aws, url)) == {"limit": 3600}


def test_a_function_that_does_not_exist_is_named(aws: Aws) -> None:
    ended = aws.run_to_end(machine(invoke("nothing", {})))
    assert ended["error"] == "Lambda.ResourceNotFoundException"


def test_stopping_an_execution_that_has_ended_is_refused(aws: Aws) -> None:
    ended = aws.run_to_end(machine({"Type": "Pass", "End": True}))
    with pytest.raises(ClientError):
        aws.client("stepfunctions").stop_execution(executionArn=ended["executionArn"])


def test_a_payload_above_256_kib_ends_the_execution_and_is_not_caught(aws: Aws) -> None:
    function = aws.create_function("def handler(event, context): return event['letter'] * event['count']")
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]

    def run(letter: str, count: int) -> Any:
        state = invoke(function, {"letter": letter, "count": count}, Catch=catch)
        return aws.run_to_end(machine(state, Caught={"Type": "Pass", "End": True}))

    for letter, count in (("a", 262_144), ("ü", 131_072)):
        assert (ended := run(letter, count))["status"] == "FAILED"
        assert ended["error"] == "States.DataLimitExceeded"
        # Less than half of the limit: bytes of UTF-8 count, not those of an escaped text.
        assert run(letter, count // 2 - 100)["status"] == "SUCCEEDED"


def test_an_input_above_256_kib_is_refused(aws: Aws) -> None:
    arn = aws.create_state_machine(machine({"Type": "Pass", "End": True}))
    states = aws.client("stepfunctions")
    states.start_execution(stateMachineArn=arn, input=json.dumps("a" * 262_142))
    with pytest.raises(ClientError, match="Member must have length less than or equal to 262144"):
        states.start_execution(stateMachineArn=arn, input=json.dumps("a" * 262_143))
