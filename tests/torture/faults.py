"""Faults under a stream of photos: every photo ends with one outcome, and every outcome is announced."""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from console.aws import Aws
from console.failed_requests import FailedRequests
from console.failed_requests import Result as ReplayResult
from functions.shared.photo_record import PhotoRecord
from local.faults import Fault
from operate.event_listener import EventListener
from operate.terminal import print_line
from tests.torture.fault_stage import SAVE_INTERVAL_S, FaultStage, Stream, client, count_statuses, fault_stage

COUNT = 200
RATE = 12.0
# How long a fault lasts. Retries of the workflow take less.
SHORT_S, LONG_S = 8.0, 25.0
SETTLED_AFTER_S = 240.0

Disturbance = Callable[[FaultStage, Stream], None]


@dataclass
class Result:
    """What became of the photos of one scenario. `problems` is empty when all is as it must be."""

    scenario: str
    uploads: int
    seconds: float
    statuses: Counter[str] = field(default_factory=Counter)
    events: int = 0
    repeated_events: int = 0
    announced_late: int = 0
    restarted: int = 0
    redriven: int = 0
    lost_in_store: int = 0
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Return the figures in one line."""
        counts = {**self.statuses, "events": self.events, "events again": self.repeated_events}
        counts |= {"announced late": self.announced_late, "restarted": self.restarted, "replayed": self.redriven}
        counts |= {"lost with the store": self.lost_in_store, "problems": len(self.problems)}
        found = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        return f"{self.uploads} uploads in {self.seconds:.0f} s: {found}"


def deliver_events_twice(stage: FaultStage, stream: Stream) -> None:
    """Start an execution for each photo again, in another order than they were uploaded."""
    repeated: set[str] = set()
    started = time.monotonic()
    while time.monotonic() < started + SHORT_S:
        new = [key for key in list(stream.photos) if key not in repeated]
        random.Random(len(repeated)).shuffle(new)  # noqa: S311  # an order, no secret
        for key in new:
            photo = stream.photos[key]
            state = {"photo": {"bucket": photo.bucket, "key": photo.key, "etag": photo.etag, "size": photo.size}}
            client("stepfunctions").start_execution(
                stateMachineArn=stage.deployed.classify_photo_arn, input=json.dumps(state)
            )
            repeated.add(key)
        time.sleep(0.2)


def injected(*faults: Fault, seconds: float = SHORT_S) -> Disturbance:
    """Inject faults one second after the first photo, for some seconds."""

    def disturb(stage: FaultStage, stream: Stream) -> None:
        time.sleep(1)
        stage.inject(*faults)
        time.sleep(seconds)
        stage.inject()

    return disturb


def kill_model_server(stage: FaultStage, stream: Stream) -> None:
    """Kill the processes of the model server twice."""
    for _ in range(2):
        time.sleep(2)
        servers = stage.processes("-m container serve")
        assert servers, "no model server runs"
        kill(servers)


def kill_workers(stage: FaultStage, stream: Stream) -> None:
    """Kill a Lambda worker every half second: most are in a call."""
    generator = random.Random(0)  # noqa: S311  # which worker, no secret
    killed = 0
    for _ in range(int(SHORT_S / 0.5)):
        time.sleep(0.5)
        if workers := stage.processes("lambdas/worker.py"):
            kill([generator.choice(workers)])
            killed += 1
    assert killed, "no worker ran"


def delete_queue(stage: FaultStage, stream: Stream) -> None:
    """Delete the review queue and create it again with its attributes, as a restored stack does."""
    sqs, url = client("sqs"), stage.deployed.review_queue_url
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    kept = {name: attributes[name] for name in ("VisibilityTimeout", "MessageRetentionPeriod", "RedrivePolicy")}
    time.sleep(2)
    sqs.delete_queue(QueueUrl=url)
    time.sleep(SHORT_S)
    sqs.create_queue(QueueName=url.rpartition("/")[2], Attributes=kept)


def update_workflow(stage: FaultStage, stream: Stream) -> None:
    """Update the state machine again and again while executions run."""
    states, arn = client("stepfunctions"), stage.deployed.classify_photo_arn
    definition = json.loads(states.describe_state_machine(stateMachineArn=arn)["definition"])
    for number in range(10):
        time.sleep(0.7)
        definition["Comment"] = f"version {number}"
        states.update_state_machine(stateMachineArn=arn, definition=json.dumps(definition))


def change_objects(stage: FaultStage, stream: Stream) -> None:
    """Delete every fifth photo and overwrite every fifth one as soon as they are uploaded."""
    s3, seen = client("s3"), 0
    started = time.monotonic()
    while time.monotonic() < started + SHORT_S:
        for number, key in list(enumerate(stream.photos))[seen:]:
            if number % 5 == 0:
                s3.delete_object(Bucket=stage.deployed.uploads_bucket, Key=key)
            elif number % 5 == 1:
                s3.put_object(Bucket=stage.deployed.uploads_bucket, Key=key, Body=stream.content[key] + b"overwritten")
            seen = number + 1
        time.sleep(0.02)


def restart(*, kill: bool) -> Disturbance:
    """Restart the embedded AWS when half of the photos are uploaded."""

    def disturb(stage: FaultStage, stream: Stream) -> None:
        while len(stream.photos) < stream.count / 2:
            time.sleep(0.02)
        stage.restart(kill=kill)

    return disturb


def kill(processes: list[psutil.Process]) -> None:
    """Kill processes of this embedded AWS; one may have ended by itself."""
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


THROTTLED = [
    Fault("dynamodb", code="ProvisionedThroughputExceededException", status=400, every=3),
    Fault("s3", "GET", "SlowDown", status=503, every=3),
    Fault("events", code="ThrottlingException", status=400, every=3),
    Fault("sqs", "SendMessage", "RequestThrottled", status=400, every=3),
    Fault("sagemaker", code="ThrottlingException", status=400, every=3),
]

SCENARIOS: dict[str, Disturbance] = {
    "events twice and out of order": deliver_events_twice,
    "endpoint killed": kill_model_server,
    "endpoint hangs": injected(Fault("sagemaker", "POST", "InternalServerException", delay_s=20)),
    "endpoint answers garbage": injected(Fault("sagemaker", "POST", body="<html>sorry</html>", status=200)),
    "endpoint answers 500": injected(Fault("sagemaker", "POST", "InternalFailure", status=500), seconds=60),
    "worker killed in a call": kill_workers,
    "every third call throttled": injected(*THROTTLED, seconds=LONG_S),
    "table refuses writes": injected(
        Fault("dynamodb", "UpdateItem", "AccessDeniedException", status=400), seconds=LONG_S
    ),
    "responses of the table lost": injected(Fault("dynamodb", "UpdateItem", "InternalServerError", after=True)),
    "bus refuses events": injected(Fault("events", "PutEvents", "InternalException", status=500), seconds=LONG_S),
    "responses of the bus lost": injected(Fault("events", "PutEvents", "InternalException", after=True)),
    "review queue deleted": delete_queue,
    "workflow updated": update_workflow,
    "objects deleted and overwritten": change_objects,
    "embedded AWS restarted": restart(kill=False),
    "embedded AWS killed": restart(kill=True),
}
KILLED = "embedded AWS killed"
RESTARTS = {"embedded AWS restarted", KILLED}
# What is uploaded between two saves, and during one.
LARGEST_LOSS = int(RATE * (SAVE_INTERVAL_S + 3))


def run(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Run every scenario with COUNT photos on one stage; returns the figures by scenario, and what is wrong."""
    figures: dict[str, Any] = {}
    problems = []
    with fault_stage(folder) as stage:
        for name in SCENARIOS:
            result = run_scenario(stage, name, COUNT)
            figures[name] = str(result)
            print_line(f"{name}: {result}")
            problems += [f"{name}: {problem}" for problem in result.problems]
    return figures, problems


