"""The page of failed requests."""

from collections.abc import Iterator

import pytest

from console.aws import Aws
from deploy.outputs import Deployed
from tests.support.failed_requests import depth, failed_stage, photo, send, unrouted_body
from tests.unit.console.browser_client import BrowserClient
from tests.unit.console.review_requests import body as review_body


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployed]:
    monkeypatch.setattr("console.failed_requests.WAIT_S", 0)
    with failed_stage(monkeypatch) as deployed:
        yield deployed


@pytest.fixture
def browser(stage: Deployed) -> Iterator[BrowserClient]:
    with BrowserClient(stage, Aws()) as client:
        yield client


def test_the_page_lists_both_queues_without_task_tokens(stage: Deployed, browser: BrowserClient) -> None:
    send(stage.review_dead_letter_queue_url, review_body())
    send(stage.unrouted_queue_url, unrouted_body())
    send(stage.unrouted_queue_url, "<script>alert(1)</script>")
    page = browser.get("/dead-letters").text
    assert "Review requests (1)" in page
    assert "Photos and events (2)" in page
    assert "driver driver-17" in page
    assert "RecordUnavailable: DynamoDB did not answer" in page
    assert "secret-token" not in page
    assert "<script>alert" not in page
    assert page.count("redrive-one") == 2


def test_empty_queues_have_nothing_to_replay(browser: BrowserClient) -> None:
    page = browser.get("/dead-letters").text
    assert "No failed requests" in page
    assert 'id="redrive"' not in page
    assert browser.post("/api/redrive").json() == {"results": [], "summary": "No failed requests."}


def test_replay_all_after_looking_replays_what_was_shown(stage: Deployed, browser: BrowserClient) -> None:
    ids = {send(stage.unrouted_queue_url, unrouted_body(number)) for number in range(3)}
    browser.get("/dead-letters")
    replayed = browser.post("/api/redrive").json()
    assert {one["id"] for one in replayed["results"]} == ids
    assert replayed["summary"] == "3 replayed."
    assert depth(stage.unrouted_queue_url) == (0, 0)


def test_one_message_is_replayed(stage: Deployed, browser: BrowserClient) -> None:
    send(stage.unrouted_queue_url, unrouted_body(1))
    message_id = send(stage.unrouted_queue_url, unrouted_body(2))
    (replayed,) = browser.post("/api/redrive", id=message_id).json()["results"]
    assert replayed == {"id": message_id, "result": "replayed", "text": f"execution redrive-{message_id} started"}
    assert depth(stage.unrouted_queue_url) == (1, 0)
    assert browser.post("/api/redrive", id=message_id).status_code == 404


def test_a_key_cannot_hide_its_characters(stage: Deployed, browser: BrowserClient) -> None:
    body = unrouted_body() | {"photo": photo(key="uploads/d/a\u202egpj.exe").as_state()}
    send(stage.unrouted_queue_url, body)
    assert "\\u202e" in browser.get("/dead-letters").text
