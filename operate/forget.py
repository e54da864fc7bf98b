"""Delete every copy of a driver's photos, or of one photo, and list what cannot be deleted with its expiry date."""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
from rich.table import Table

from deploy.cleanup import list_versions
from deploy.outputs import Deployed
from functions.shared.photo import Photo
from functions.shared.photo_reader import PhotoReader
from functions.shared.shapes import is_text
from functions.shared.times import timestamp
from operate.errors import CommandError
from operate.forget_stores import MESSAGES_KEPT, Found, Photos, Stores, find_ended, list_running
from operate.terminal import console, print_line

MAX_PASSES = 10
# Longer than the timeout of the functions that work on a photo: one that runs when its execution is stopped may write.
SETTLE_S = 30.0
WAIT_S = 60.0
POLL_S = 2.0
# The index by driver lags behind the table: usually by less than a second.
INDEX_LAG_S = 2.0

# "Step Functions retains the execution history for 90 days after the execution ends" (Step Functions quotas).
HISTORY_KEPT = timedelta(days=90)
# Point-in-time recovery of DynamoDB restores the table of any second of the last 35 days.
BACKUP_KEPT = timedelta(days=35)

_LONGEST_KEY_BYTES = 1024
_PHOTO_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Scope:
    """What is forgotten: all photos below `prefix`, the photo with the id `photo_id`, or those with the key `key`."""

    prefix: str = ""
    photo_id: str = ""
    key: str = ""

    @classmethod
    def of_driver(cls, driver_id: str) -> "Scope":
        """Return the photos of a driver. Raises CommandError for an id that no key can contain."""
        prefix = f"uploads/{driver_id}/"
        if not is_text(driver_id) or Photo("", f"{prefix}1").driver_id != driver_id:
            raise CommandError(f"DRIVER is {driver_id!r}, not the <driver> of a key uploads/<driver>/<name>.")
        if len(prefix.encode()) >= _LONGEST_KEY_BYTES:
            raise CommandError("DRIVER is longer than a key of S3 can be.")
        return cls(prefix=prefix)

    @classmethod
    def of_photo(cls, photo: str, uploads_bucket: str) -> "Scope":
        """Return a photo, given its id or its address in S3. Raises CommandError."""
        if _PHOTO_ID.fullmatch(photo):
            return cls(photo_id=photo)
        bucket, _, key = photo.removeprefix("s3://").partition("/")
        if not photo.startswith("s3://") or bucket != uploads_bucket or not key or not is_text(key):
            raise CommandError(
                f"PHOTO is {photo!r}; pass a photo id of 32 hexadecimal digits, or s3://{uploads_bucket}/<key>."
            )
        return cls(key=key)

    def contains(self, photo: Photo) -> bool:
        """Whether a photo is to be forgotten."""
        if self.prefix:
            return photo.key.startswith(self.prefix)
        return photo.key == self.key or (photo.etag is not None and photo.photo_id == self.photo_id)


def find_photos(scope: Scope, stores: Stores) -> dict[str, Found]:
    """Return the photos that have a record or an object, by photo id; also a photo id with neither."""
    found: dict[str, Found] = {scope.photo_id: Found(scope.photo_id)} if scope.photo_id else {}
    bucket = stores.deployed.uploads_bucket
    for record in _records(scope, stores.reader):
        if scope.contains(record.photo):
            found[record.photo.photo_id] = Found(record.photo.photo_id, record.photo, record)
    prefixes = {scope.prefix or scope.key} - {""} or {one.photo.key for one in found.values() if one.photo}
    for prefix in prefixes:
        for version in list_versions(stores.s3, bucket, prefix):
            photo = Photo(bucket, version["Key"], version["ETag"])
            if scope.contains(photo) and photo.photo_id not in found:
                found[photo.photo_id] = Found(photo.photo_id, photo, stores.reader.get(photo.photo_id))
    return found


def _records(scope: Scope, reader: PhotoReader) -> Iterator[Any]:
    if scope.photo_id:
        record = reader.get(scope.photo_id)
        yield from [record] if record else []
    else:
        # The record of a photo that is missing has an empty etag, so its object does not lead to it.
        yield from reader.list_by_driver(Photo("", scope.key or f"{scope.prefix}1").driver_id)