def run_scenario(stage: FaultStage, name: str, count: int) -> Result:
    """Run one scenario, repair what it left undone, and compare uploads with outcomes."""
    started = time.monotonic()
    counted: Counter[tuple[str, str]] = Counter()
    if name in RESTARTS:
        stream = stage.upload(count, rate=RATE, disturb=lambda stream: SCENARIOS[name](stage, stream))
        result = Result(name, count, 0.0)
        records = settle(stage, stream, result)
    else:
        with EventListener(stage.deployed.event_bus) as listener:
            stop = threading.Event()
            counter = threading.Thread(target=_count_events, args=(listener, counted, stop))
            counter.start()
            try:
                stream = stage.upload(count, rate=RATE, disturb=lambda stream: SCENARIOS[name](stage, stream))
                result = Result(name, count, 0.0)
                records = settle(stage, stream, result)
            finally:
                stop.set()
                counter.join()
    result.statuses = count_statuses(records)
    _compare(stage, stream, records, counted if name not in RESTARTS else None, result)
    result.seconds = time.monotonic() - started
    return result


def _leave_out_lost(stage: FaultStage, stream: Stream, records: dict[str, PhotoRecord | None], result: Result) -> None:
    """Leave out the photos that the embedded AWS lost together with their records when it was killed.

    A kill may lose what came after the last save. A photo is lost only as a whole: with a record but without its
    object, or the other way round, it stays and is compared.
    """
    if result.scenario != KILLED:
        return
    kept = stage.stored_keys()
    for key in [key for key, record in records.items() if record is None and key not in kept]:
        del records[key], stream.photos[key]
        result.lost_in_store += 1
    if result.lost_in_store > LARGEST_LOSS:
        result.problems.append(f"{result.lost_in_store} photos were lost with the store, at most {LARGEST_LOSS} may be")


