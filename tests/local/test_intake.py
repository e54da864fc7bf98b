"""Uploads that start executions wait while as many executions run as the machine can; nothing else waits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from local.settings import Settings
from local.states.intake import EXECUTIONS_PER_SLOT, Intake
from tests.local.aws import Aws
from tests.support.waiting import eventually

LIMIT = Settings.lambda_slots * EXECUTIONS_PER_SLOT


def _run(scenario: Coroutine[Any, Any, None]) -> None:
    """Run a scenario in a thread: the main thread's event loop may be that of the browser tests."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, scenario).result()


async def _turns() -> None:
    """Let every callback of the loop run that is due."""
    for _ in range(5):
        await asyncio.sleep(0)


async def _upload(intake: Intake, name: str, admitted: list[str]) -> None:
    async with intake.admitted():
        admitted.append(name)


def test_uploads_are_admitted_in_order_as_executions_end() -> None:
    async def scenario() -> None:
        intake, admitted = Intake(limit=2), list[str]()
        executions = [intake.running() for _ in range(3)]
        for execution in executions:
            execution.__enter__()
        uploads = [asyncio.create_task(_upload(intake, name, admitted)) for name in "abc"]
        await _turns()
        assert admitted == []
        executions[0].__exit__(None, None, None)
        await _turns()
        assert admitted == []
        executions[1].__exit__(None, None, None)
        await asyncio.gather(*uploads)
        assert admitted == ["a", "b", "c"]

    _run(scenario())


def test_an_execution_that_waits_holds_no_upload() -> None:
    async def scenario() -> None:
        intake, admitted = Intake(limit=1), list[str]()
        with intake.running():
            with intake.waiting():
                await _upload(intake, "while it waits", admitted)
            held = asyncio.create_task(_upload(intake, "after it", admitted))
            await _turns()
            assert admitted == ["while it waits"]
        await held
        assert admitted == ["while it waits", "after it"]

    _run(scenario())


def test_an_upload_that_was_given_up_holds_no_other() -> None:
    async def scenario() -> None:
        intake, admitted = Intake(limit=1), list[str]()
        with intake.running():
            given_up, waiting = (asyncio.create_task(_upload(intake, name, admitted)) for name in ("given up", "next"))
            await _turns()
            given_up.cancel()
            await _turns()
        await waiting
        assert admitted == ["next"]

    _run(scenario())


def test_an_upload_that_is_given_up_when_its_turn_comes_passes_it_on() -> None:
    async def scenario() -> None:
        intake, admitted = Intake(limit=1), list[str]()
        execution = intake.running()
        execution.__enter__()
        given_up, waiting = (asyncio.create_task(_upload(intake, name, admitted)) for name in ("given up", "next"))
        await _turns()
        # From a thread, as an execution does: the turn of the first upload is still to be told when it is cancelled.
        thread = threading.Thread(target=execution.__exit__, args=(None, None, None))
        thread.start()
        thread.join()
        given_up.cancel()
        await asyncio.wait_for(waiting, 5)
        assert admitted == ["next"]

    _run(scenario())


def _start(aws: Aws, state: dict[str, Any], count: int) -> list[str]:
    machine = aws.create_state_machine({"StartAt": "Only", "States": {"Only": {**state, "End": True}}})
    states = aws.client("stepfunctions")
    return [states.start_execution(stateMachineArn=machine)["executionArn"] for _ in range(count)]


def _announced_bucket(aws: Aws) -> str:
    bucket = aws.create_bucket()
    aws.client("s3").put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    return bucket


def test_an_announced_upload_waits_for_running_executions_and_no_other_request_does(aws: Aws) -> None:
    function = aws.create_function("import time\ndef handler(event, context): time.sleep(1)")
    arn = aws.client("lambda").get_function(FunctionName=function)["Configuration"]["FunctionArn"]
    announced, plain = _announced_bucket(aws), aws.create_bucket()
    states, s3 = aws.client("stepfunctions"), aws.client("s3")
    executions = _start(aws, {"Type": "Task", "Resource": arn}, LIMIT + 1)

    def ended() -> int:
        return sum(states.describe_execution(executionArn=one)["status"] == "SUCCEEDED" for one in executions)

    s3.put_object(Bucket=plain, Key="photo", Body=b"")
    s3.get_object(Bucket=plain, Key="photo")
    assert ended() == 0
    s3.put_object(Bucket=announced, Key="photo", Body=b"")
    assert ended() >= 2
    eventually(ended, lambda count: count == len(executions), what="the executions", timeout_s=30)


def test_executions_that_wait_hold_no_upload(aws: Aws) -> None:
    announced = _announced_bucket(aws)
    states = aws.client("stepfunctions")
    executions = _start(aws, {"Type": "Wait", "Seconds": 60}, LIMIT + 1)
    aws.client("s3").put_object(Bucket=announced, Key="photo", Body=b"")
    running = [states.describe_execution(executionArn=one)["status"] for one in executions]
    for one in executions:
        states.stop_execution(executionArn=one)
    assert running == ["RUNNING"] * len(executions)
