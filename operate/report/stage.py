"""Read what the report is about: the records of the photos, the models, the answers of the audit, the drift watch."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import boto3
from botocore.exceptions import ClientError

from deploy.outputs import Deployed
from deploy.stack import Stack
from functions.shared.audit import AuditFigures
from functions.shared.aws import error_code
from functions.shared.champion import Champion, ModelTable
from functions.shared.drift_state import DriftState, DriftTable
from functions.shared.photo_reader import PhotoReader
from functions.shared.photo_record import PhotoRecord
from functions.shared.threshold import MODELS_OWN
from functions.shared.times import timestamp

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_cloudwatch.type_defs import MetricDataQueryTypeDef
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_ssm import SSMClient

# Bounds the time that reading takes. Of more photos in a bucket, the first ones are read.
MOST_PER_BUCKET = 1000
MOST_BUCKETS = 32
MOST_MODELS = 20
_SECOND, _MINUTE, _HOUR, _DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
_WIDTHS = (
    *(seconds * _SECOND for seconds in (1, 2, 5, 15, 30)),
    *(minutes * _MINUTE for minutes in (1, 2, 5, 15, 30)),
    *(hours * _HOUR for hours in (1, 2, 3, 6, 12)),
    *(days * _DAY for days in (1, 2, 7, 14, 28)),
)
# CloudWatch keeps minutes for 15 days, five minutes for 63 ("Metrics retention", Amazon CloudWatch User Guide).
_MINUTES_KEPT = 15 * _DAY


@dataclass(frozen=True)
class Rules:
    """The settings of the stage that the figures are compared with.

    `threshold` is the one that an operator has set, None for each model's own. `audit_error_limit` is in [0, 1];
    `drift_period` is the time between two looks of the drift watch, each at the photos of `drift_periods` periods, of
    which there must be `drift_photos`; `psi_limit` is its practical limit.
    """

    time_zone: str
    threshold: float | None
    audit_error_limit: float
    drift_period: timedelta
    drift_periods: int
    drift_photos: int
    psi_limit: float


@dataclass(frozen=True)
class Rejected:
    """A challenger that the registry has as rejected, with the time of the verdict and its words."""

    model_version: str
    at: datetime
    verdict: str


@dataclass(frozen=True)
class Latency:
    """Percentiles of the time that requests to the endpoint took in a period whose middle is `at`, in ms."""

    at: datetime
    median: float
    p95: float


@dataclass(frozen=True)
class Observed:
    """What was read of a stage, from `since` until `until`, in equal buckets of `width` that begin at `since`.

    `photos` are the records of the photos first seen in this time, oldest first; `left_out`: a bucket has more than
    MOST_PER_BUCKET of them. `models` were ever champion, in no order.
    """

    stage: str
    since: datetime
    until: datetime
    width: timedelta
    rules: Rules
    photos: list[PhotoRecord]
    left_out: bool = False
    models: list[Champion] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    champion: str | None = None
    audit: AuditFigures = field(default_factory=lambda: AuditFigures.of([]))
    drift: DriftState | None = None
    latency: list[Latency] = field(default_factory=list)

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of every time in the report."""
        return ZoneInfo(self.rules.time_zone)


def read(deployed: Deployed, days: float, now: datetime) -> Observed:
    """Read the time from the first to the last photo of the last `days` days of a stage.

    Raises DeployError, RecordUnavailable, ClientError, BotoCoreError.
    """
    rules = _read_rules(deployed)
    reader = PhotoReader(deployed.photo_table, boto3.client("dynamodb"))
    models = ModelTable(deployed.model_table, boto3.client("dynamodb"))
    promoted, champion = models.all_promoted(), models.champion()
    first, last = _find_ends(reader, now - timedelta(days=days), now)
    since, width = choose_buckets(_with_last_change(promoted, first, last), last, ZoneInfo(rules.time_zone))
    until = since + width * -(-(last - since) // width)
    photos, left_out = _read_photos(reader, since, until, width)
    return Observed(
        stage=deployed.stage,
        since=since,
        until=until,
        width=width,
        rules=rules,
        photos=photos,
        left_out=left_out,
        models=promoted,
        rejected=_read_rejected(deployed.app_name),
        champion=champion.model_version if champion else None,
        audit=AuditFigures.of(reader.list_label_wanted(timestamp(since))),
        drift=DriftTable(deployed.model_table, boto3.client("dynamodb")).read(),
        latency=_read_latency(deployed.stage, since, until, width),
    )


def choose_buckets(first: datetime, until: datetime, zone: ZoneInfo) -> tuple[datetime, timedelta]:
    """Return the beginning of the first bucket, and the width of all, the smallest with at most MOST_BUCKETS of them.

    Buckets begin at full minutes, hours or, from a width of a day on, at midnight of the time zone.

    >>> first, until = datetime(2026, 11, 1, 9, 7, 12, tzinfo=UTC), datetime(2026, 11, 28, 12, tzinfo=UTC)
    >>> since, width = choose_buckets(first, until, ZoneInfo("UTC"))
    >>> since.isoformat(), str(width)
    ('2026-11-01T00:00:00+00:00', '1 day, 0:00:00')
    """
    for width in _WIDTHS:
        midnight = first.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)
        since = midnight + (first - midnight) // min(width, _DAY) * min(width, _DAY)
        if (until - since) / width <= MOST_BUCKETS:
            break
    return since, width