def run(
    deployed: Deployed, scope: Scope, report_file: Path, *, delete: bool, settle_s: float = SETTLE_S
) -> dict[str, Any]:
    """Print what each store keeps about the photos; with `delete`, delete it. Write the report and return it.

    Deletes in passes until two find nothing, so that photos are included which arrive meanwhile. Raises CommandError
    when a retraining or a batch runs, or when photos keep arriving; it is safe to run again. The report is written also
    then.
    """
    stores = Stores(deployed, scope.contains, scope.prefix, report_file.parent)
    began = datetime.now(UTC)
    photos: dict[str, Found] = {}
    executions: dict[str, datetime | None] = {}
    counts = dict.fromkeys(_steps(stores), 0)
    passes = fruitless = 0
    if delete:
        wait_for_writers(stores)

    def write_report(*, complete: bool) -> dict[str, Any]:
        report = {
            "deleted": delete,
            "complete": complete,
            "began": timestamp(began),
            "passes": passes,
            "photos": sorted(photos),
            "stores": [{"store": name, "found": count} for name, count in counts.items()],
            "kept": list(_kept(photos, executions, stores, datetime.now(UTC))),
        }
        report_file.parent.mkdir(parents=True, exist_ok=True)
        report_file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        return report

    while True:
        passes += 1
        for photo_id, found in find_photos(scope, stores).items():
            # A record that is gone by now still tells where else to look.
            photos[photo_id] = found if found.record else photos.get(photo_id, found)
        executions |= find_ended(stores.states, _executions(photos, deployed) - executions.keys())
        stopped = len(stores.stopped)
        counted = {name: step(photos, delete=delete) for name, step in _steps(stores).items() if name != RECORDS}
        # One that starts after a pass has found nothing finds no label of these photos to copy.
        if delete and any(counted.values()) and (writers := find_writers(stores)):
            write_report(complete=False)
            raise CommandError(
                f"{describe_writer(writers[0])} has started meanwhile and may have copied photos or written results. "
                "The records of the photos are kept, so that the next run finds the rest: run this command again when "
                "it has ended."
            )
        counted[RECORDS] = stores.records(photos, delete=delete)
        counts = {name: counts[name] + counted[name] for name in counts}
        fruitless = 0 if any(counted.values()) else fruitless + 1
        if not delete or fruitless == 2 or not any(counts.values()):
            break
        if passes >= MAX_PASSES and not fruitless:
            write_report(complete=False)
            raise CommandError(f"Photos still arrive after {passes} passes. Stop their upload, then run this again.")
        if len(stores.stopped) > stopped:
            console.print(f"  waiting {settle_s:.0f} s for functions that run at this moment", soft_wrap=True)
            time.sleep(settle_s)
        elif fruitless:
            # A record that was written during the pass may have been missing in the index.
            time.sleep(min(settle_s, INDEX_LAG_S))
    executions |= find_ended(stores.states, stores.stopped)
    report = write_report(complete=True)
    _print(report, report_file)
    return report


RECORDS = "records"


def _steps(stores: Stores) -> Mapping[str, Callable[..., int]]:
    """Return the steps by name, in their order."""
    return {
        "running executions": stores.running_executions,
        "review requests in queues": stores.review_requests,
        "failed requests and photos in queues": stores.failed_requests,
        "labels and their pictures": stores.labels,
        "delivery state of answers": stores.reviews,
        "copies for training": stores.training_copies,
        "feature caches of models": stores.feature_caches,
        "results of batches": stores.batches.items,
        "files of batches (versions)": stores.batches.files,
        "uploads (versions)": stores.uploads,
        "unfinished uploads": stores.unfinished_uploads,
        "reports on this machine": stores.local_reports,
        "counts of uploads per minute": stores.upload_counts,
        RECORDS: stores.records,
    }


def find_writers(stores: Stores) -> list[str]:
    """Return the running retrainings, which copy photos, and batches, which write results about those they listed."""
    machines = (stores.deployed.retrain_model_arn, stores.deployed.classify_batch_arn)
    return [execution for machine in machines for execution in list_running(stores.states, machine)]


def describe_writer(execution: str) -> str:
    """Return a retraining or a batch in words.

    >>> describe_writer("arn:aws:states:eu-west-1:123456789012:execution:scones-dev-classify-batch:yard")
    'The execution yard of scones-dev-classify-batch'
    """
    machine, name = execution.split(":")[-2:]
    return f"The execution {name} of {machine}"


def wait_for_writers(stores: Stores, wait_s: float | None = None) -> None:
    """Wait until no retraining and no batch runs. Raises CommandError after `wait_s` seconds (WAIT_S)."""
    deadline = time.monotonic() + (WAIT_S if wait_s is None else wait_s)
    while running := find_writers(stores):
        if time.monotonic() > deadline:
            raise CommandError(
                f"{describe_writer(running[0])} runs. Nothing was deleted. Run this command again when it has ended. A "
                "batch may also be stopped: `make batch` with the same BATCH continues it afterwards."
            )
        time.sleep(POLL_S)


