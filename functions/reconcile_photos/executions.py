"""The executions of classify-photo: which of them run, for which photos, and new ones."""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from functions.shared.aws import error_code
from functions.shared.errors import InvalidInput
from functions.shared.photo import Photo

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

# Step Functions shows an execution that is about to be redriven as PENDING_REDRIVE.
_ACTIVE = {"RUNNING", "PENDING_REDRIVE"}
_UNKNOWN = {"ExecutionDoesNotExist", "InvalidArn"}


class RunningPhotos:
    """The photos in the input of running executions. The input of a caller may leave the etag out."""

    def __init__(self, photos: Iterable[Photo]) -> None:
        """`photos` are those of the inputs."""
        self._photos = {(photo.bucket, photo.key, photo.etag) for photo in photos}

    def __contains__(self, photo: Photo) -> bool:
        """Whether an execution works on this photo."""
        return bool({(photo.bucket, photo.key, etag) for etag in (photo.etag, None)} & self._photos)


class Executions:
    """The executions of one state machine. Every method raises ClientError when Step Functions does not answer."""

    def __init__(self, state_machine: str, stepfunctions: "SFNClient") -> None:
        """`state_machine` is its ARN."""
        self._state_machine = state_machine
        self._stepfunctions = stepfunctions

    def list_running(self) -> set[str]:
        """Return the ARNs of the running executions, read with one request per 1,000."""
        pages = self._stepfunctions.get_paginator("list_executions").paginate(
            stateMachineArn=self._state_machine, statusFilter="RUNNING"
        )
        return {found["executionArn"] for page in pages for found in page["executions"]}

    def read_status(self, execution: str) -> str | None:
        """Return the status of an execution, None for one that does not exist (any more)."""
        try:
            return self._stepfunctions.describe_execution(executionArn=execution)["status"]
        except ClientError as error:
            if error_code(error) in _UNKNOWN:
                return None
            raise

    def find_photos(self, executions: Iterable[str]) -> RunningPhotos:
        """Return the photos that the running ones of these executions work on. Inputs without a photo are skipped."""
        photos = []
        for execution in executions:
            try:
                found = self._stepfunctions.describe_execution(executionArn=execution)
                if is_active(found["status"]):
                    photos.append(Photo.from_state(json.loads(found["input"]).get("photo")))
            except (InvalidInput, ValueError, AttributeError):  # started by hand, with another input
                continue
            except ClientError as error:
                if error_code(error) not in _UNKNOWN:
                    raise
        return RunningPhotos(photos)

    def restart_arn(self, photo_id: str, number: int) -> str:
        """Return the ARN of restart `number` of a photo. Its name is the same in every reconciliation.

        >>> Executions("arn:aws:states:eu-west-1:1:stateMachine:classify", None).restart_arn("abc", 2)
        'arn:aws:states:eu-west-1:1:execution:classify:reconcile-abc-2'
        """
        return f"{self._state_machine.replace(':stateMachine:', ':execution:', 1)}:reconcile-{photo_id}-{number}"

    def start(self, photo: Photo, execution: str) -> None:
        """Start the execution with an ARN of `restart_arn`; do nothing when it was started before."""
        try:
            self._stepfunctions.start_execution(
                stateMachineArn=self._state_machine,
                name=execution.rpartition(":")[2],
                input=json.dumps({"photo": photo.as_input()}),
            )
        except ClientError as error:
            if error_code(error) != "ExecutionAlreadyExists":
                raise


def is_active(status: str | None) -> bool:
    """Whether an execution with this status works on its photo."""
    return status in _ACTIVE