def settle(stage: FaultStage, stream: Stream, result: Result) -> dict[str, PhotoRecord | None]:
    """Reconcile and redrive until every photo has an announced outcome, for at most SETTLED_AFTER_S."""
    deadline = time.monotonic() + SETTLED_AFTER_S
    while True:
        records = stage.records(stream)
        _leave_out_lost(stage, stream, records, result)
        if all(record and record.has_outcome and record.announced for record in records.values()):
            return records
        if time.monotonic() > deadline:
            return records
        report = reconcile(stage)
        result.restarted += report["counts"]["restarted"]
        result.announced_late += report["counts"]["announced"]
        result.redriven += redrive(stage)
        time.sleep(2)


def reconcile(stage: FaultStage) -> dict[str, Any]:
    """Invoke ReconcilePhotos as `make reconcile` does; returns its report."""
    answer = client("lambda").invoke(
        FunctionName=f"{stage.deployed.app_name}-reconcile-photos", Payload=json.dumps({"grace_s": 5}).encode()
    )
    report: dict[str, Any] = json.loads(answer["Payload"].read())
    assert "errorType" not in report, report
    return report


def redrive(stage: FaultStage) -> int:
    """Replay both queues of failed requests, as `make redrive` does; returns how many messages were replayed."""
    replayed = FailedRequests(stage.deployed, Aws()).replay(None, lambda one: None)
    return sum(one.result is ReplayResult.REPLAYED for one in replayed)


def _count_events(listener: EventListener, counted: Counter[tuple[str, str]], stop: threading.Event) -> None:
    """Count the events with an outcome by photo and content until `stop` is set."""
    while not stop.is_set():
        for detail_type, detail in listener.events(1):
            if detail_type in ("Driver Routed", "Photo Rejected"):
                counted[detail["photo"]["photo_id"], json.dumps(detail, sort_keys=True)] += 1


def _compare(
    stage: FaultStage,
    stream: Stream,
    records: dict[str, PhotoRecord | None],
    events: Counter[tuple[str, str]] | None,
    result: Result,
) -> None:
    # A killed embedded AWS goes back to its last save; photos that were decided after it are decided again.
    outputs = {} if result.scenario == KILLED else stage.outputs()
    ids = {photo.photo_id for photo in stream.photos.values()}
    if events is not None:
        ours = {one: number for one, number in events.items() if one[0] in ids}
        result.events = sum(ours.values())
        result.repeated_events = result.events - len(ours)
        contents = Counter(photo_id for photo_id, _ in ours)
        result.problems += [f"{one}: {number} different events" for one, number in contents.items() if number > 1]
        result.problems += [f"{photo_id}: no event" for photo_id in ids - set(contents)]
    for key, photo in stream.photos.items():
        record = records[key]
        if record is None or not record.has_outcome:
            result.problems.append(f"{key}: {record.status if record else 'no record'}")
            continue
        if not record.announced:
            result.problems.append(f"{key}: not announced")
        if any(output != record.outcome for output in outputs.get(photo.photo_id, [])):
            result.problems.append(f"{key}: an execution returned another outcome than the recorded one")
