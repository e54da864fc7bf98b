"""The command `make redrive`."""

from collections.abc import Callable, Iterator

import pytest

from deploy.outputs import Deployed
from operate import redrive
from operate.errors import CommandError
from tests.support.failed_requests import depth, failed_stage, photo, send, unrouted_body
from tests.unit.console.review_requests import body as review_body


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployed]:
    monkeypatch.setattr("console.failed_requests.WAIT_S", 0)
    with failed_stage(monkeypatch) as deployed:
        yield deployed


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    return lambda: capsys.readouterr().out


def test_the_list_shows_photo_driver_error_and_what_a_replay_does(stage: Deployed, printed: Callable[[], str]) -> None:
    send(stage.review_dead_letter_queue_url, review_body())
    message_id = send(stage.unrouted_queue_url, unrouted_body())
    redrive.list_failed(stage)
    text = printed()
    assert "Review requests: 1\n" in text
    assert "Photos and events: 1\n" in text
    assert f"\n{message_id}  Photo not routed, since 20" in text
    assert f"  {photo().address}, driver driver-17\n" in text
    assert "  RecordUnavailable: DynamoDB did not answer\n" in text
    assert "  Replay: Start an execution for the photo.\n" in text
    assert "secret-token" not in text
    assert depth(stage.unrouted_queue_url) == (1, 0)


def test_the_body_of_a_message_that_is_not_replayed_is_listed(stage: Deployed, printed: Callable[[], str]) -> None:
    send(stage.unrouted_queue_url, "garbage")
    redrive.list_failed(stage)
    assert "\n  | garbage\n" in printed()


def test_a_replay_right_after_the_list_replays_what_was_listed(stage: Deployed, printed: Callable[[], str]) -> None:
    for number in range(3):
        send(stage.unrouted_queue_url, unrouted_body(number))
    send(stage.unrouted_queue_url, "garbage")
    redrive.list_failed(stage)
    redrive.replay(stage)
    assert "\n3 replayed, 1 stayed.\n" in printed()
    assert depth(stage.unrouted_queue_url) == (1, 0)


def test_without_failed_requests_it_says_so(stage: Deployed, printed: Callable[[], str]) -> None:
    redrive.replay(stage)
    redrive.list_failed(stage)
    text = printed()
    assert "No failed requests." in text
    assert "Review requests: none failed" in text
    assert "make redrive ID" not in text


def test_a_replay_that_fails_is_an_error(stage: Deployed, printed: Callable[[], str]) -> None:
    send(stage.unrouted_queue_url, unrouted_body())
    broken = Deployed(**{**vars(stage), "classify_photo_arn": stage.classify_photo_arn + "-missing"})
    with pytest.raises(CommandError, match="1 of 1 messages were not replayed"):
        redrive.replay(broken)
    assert "failed: " in printed()
    assert depth(stage.unrouted_queue_url) == (1, 0)


def test_one_message_that_is_not_replayed_is_an_error(stage: Deployed) -> None:
    message_id = send(stage.unrouted_queue_url, "garbage")
    with pytest.raises(CommandError, match="not replayed"):
        redrive.replay(stage, message_id)
    with pytest.raises(CommandError, match="no failed message"):
        redrive.replay(stage, "another")


def test_a_removed_message_is_printed_in_full(stage: Deployed, printed: Callable[[], str]) -> None:
    message_id = send(stage.unrouted_queue_url, "garbage \u202e\x9b2J")
    redrive.remove(stage, message_id, force=False)
    assert "  | garbage \\u202e\\x9b2J\n" in printed()
    with pytest.raises(CommandError, match="no failed message"):
        redrive.remove(stage, message_id, force=False)


def test_a_message_that_can_be_replayed_is_removed_only_by_force(stage: Deployed, printed: Callable[[], str]) -> None:
    message_id = send(stage.unrouted_queue_url, unrouted_body())
    with pytest.raises(CommandError, match="FORCE=yes"):
        redrive.remove(stage, message_id, force=False)
    redrive.remove(stage, message_id, force=True)
    assert "Removed." in printed()