def _read_rules(deployed: Deployed) -> Rules:
    settings = Stack(deployed.app_name).parameters()
    ssm: SSMClient = boto3.client("ssm")
    threshold = ssm.get_parameter(Name=deployed.threshold_parameter)["Parameter"]["Value"]
    return Rules(
        time_zone=settings["TimeZone"],
        threshold=None if threshold == MODELS_OWN else float(threshold),
        audit_error_limit=float(settings["AuditErrorLimit"]),
        drift_period=timedelta(hours=float(settings["DriftPeriodHours"])),
        drift_periods=int(settings["DriftWindowPeriods"]),
        drift_photos=int(settings["DriftMinPhotos"]),
        psi_limit=float(settings["DriftPsiLimit"]),
    )


def _find_ends(reader: PhotoReader, since: datetime, now: datetime) -> tuple[datetime, datetime]:
    """Return when the first photo since a time was seen, and just after the last one; without photos, the last hour."""
    days = list(_days(since, now))

    def find(day: str, begin: datetime, end: datetime, *, newest: bool) -> datetime | None:
        found = reader.list_by_day(day, since=timestamp(begin), before=timestamp(end), newest_first=newest)
        record = next(found, None)
        return datetime.fromisoformat(record.first_seen_at) if record else None

    first = next((at for day in days if (at := find(*day, newest=False))), None)
    last = next((at for day in reversed(days) if (at := find(*day, newest=True))), None)
    return (first, last + timedelta(milliseconds=1)) if first and last else (now - _HOUR, now)


def _with_last_change(models: list[Champion], first: datetime, last: datetime) -> datetime:
    """Return when a model became champion shortly before the first photo, so that the report shows it, or `first`."""
    begun = [datetime.fromisoformat(at) for model in models for at in (model.promoted_at, model.restored_at) if at]
    newest = max((at for at in begun if at <= first), default=first)
    return newest if first - newest < last - first else first


def _read_photos(
    reader: PhotoReader, since: datetime, until: datetime, width: timedelta
) -> tuple[list[PhotoRecord], bool]:
    found: list[PhotoRecord] = []
    left_out = False
    start = since
    while start < until:
        end = min(start + width, until)
        records = (
            record
            for day, begin, stop in _days(start, end)
            for record in reader.list_by_day(day, since=timestamp(begin), before=timestamp(stop))
        )
        found += islice(records, MOST_PER_BUCKET)
        left_out = left_out or next(records, None) is not None
        start = end
    return found, left_out


def _days(since: datetime, until: datetime) -> Iterator[tuple[str, datetime, datetime]]:
    """Yield each day in UTC, which is a key of the index, with the part of it that is in the time."""
    start = since.astimezone(UTC)
    while start < until:
        end = min(start.replace(hour=0, minute=0, second=0, microsecond=0) + _DAY, until)
        yield start.date().isoformat(), start, end
        start = end


def _read_rejected(group: str) -> list[Rejected]:
    """Return the newest rejected challengers; none when the registry has no group yet."""
    sagemaker: SageMakerClient = boto3.client("sagemaker")
    try:
        listed = sagemaker.list_model_packages(
            ModelPackageGroupName=group,
            ModelApprovalStatus="Rejected",
            SortBy="CreationTime",
            SortOrder="Descending",
            MaxResults=MOST_MODELS,
        )["ModelPackageSummaryList"]
    except ClientError as error:
        if error_code(error) != "ValidationException":
            raise
        return []
    packages: list[Mapping[str, Any]] = [
        sagemaker.describe_model_package(ModelPackageName=found["ModelPackageArn"]) for found in listed
    ]
    return [
        Rejected(
            package.get("CustomerMetadataProperties", {}).get("model_version", "?"),
            package["CreationTime"],
            package.get("ModelPackageDescription", ""),
        )
        for package in packages
    ]


def _read_latency(stage: str, since: datetime, until: datetime, width: timedelta) -> list[Latency]:
    """Return the percentiles of each period of which CloudWatch has the metric, oldest first."""
    cloudwatch: CloudWatchClient = boto3.client("cloudwatch")
    period = max(width, _MINUTE if until - since < _MINUTES_KEPT else 5 * _MINUTE)
    dimensions = [{"Name": "service", "Value": "classify-photo"}, {"Name": "stage", "Value": stage}]
    metric: Any = {"Namespace": "Scones/Vehicles", "MetricName": "EndpointLatency", "Dimensions": dimensions}
    queries: list[MetricDataQueryTypeDef] = [
        {"Id": name, "MetricStat": {"Metric": metric, "Period": int(period.total_seconds()), "Stat": name}}
        for name in ("p50", "p95")
    ]
    values: dict[str, dict[datetime, float]] = {"p50": {}, "p95": {}}
    pages = cloudwatch.get_paginator("get_metric_data").paginate(
        MetricDataQueries=queries, StartTime=since, EndTime=until, ScanBy="TimestampAscending"
    )
    for page in pages:
        for result in page["MetricDataResults"]:
            values[result["Id"]].update(zip(result["Timestamps"], result["Values"], strict=True))
    return [
        Latency(middle(start, period, since, until), median, values["p95"][start])
        for start, median in values["p50"].items()
        if start in values["p95"]
    ]


def middle(start: datetime, period: timedelta, since: datetime, until: datetime) -> datetime:
    """Return the middle of a period, or the end of the report's time that is nearest to it.

    A period of CloudWatch begins at a full minute, which may be before the first photo.
    """
    return min(max(start + period / 2, since), until)
