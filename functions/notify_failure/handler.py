"""AWS Lambda: NotifyFailure, invoked by EventBridge for each execution that failed, timed out or was aborted.

EventBridge delivers an event at least once. A photo's record has the execution of the last notice, so an event that is
delivered again sends no second one; a second notice of a retraining or a rollback is accepted.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import BotoCoreError, ClientError

from functions.notify_failure.failure import CLASSIFY_PHOTO, Failure, read_failure
from functions.notify_failure.notice import Notice, model_notice, photo_notice, shorten
from functions.shared.aws import client
from functions.shared.errors import InvalidInput, RecordUnavailable, SconesError
from functions.shared.observability import log_failures, make_logger_and_metrics
from functions.shared.photo import Photo
from functions.shared.photo_record import PhotoRecord
from functions.shared.photo_table import PhotoTable, Refused
from functions.shared.running import PHOTO_FORGOTTEN
from functions.shared.settings import read_settings
from functions.shared.times import now
from functions.shared.uploads import Uploads


class NoticeNotSent(SconesError):
    """SNS did not accept a notice, or SQS the photo. A retry can help."""


class Topics(Protocol):
    """The part of the SNS client that is used."""

    def publish(self, *, TopicArn: str, Subject: str, Message: str) -> Mapping[str, Any]:
        """Publish a message to a topic."""


@dataclass(frozen=True)
class Settings:
    """Environment variables of the function."""

    stage: str
    photo_table: str
    alert_topic_arn: str
    unrouted_queue_url: str


settings = read_settings(Settings)
logger, metrics = make_logger_and_metrics("notify-failure")
photos = PhotoTable(settings.photo_table, client("dynamodb"))
uploads = Uploads(client("s3"))
stepfunctions = client("stepfunctions")
sqs = client("sqs")
sns: Topics = client("sns")


@logger.inject_lambda_context(correlation_id_path="detail.executionArn", clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@log_failures(logger)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Notify the operators of the execution in a `Step Functions Execution Status Change` event.

    Returns whether a notice was sent. Raises NoticeNotSent; Lambda then invokes the function again.
    """
    failure = read_failure(event, settings.stage, stepfunctions)
    if failure.history_error:
        logger.warning("the history of the execution cannot be read", error=failure.history_error)
    if failure.error == PHOTO_FORGOTTEN:
        logger.info("the execution was stopped to delete its photo")
        return {"notified": False}
    if failure.workflow == CLASSIFY_PHOTO:
        return {"notified": notify_of_photo(failure, now())}
    send(model_notice(settings.stage, failure), failure)
    return {"notified": True}


def notify_of_photo(failure: Failure, at: datetime) -> bool:
    """Record the photo as unrouted, make sure that the unrouted queue has it, and send the notice once.

    Returns False without a notice when it was sent before, and when the photo has an outcome that was announced.
    """
    try:
        photo = uploads.identify_or_mark_gone(Photo.from_state(failure.input.get("photo")))
    except InvalidInput:  # the notice says that the input names no photo
        send(photo_notice(settings.stage, failure, None, None), failure)
        return True
    logger.append_keys(photo_id=photo.photo_id)
    try:
        record = mark_unrouted(photo, failure, at)
    except RecordUnavailable as error:
        # Often the reason of the failure itself. The notice does not wait for the table.
        logger.error(str(error), error=type(error).__name__)
        record = None
    if record is not None and record.notified == failure.execution:
        logger.info("notice already sent")
        return False
    if record is not None and record.announced:
        logger.info("the photo has its outcome", status=record.status, decided_in=record.execution)
        return False
    if not failure.in_unrouted_queue and (
        record is None or record.has_outcome or record.is_unrouted_by(failure.execution)
    ):
        queue_photo(photo, failure)
    send(photo_notice(settings.stage, failure, photo, record), failure)
    if record is not None:
        photos.mark_notified(photo.photo_id, failure.execution)
    return True


def mark_unrouted(photo: Photo, failure: Failure, at: datetime) -> PhotoRecord:
    """Record that the execution failed; return the record as it is then. Raises RecordUnavailable."""
    before = photos.get(photo.photo_id)
    if before is not None and before.notified == failure.execution:
        return before
    error = {"Error": failure.error, "Cause": shorten(failure.cause), "State": failure.state}
    try:
        photos.mark_unrouted(photo, failure.execution, at, error=error)
    except Refused as refused:
        return refused.record
    record = photos.get(photo.photo_id)
    if record is None:
        raise RecordUnavailable(f"{photo}: its record was deleted")
    return record


def queue_photo(photo: Photo, failure: Failure) -> None:
    """Send a photo to the unrouted queue, in the format of classify-photo. Raises NoticeNotSent."""
    body = {
        "photo": photo.as_state(),
        "error": {"Error": failure.error, "Cause": shorten(failure.cause)},
        "execution": failure.execution,
    }
    try:
        sqs.send_message(QueueUrl=settings.unrouted_queue_url, MessageBody=json.dumps(body))
    except (ClientError, BotoCoreError) as error:
        raise NoticeNotSent(f"SQS did not accept {photo} for the unrouted queue: {error}") from error


def send(notice: Notice, failure: Failure) -> None:
    """Publish a notice, and count it. Raises NoticeNotSent."""
    try:
        sns.publish(TopicArn=settings.alert_topic_arn, Subject=notice.subject, Message=notice.text)
    except (ClientError, BotoCoreError) as error:
        raise NoticeNotSent(f"SNS did not accept the notice of {failure.execution}: {error}") from error
    logger.info("notice sent", workflow=failure.workflow, status=failure.status, state=failure.state, why=failure.error)
    metrics.add_dimension("workflow", failure.workflow)
    metrics.add_metric("FailureNotices", MetricUnit.Count, 1)
