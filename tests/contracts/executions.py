"""Executions that ended without success, and photos that ReconcilePhotos has to examine."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import boto3
from moto.stepfunctions.parser.api import ExecutionStatus
from moto.stepfunctions.parser.models import stepfunctions_parser_backends

import events
from deploy.templates import load_template
from functions.shared.photo import Photo
from functions.shared.photo_record import REJECTED, ROUTED
from functions.shared.photo_table import PhotoTable
from functions.shared.times import now, timestamp
from tests.support.waiting import eventually
from tests.workflow.lambda_handlers import ACCOUNT, ENVIRONMENT, REGION
from tests.workflow.stage import JPEG, Stage, classification

MACHINE = ENVIRONMENT["CLASSIFY_PHOTO_ARN"]
WORKFLOWS = ("classify-photo", "retrain-model", "rollback-model")
STATUSES = ("FAILED", "TIMED_OUT", "ABORTED")
SCHEDULED: dict[str, Any] = json.loads(
    load_template("app")["Resources"]["ReconcilePhotosSchedule"]["Properties"]["Targets"][0]["Input"]
)
# The request of `make reconcile`, without and with its options.
REQUESTED: tuple[dict[str, Any], ...] = (
    {"grace_s": 120.0, "force": False, "continuation": None},
    {"grace_s": 0.0, "force": True, "hours": 1.5, "continuation": None},
)
_FAILS = {"StartAt": "AssignBay", "States": {"AssignBay": {"Type": "Fail", "Error": "RecordUnavailable"}}}


def create_resources(stage: Stage) -> None:
    """Create the topic of notices, and a state machine of which every execution fails at once."""
    boto3.client("sns", region_name=REGION).create_topic(Name=ENVIRONMENT["ALERT_TOPIC_ARN"].rpartition(":")[2])
    stage.aws["stepfunctions"].create_state_machine(
        name=MACHINE.rpartition(":")[2], definition=json.dumps(_FAILS), roleArn=stage.role
    )


def start(stage: Stage, photo: dict[str, Any], name: str, status: str) -> str:
    """Start an execution that then has a status; returns its ARN."""
    states = stage.aws["stepfunctions"]
    execution: str = states.start_execution(stateMachineArn=MACHINE, name=name, input=json.dumps({"photo": photo}))[
        "executionArn"
    ]
    eventually(
        lambda: states.describe_execution(executionArn=execution)["status"],
        lambda found: found != "RUNNING",
        what=f"the end of {name}",
    )
    next(one for one in executions() if one.execution_arn == execution).exec_status = ExecutionStatus(status)
    return execution


def executions() -> list[Any]:
    """The executions of the state machine, as moto keeps them."""
    found: list[Any] = stepfunctions_parser_backends[ACCOUNT][REGION].describe_state_machine(MACHINE).executions
    return found


def add_photos(stage: Stage) -> None:
    """Upload a photo for each case of a reconciliation, and write its record with a time of an hour ago."""
    table, at = PhotoTable("photos", stage.aws["dynamodb"]), now() - timedelta(hours=1)

    def upload(name: str, status: str) -> tuple[Photo, str]:
        photo = stage.upload(JPEG + name.encode(), f"uploads/driver-8/{name}.jpg")
        return Photo.from_state(photo), start(stage, photo, name, status)

    answer = classification()
    for status in ("RUNNING", "FAILED"):
        photo, execution = upload(f"classified-{status}", status)
        table.classify(photo, execution, at, classification={"vehicle": answer["vehicle"]}, threshold=0.9)
        photo, execution = upload(f"in-review-{status}", status)
        review = {"reason": "LowConfidence", "expires_at": timestamp(at), "token_hash": "0" * 64}
        table.claim_review(photo, execution, at, review={**review, "requested_at": timestamp(at)})
        photo, execution = upload(f"unrouted-{status}", status)
        table.mark_unrouted(photo, execution, at, error={"Error": "RecordUnavailable", "Cause": "on purpose"})
        upload(f"without-record-{status}", status)
    photo, execution = upload("restarted", "FAILED")
    table.mark_unrouted(photo, execution, at, error={"Error": "RecordUnavailable", "Cause": "on purpose"})
    restarted = f"{MACHINE.replace(':stateMachine:', ':execution:')}:reconcile-{photo.photo_id}-3"
    table.claim_restart(photo, table.get(photo.photo_id), restarted, at, error={"Error": "FAILED"}, restarts=3)
    for name, sample in (("routed", "driver_routed"), ("rejected", "photo_rejected"), ("missing", "photo_rejected")):
        photo, execution = upload(name, "FAILED")
        outcome = {**events.sample(sample)["detail"], "photo": photo.as_state(), "execution": execution}
        if name != "routed":
            reason = "PhotoMissing" if name == "missing" else "UnusablePhoto"
            outcome["rejected"] = {"reason": reason, "message": "on purpose"}
        table.record_outcome(photo, ROUTED if name == "routed" else REJECTED, execution, at, outcome=outcome)


def failures(stage: Stage) -> Iterator[dict[str, Any]]:
    """`Step Functions Execution Status Change` events of all workflows and statuses, with and without their input."""
    states = stage.aws["stepfunctions"]
    ended = {workflow: [one.arn for one in stage.executions if f":{workflow}-" in one.arn] for workflow in WORKFLOWS}
    ended["classify-photo"] = [one.execution_arn for one in executions()] + ended["classify-photo"]
    for workflow in WORKFLOWS:
        for number, execution in enumerate(ended[workflow]):
            found = states.describe_execution(executionArn=execution)
            event = events.sample("step_functions_execution_status_change")
            event["resources"] = [execution]
            event["detail"] |= {
                "executionArn": execution,
                "stateMachineArn": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:scones-test-{workflow}",
                "name": found["name"],
                "status": STATUSES[number % 3],
                "input": None if number % 4 == 3 else found["input"],
                "error": ("PhotoUnrouted", found.get("error"), None)[number % 3],
                "cause": found.get("cause"),
            }
            yield event
