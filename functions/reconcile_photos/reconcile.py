"""Compare uploads with records, and records with executions; restart and announce what was left undone."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from functions.reconcile_photos.executions import Executions, RunningPhotos, is_active
from functions.reconcile_photos.report import Report
from functions.reconcile_photos.request import PHASES, UNANNOUNCED, UPLOADS, Request
from functions.shared.aws import describe_error
from functions.shared.errors import AnnouncementPending, EventNotPublished
from functions.shared.events import EventBus
from functions.shared.outcomes import announce, is_overdue
from functions.shared.photo import Photo
from functions.shared.photo_record import IN_REVIEW, OUTCOMES, REJECTED, UNROUTED, PhotoRecord
from functions.shared.photo_table import PhotoTable, Refused
from functions.shared.times import now, timestamp

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MAX_RESTARTS = 3
PREFIX = "uploads/"
# DescribeExecution has a quota of 250 requests at once and 10 per second after them, in the largest regions 300 and 15:
# this takes at most 35 s. Source: AWS Step Functions Developer Guide, "Quotas related to API action throttling".
MAX_DESCRIBED = 600
# How long the photos of running executions without a record are used before they are read again.
_RUNNING_PHOTOS_MAX_AGE_S = 60.0
_LONGEST_REASON = 300


@dataclass
class Reconciliation:
    """One call of the function. Two of them may run at the same time, and photos may be uploaded meanwhile.

    Every repair is claimed in the photo's record first, by a condition that one caller meets. A photo can still get a
    second execution, when an event is delivered after `grace_s`: it finds the outcome of the first one.
    """

    request: Request
    bucket: str
    s3: "S3Client"
    photos: PhotoTable
    bus: EventBus
    executions: Executions
    logger: Logger
    has_time: Callable[[], bool] = lambda: True
    report: Report = field(init=False)
    _running: set[str] = field(init=False, default_factory=set)
    _running_photos: tuple[float, RunningPhotos | None] | None = None

    def __post_init__(self) -> None:
        """Begin with an empty report."""
        self.report = Report(self.request)

    def run(self) -> Report:
        """Examine every phase from the request's position on, until `has_time` is false; return the report.

        Raises RecordUnavailable, and ClientError when S3 or Step Functions does not answer.
        """
        self._running = self.executions.list_running()
        position = self.request.position
        for phase in PHASES[PHASES.index(position.phase) :]:
            after = position.after if phase == position.phase else ""
            stopped_at = self._examine(phase, after)
            if stopped_at is not None:
                self.report.continuation = position.stopped_in(phase, stopped_at, self.report.found)
                break
        return self.report

    def _examine(self, phase: str, after: str) -> str | None:
        if phase == UPLOADS:
            return self._examine_uploads(after)
        return self._examine_records(phase, after)

    def _examine_records(self, phase: str, since: str) -> str | None:
        """Examine the records of a phase from the time `since` on; return the time at which it stopped, or None."""
        unannounced = phase == UNANNOUNCED
        found = self.photos.list_unannounced() if unannounced else self.photos.list_by_status(phase, since)
        started_at = timestamp(self.request.position.started_at)
        last = since
        for record in found:
            if record.status_at < since:
                continue
            # Ordered by time: this call restarted the rest, or they changed while it runs.
            if record.status_at >= started_at:
                break
            # Records of the same time are examined by the same call, so that none is counted twice.
            if record.status_at != last and not self.has_time():
                return record.status_at
            last = record.status_at
            if unannounced:
                self._announce(record)
            else:
                self._follow(record)
        return None

    def _announce(self, record: PhotoRecord) -> None:
        at = now()
        if not is_overdue(record, at):
            return
        try:
            announce(record, "", at, self.photos, self.bus)
        except AnnouncementPending:  # another caller publishes it
            return
        except EventNotPublished as error:
            self.logger.error(str(error), photo_id=record.photo.photo_id)
            reason = f"it is {record.status}, but its event could not be published: {error}"
            self.report.add_unexplained(record.photo, record.execution, reason[:_LONGEST_REASON])
            return
        self.logger.warning("outcome announced", photo_id=record.photo.photo_id, decided_in=record.execution)
        reason = f"{record.status} at {record.status_at}, and its event was not published"
        self.report.add_announced(record.photo, record.execution, reason)

    def _follow(self, record: PhotoRecord) -> None:
        """Count a photo whose execution runs; restart one whose execution ended or does not exist."""
        active = record.execution in self._running or record.status_at > timestamp(self.request.until)
        status = None if active else self.executions.read_status(record.execution)
        if active or is_active(status):
            if record.status == IN_REVIEW:
                self.report.counts.waiting_for_review += 1
            else:
                self.report.counts.in_progress += 1
            return
        ended = f"ended as {status}" if status else "does not exist"
        # A photo without the time of its upload would count in the minute of this restart.
        photo = record.photo if record.photo.uploaded_at else self._read_upload_time(record.photo)
        self._restart(photo, record, f"it is {record.status}, and its execution {ended}", status)

    def _restart(self, photo: Photo, record: PhotoRecord | None, reason: str, status: str | None = None) -> None:
        restarts = record.restarts if record else 0
        execution = self.executions.restart_arn(photo.photo_id, restarts)
        claimed = record and record.status == UNROUTED and record.execution == execution and status is None
        if not claimed:
            if restarts >= MAX_RESTARTS and not self.request.force:
                self._log("photo not restarted again", photo, reason)
                self.report.add_unexplained(
                    photo, record.execution if record else None, f"{reason}, after {restarts} restarts"
                )
                return
            execution = self.executions.restart_arn(photo.photo_id, restarts + 1)
            error = _why(record, status, reason)
            try:
                self.photos.claim_restart(photo, record, execution, now(), error=error, restarts=restarts + 1)
            except Refused as refused:
                self.report.counts.in_progress += not refused.record.has_outcome
                return
        # Otherwise the call that claimed this restart ended before it started the execution.
        try:
            self.executions.start(photo, execution)
        except (ClientError, BotoCoreError) as failure:
            self._log("photo not restarted", photo, describe_error(failure))
            self.report.add_unexplained(
                photo, execution, f"{reason}, and it could not be restarted: {failure}"[:_LONGEST_REASON]
            )
            return
        self._log("photo restarted", photo, reason, execution)
        self.report.add_restarted(photo, execution, reason)

    def _log(self, message: str, photo: Photo, reason: str, execution: str | None = None) -> None:
        self.logger.warning(message, photo_id=photo.photo_id, reason=reason, started=execution)

    def _examine_uploads(self, after: str) -> str | None:
        """Compare the objects after a key with the records; return the last key that was examined, None for all."""
        start = {"StartAfter": after} if after else {}
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=PREFIX, **start)  # type: ignore[arg-type]
        last = after
        for page in pages:
            if not self.has_time():
                return last
            listed = page.get("Contents", ())
            photos = [photo for photo in map(self._read_object, listed) if photo]
            statuses = self.photos.find_statuses(photo.photo_id for photo in photos)
            for photo in photos:
                status = statuses.get(photo.photo_id)
                if status in (None, REJECTED) and not self.has_time():
                    return last
                rejected = self._read_uploaded_again(photo) if status == REJECTED else None
                self.report.counts.uploads += 1
                if status in OUTCOMES and not rejected:
                    self.report.counts.with_outcome += 1
                else:
                    self.report.counts.without_outcome += 1
                if status is None or rejected:
                    self._find_execution(photo, rejected)
                last = photo.key
            self.report.counts.too_young += sum(one["LastModified"] > self.request.until for one in listed)
            last = listed[-1]["Key"] if listed else last
        return None

    def _read_object(self, listed: Mapping[str, Any]) -> Photo | None:
        """Return the photo of a listed object; None for a folder marker and for one outside of the time window."""
        if listed["Size"] == 0 and listed["Key"].endswith("/"):
            return None
        if listed["LastModified"] > self.request.until:
            return None
        if self.request.since and listed["LastModified"] < self.request.since:
            return None
        uploaded_at = timestamp(listed["LastModified"])
        return Photo(self.bucket, listed["Key"], listed["ETag"].strip('"'), listed["Size"], uploaded_at)

    def _read_upload_time(self, photo: Photo) -> Photo:
        """Return the photo with the time of its object, without a time when that was deleted."""
        # The first key with a prefix is the prefix itself; the function may list objects and not read them.
        found = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=photo.key, MaxKeys=1).get("Contents", ())
        times = [timestamp(listed["LastModified"]) for listed in found if listed["Key"] == photo.key]
        return replace(photo, uploaded_at=times[0]) if times else photo

    def _read_uploaded_again(self, photo: Photo) -> PhotoRecord | None:
        """Return the record of a photo whose bytes were uploaded again: after it was missing or one of too many."""
        record = self.photos.get(photo.photo_id)
        rejected = (record.outcome or {}).get("rejected", {}) if record else {}
        missing = rejected.get("reason") == "PhotoMissing"
        again = rejected.get("reason") == "TooManyPhotos" and (photo.uploaded_at or "") >= rejected["retry_at"]
        return record if missing or again else None

    def _find_execution(self, photo: Photo, rejected: PhotoRecord | None) -> None:
        """Count a photo when an execution works on it that has not changed its record yet; restart it otherwise."""
        running = self._read_running_photos()
        if running is None or photo in running:
            self.report.counts.in_progress += 1
        else:
            reason = "it was rejected and uploaded again, and" if rejected else ""
            self._restart(photo, rejected, f"{reason} no execution was started for it".strip())

    def _read_running_photos(self) -> RunningPhotos | None:
        """Return the photos of the running executions that no record names: those that have just started.

        None when there are too many to describe: each photo without a record may then be one of theirs.
        """
        if self._running_photos is None or time.monotonic() - self._running_photos[0] > _RUNNING_PHOTOS_MAX_AGE_S:
            running = self.executions.list_running()
            for status in PHASES[1:-1]:
                running -= {record.execution for record in self.photos.list_by_status(status)}
            if len(running) > MAX_DESCRIBED:
                self.logger.warning("too many executions without a record to describe", executions=len(running))
            found = None if len(running) > MAX_DESCRIBED else self.executions.find_photos(running)
            self._running_photos = time.monotonic(), found
        return self._running_photos[1]


def _why(record: PhotoRecord | None, status: str | None, reason: str) -> Mapping[str, Any]:
    """Return the `error` of a restart. The error with which the last execution ended is kept."""
    if record and record.status == UNROUTED and record.error:
        return record.error
    return {"Error": status or "NotRunning", "Cause": reason}
