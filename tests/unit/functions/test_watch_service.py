"""WatchService: what it measures, and when there is nothing to measure."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from botocore.exceptions import ClientError

from functions.shared.champion import Champion, ModelTable
from functions.shared.errors import InvalidSettings
from functions.shared.photo import Photo
from functions.shared.photo_table import PhotoTable
from functions.shared.times import timestamp
from functions.watch_service.opening_hours import OpeningHours, read_opening_hours
from functions.watch_service.watch import Watch
from tests.unit.functions.stack import UPLOADS, Function, FunctionOutput

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
DAY = read_opening_hours("06:00-22:00", "UTC")


class Endpoint:
    """The part of SageMaker that is called."""

    def __init__(self, status: str | None) -> None:
        self.status = status

    def describe_endpoint(self, **_: str) -> dict[str, Any]:
        if self.status is None:
            error = {"Code": "ValidationException", "Message": 'Could not find endpoint "x".'}
            raise ClientError({"Error": error}, "DescribeEndpoint")
        return {"EndpointStatus": self.status}


def look(
    photos: PhotoTable,
    table: ModelTable,
    at: datetime = NOON,
    hours: OpeningHours | None = DAY,
    status: str | None = "InService",
) -> dict[str, float]:
    return dict(Watch(photos, table, Endpoint(status), "endpoint", hours, at).measure())  # type: ignore[arg-type]


def classified(photos: PhotoTable, name: str, at: datetime) -> Photo:
    photo = Photo(UPLOADS, f"uploads/driver-1/{name}.jpg", name * 32, 9)
    photos.classify(photo, f"arn:execution:{name}", at, classification={"vehicle": "bicycle"}, threshold=0.9)
    return photo


def promote(table: ModelTable, at: datetime) -> None:
    champion = Champion("v1", "v1", "s3://b/model.tar.gz", promoted_at=timestamp(at))
    table._dynamodb.put_item(TableName=table.name, Item=_item(champion))


def _item(champion: Champion) -> dict[str, Any]:
    return {"id": {"S": "champion"}} | {
        name: {"S": value} for name, value in champion.as_state().items() if isinstance(value, str)
    }


def test_a_stage_without_photos_and_models_has_no_wait_and_no_model_metrics(
    photos: PhotoTable, table: ModelTable
) -> None:
    assert look(photos, table, hours=None) == {"LongestDriverWait": 0.0}


def test_the_longest_wait_is_that_of_the_oldest_photo_in_review(photos: PhotoTable, table: ModelTable) -> None:
    for name, minutes in (("a", 9), ("b", 12), ("c", 1)):
        at = NOON - timedelta(minutes=minutes)
        photo = classified(photos, name, at)
        review = {"reason": "LowConfidence", "requested_at": timestamp(at), "expires_at": timestamp(NOON)}
        photos.claim_review(photo, f"arn:execution:{name}", at, review={**review, "token_hash": name * 64})
    assert look(photos, table)["LongestDriverWait"] == 12 * 60


@pytest.mark.parametrize(("hours_ago", "expected"), [(1, 1.0), (5, 5.0), (9, 6.0)])
def test_hours_without_a_photo_count_from_the_opening(
    photos: PhotoTable, table: ModelTable, hours_ago: int, expected: float
) -> None:
    classified(photos, "a", NOON - timedelta(hours=hours_ago))
    assert look(photos, table)["HoursWithoutPhoto"] == expected


def test_no_photo_is_expected_outside_of_the_opening_hours(photos: PhotoTable, table: ModelTable) -> None:
    assert look(photos, table, at=NOON.replace(hour=23))["HoursWithoutPhoto"] == 0.0


@pytest.mark.parametrize(
    ("status", "expected"),
    [("InService", 1.0), ("Updating", 1.0), ("Failed", 0.0), ("Creating", 0.0), (None, 0.0)],
)
def test_the_endpoint_of_a_champion_serves_or_not(
    photos: PhotoTable, table: ModelTable, status: str | None, expected: float
) -> None:
    promote(table, NOON - timedelta(days=40))
    found = look(photos, table, status=status)
    assert (found["EndpointInService"], found["DaysSinceSuccessfulRetraining"]) == (expected, 40.0)


def test_a_rejected_challenger_is_a_successful_retraining(photos: PhotoTable, table: ModelTable) -> None:
    promote(table, NOON - timedelta(days=40))
    table.record_judged("s3://b/snapshot/", timestamp(NOON - timedelta(days=3)))
    assert look(photos, table)["DaysSinceSuccessfulRetraining"] == 3.0


def test_an_error_of_sagemaker_is_no_missing_endpoint(
    photos: PhotoTable, table: ModelTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(table, NOON)

    def refuse(self: Endpoint, **_: str) -> dict[str, Any]:
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "Rate exceeded"}}, "DescribeEndpoint")

    monkeypatch.setattr(Endpoint, "describe_endpoint", refuse)
    with pytest.raises(ClientError, match="Rate exceeded"):
        look(photos, table)


def test_opening_hours_past_midnight_and_in_a_time_zone() -> None:
    hours = read_opening_hours("18:00-02:00", "Europe/Dublin")
    assert hours is not None
    summer = datetime(2026, 7, 1, 0, 30, tzinfo=UTC)  # half past one in Dublin
    assert hours.opened_at(summer) == datetime(2026, 6, 30, 18, tzinfo=ZoneInfo("Europe/Dublin"))
    assert hours.opened_at(summer + timedelta(hours=1)) is None


@pytest.mark.parametrize(
    ("text", "zone", "message"),
    [("6-22", "UTC", "OPENING_HOURS"), ("06:00", "UTC", "OPENING_HOURS"), ("06:00-22:00", "Mars/North", "TIME_ZONE")],
)
def test_wrong_opening_hours_are_named(text: str, zone: str, message: str) -> None:
    with pytest.raises(InvalidSettings, match=message):
        read_opening_hours(text, zone)


def test_the_metrics_have_the_dimensions_of_their_alarms(
    function: Callable[[str], Function],
    table: ModelTable,
    output: Callable[[], FunctionOutput],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in (("MODEL_TABLE", "models"), ("OPENING_HOURS", "00:00-23:59"), ("TIME_ZONE", "UTC")):
        monkeypatch.setenv(name, value)
    promote(table, datetime.now(UTC) - timedelta(days=1))
    measured = function("watch_service")()
    assert set(measured) == {
        *("LongestDriverWait", "HoursWithoutPhoto", "EndpointInService", "DaysSinceSuccessfulRetraining")
    }
    written = output()
    for name in measured:
        (line,) = written.metrics(name)
        assert (line["service"], line["stage"]) == ("watch-service", "test")
        assert line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["stage", "service"]]
