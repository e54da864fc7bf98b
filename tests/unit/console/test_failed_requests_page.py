"""The page of failed requests."""

import re
from collections.abc import Iterator

import pytest

from console.aws import Aws
from deploy.outputs import Deployed
from tests.support.failed_requests import announced, depth, failed_stage, photo, send, unrouted_body
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
    assert browser.post("/api/redrive", ids=[]).json() == {"results": [], "summary": "No failed requests."}


def shown(page: str) -> list[str]:
    return re.findall(r'data-message="([^"]+)"', page)


def test_replay_all_replays_what_was_shown_and_nothing_that_came_later(stage: Deployed, browser: BrowserClient) -> None:
    ids = {send(stage.unrouted_queue_url, unrouted_body(number)) for number in range(3)}
    on_screen = shown(browser.get("/dead-letters").text)
    assert set(on_screen) == ids
    send(stage.unrouted_queue_url, unrouted_body(7))
    replayed = browser.post("/api/redrive", ids=on_screen).json()
    assert {one["id"] for one in replayed["results"]} == ids
    assert replayed["summary"] == "3 replayed."
    assert depth(stage.unrouted_queue_url) == (1, 0)


def test_the_list_is_shown_as_it_was_read_last_and_read_again_on_request(
    stage: Deployed, browser: BrowserClient
) -> None:
    ids = [send(stage.unrouted_queue_url, unrouted_body(number)) for number in range(2)]
    assert set(shown(browser.get("/dead-letters").text)) == set(ids)
    later = send(stage.unrouted_queue_url, unrouted_body(2))
    assert set(shown(browser.get("/dead-letters").text)) == set(ids)
    assert set(shown(browser.get("/dead-letters?wait=yes").text)) == {*ids, later}


def test_a_message_that_was_replayed_or_removed_is_not_listed_again(stage: Deployed, browser: BrowserClient) -> None:
    replayed, removed, stays = (send(stage.unrouted_queue_url, unrouted_body(number)) for number in range(3))
    announced(stage, 1)
    assert len(shown(browser.get("/dead-letters").text)) == 3
    browser.post("/api/redrive", ids=[replayed])
    browser.post("/api/failed/remove", id=removed)
    assert shown(browser.get("/dead-letters").text) == [stays]


def test_one_message_is_replayed_and_one_that_is_gone_is_said_to_be(stage: Deployed, browser: BrowserClient) -> None:
    send(stage.unrouted_queue_url, unrouted_body(1))
    message_id = send(stage.unrouted_queue_url, unrouted_body(2))
    (replayed,) = browser.post("/api/redrive", ids=[message_id]).json()["results"]
    assert replayed == {"id": message_id, "result": "replayed", "text": f"execution redrive-{message_id} started"}
    assert depth(stage.unrouted_queue_url) == (1, 0)
    again = browser.post("/api/redrive", ids=[message_id]).json()
    assert again["results"] == []
    assert again["summary"].startswith("1 gone: replayed or removed by somebody else")


def test_the_message_of_a_repaired_photo_is_shown_as_such_and_removed_with_one_click(
    stage: Deployed, browser: BrowserClient
) -> None:
    repaired = send(stage.unrouted_queue_url, unrouted_body(1))
    letter = send(stage.review_dead_letter_queue_url, review_body(photo=photo(2).as_state()))
    open_one = send(stage.unrouted_queue_url, unrouted_body(3))
    announced(stage, 1)
    announced(stage, 2)
    page = browser.get("/dead-letters").text
    assert page.count("the photo has its outcome by now") == 2
    assert page.count(">Bay A</a>") == 2
    assert (page.count("remove-one"), page.count("redrive-one")) == (2, 1)
    assert browser.post("/api/failed/remove", id=repaired).json() == {"id": repaired}
    assert depth(stage.unrouted_queue_url) == (1, 0)
    refused = browser.post("/api/failed/remove", id=open_one)
    assert refused.status_code == 409
    assert "can be replayed" in refused.json()["detail"]
    assert browser.post("/api/failed/remove", id=repaired).status_code == 404
    (removed,) = browser.post("/api/redrive", ids=[letter]).json()["results"]
    assert (removed["result"], depth(stage.review_queue_url)) == ("removed", (0, 0))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("RecordUnavailable", "AWS did not answer at that time. Replay it"),
        ("ModelUnavailable", "The endpoint did not answer."),
        ("KeyError", "This error is not expected. Read the log"),
    ],
)
def test_each_failed_photo_has_advice(stage: Deployed, browser: BrowserClient, error: str, words: str) -> None:
    send(stage.unrouted_queue_url, unrouted_body() | {"error": {"Error": error, "Cause": "{}"}})
    assert words in browser.get("/dead-letters").text


def test_a_key_cannot_hide_its_characters(stage: Deployed, browser: BrowserClient) -> None:
    body = unrouted_body() | {"photo": photo(key="uploads/d/a\u202egpj.exe").as_state()}
    send(stage.unrouted_queue_url, body)
    assert "\\u202e" in browser.get("/dead-letters").text
