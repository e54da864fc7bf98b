"""The photos that `make bench` puts in the record: they are records, and every filter finds some of them."""

from datetime import timedelta
from typing import Any

import boto3
import pytest

from benchmarks.console_stage import DAYS, filled_stage
from benchmarks.pages import FILTERS, page_addresses
from console.aws import Aws
from console.failed_requests import FailedRequests
from console.photo_finder import PhotoFinder
from console.photo_search import Search
from deploy.outputs import Deployed
from functions.shared.photo_reader import PhotoReader
from functions.shared.times import now
from tests.support.failed_requests import failed_stage

MODEL = "vehicles-test-1"


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Any:
    with failed_stage(monkeypatch) as deployed:
        yield deployed


def test_every_filter_finds_photos_and_nothing_is_left_behind(stage: Deployed) -> None:
    before = resources()
    since = (now() - timedelta(days=DAYS)).date().isoformat()
    with filled_stage(stage, MODEL, photos=400) as filled:
        aws = Aws()
        finder = PhotoFinder(PhotoReader(filled.deployed.photo_table, aws.dynamodb), clock=lambda: 0)
        addresses = page_addresses(filled, aws, MODEL)
        for name in FILTERS.keys() - {"another model", "file"}:
            query = dict(pair.split("=") for pair in addresses[f"photos, {name}"].partition("?")[2].split("&"))
            query = {"since": since, **query}
            found = finder.find(Search.of({key: value.replace("+", " ") for key, value in query.items()}))
            assert found.records, name
        assert not finder.find(Search(model="none", since=since)).records
        review, unrouted = FailedRequests(filled.deployed, aws, wait_s=0).list_both()
        assert {one.action is not None for one in (*review, *unrouted)} == {True}
        assert len(review) == len(unrouted) == 20
        assert resources() != before
    assert resources() == before


def test_what_a_run_that_was_killed_left_behind_is_replaced(stage: Deployed) -> None:
    before = resources()
    killed = filled_stage(stage, MODEL, photos=30)
    killed.__enter__()
    with filled_stage(stage, MODEL, photos=60) as filled:
        table = boto3.client("dynamodb").scan(TableName=filled.deployed.photo_table, Select="COUNT")
        assert table["Count"] == 60
    assert resources() == before


def resources() -> list[str]:
    buckets = [bucket["Name"] for bucket in boto3.client("s3").list_buckets()["Buckets"]]
    queues = boto3.client("sqs").list_queues()["QueueUrls"]
    return sorted([*buckets, *queues, *boto3.client("dynamodb").list_tables()["TableNames"]])