def _executions(photos: Photos, deployed: Deployed) -> set[str]:
    """Return the ARNs of the executions that the records name: of the transitions, the reviews and the restarts."""
    named: set[str] = set()
    for found in photos.values():
        if record := found.record:
            for source in (record.review or {}, record.outcome or {}, {"execution": record.execution}):
                named |= {source["execution"]} if "execution" in source else set()
            named |= {name for name in (record.review_announced_by, record.notified) if name}
            machine = deployed.classify_photo_arn.replace(":stateMachine:", ":execution:", 1)
            named |= {f"{machine}:reconcile-{found.photo_id}-{number + 1}" for number in range(record.restarts)}
    return named


def _kept(
    photos: Photos, executions: Mapping[str, datetime | None], stores: Stores, now: datetime
) -> Iterator[dict[str, Any]]:
    """Yield what cannot be deleted: what it is, the names, and when it expires (None: it does not by itself)."""
    if hidden := stores.count_hidden():
        yield _entry(
            f"{hidden} messages of the review and audit queues that a reviewer's console holds and that may be about a "
            "photo: run this command again when the consoles are closed",
            now + MESSAGES_KEPT,
        )
    if not photos:
        return
    if executions:
        last = max(ended or now for ended in executions.values())
        yield _entry(
            "histories of executions of classify-photo, with the key of the photo, 90 days after their end",
            last + HISTORY_KEPT,
            sorted(executions),
        )
    if stores.batches.found:
        yield _entry(
            "histories of executions of classify-batch, with the keys of their photos, 90 days after their end",
            now + HISTORY_KEPT,
        )
    yield _entry("backup of the photo table by point-in-time recovery, 35 days", now + BACKUP_KEPT)
    yield from _kept_logs(stores.deployed, now)
    yield _entry("events that other systems received (Driver Routed, Photo Rejected, Review Requested)", None)
    if stores.models:
        yield _entry(
            "models that may have learned from the photos: their weights, and the cards of those with "
            "driver_photos_on_card. `make retrain` trains one without the photos",
            None,
            sorted(stores.models),
        )
    if any(found.record is None or found.record.review_requests for found in photos.values()):
        yield _entry("manifests of training data, which contain photo ids but neither keys nor drivers", None)


def _entry(what: str, expires_at: datetime | None, names: list[str] | None = None) -> dict[str, Any]:
    return {"what": what, "expires_at": timestamp(expires_at) if expires_at else None, "names": names or []}


def _kept_logs(deployed: Deployed, now: datetime) -> Iterator[dict[str, Any]]:
    """Yield the logs of the stage's functions, workflows and endpoint: those that expire, and those that do not."""
    what = "log events, which contain photo ids but neither keys nor drivers"
    pages = boto3.client("logs").get_paginator("describe_log_groups")
    retention = {
        group["logGroupName"]: group.get("retentionInDays")
        for prefix in (
            deployed.log_group(""),
            f"/aws/vendedlogs/states/{deployed.app_name}-",
            f"/aws/sagemaker/Endpoints/{deployed.endpoint_name}",
        )
        for page in pages.paginate(logGroupNamePrefix=prefix)
        for group in page["logGroups"]
    }
    if limited := [days for days in retention.values() if days]:
        yield _entry(f"{what}, {max(limited)} days", now + timedelta(days=max(limited)))
    if unlimited := sorted(name for name, days in retention.items() if not days):
        yield _entry(f"{what}, in log groups without a retention: set one with `make deploy`", None, unlimited)


def _print(report: Mapping[str, Any], report_file: Path) -> None:
    if not report["photos"] and not report["kept"] and not any(row["found"] for row in report["stores"]):
        print_line("Nothing is stored about it. Ids are compared exactly, with upper and lower case.")
        return
    grid = Table(title=f"{len(report['photos']):,} photos", title_justify="left")
    grid.add_column("")
    grid.add_column("deleted" if report["deleted"] else "found", justify="right")
    for row in report["stores"]:
        grid.add_row(row["store"], f"{row['found']:,}" if row["found"] else "·")
    console.print(grid)
    if report["kept"]:
        print_line("Cannot be deleted:")
    for entry in report["kept"]:
        until = f"until {entry['expires_at'][:10]}" if entry["expires_at"] else "not limited"
        count = f" ({len(entry['names'])})" if entry["names"] else ""
        print_line(f"  {until:<16} {entry['what']}{count}")
    print_line(f"Report: {report_file}")
    if not report["deleted"]:
        print_line("Nothing was deleted. To delete it, add YES=yes.")
    elif report["photos"]:
        print_line("Run this command again tomorrow: an event of an upload that arrives late records its key again.")
