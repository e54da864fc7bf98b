"""A slow reading of AWS: what is shown at once, and when it is read again."""

import threading
from collections.abc import Callable

import pytest

from console.reading import Reading
from tests.support.waiting import eventually


class Aws:
    """Returns 1, 2, 3 …, each when the test allows it; counts the reads that began."""

    def __init__(self) -> None:
        self.time, self.began, self.ended = 0.0, 0, 0
        self.may_end = threading.Event()
        self.may_end.set()
        self.broken = False

    def read(self) -> list[int]:
        self.began += 1
        number = self.began
        assert self.may_end.wait(20)
        if self.broken:
            raise ConnectionError("on purpose")
        self.ended = number
        return [number]

    def reading(self, fresh_s: float = 5, usable_s: float = 60) -> Reading[list[int]]:
        return Reading("numbers", self.read, fresh_s=fresh_s, usable_s=usable_s, clock=lambda: self.time)


def test_a_fresh_result_is_not_read_again() -> None:
    aws = Aws()
    reading = aws.reading()
    assert [reading.get().value for _ in range(3)] == [[1]] * 3
    aws.time = 5
    assert reading.get().value == [1]
    assert aws.began == 1


def test_a_result_that_is_not_fresh_is_shown_at_once_and_renewed_once_meanwhile() -> None:
    aws = Aws()
    reading = aws.reading()
    first = reading.get()
    aws.time = 6
    aws.may_end.clear()
    assert [reading.get() for _ in range(3)] == [first] * 3
    aws.may_end.set()
    reading.close()
    assert (reading.get().value, aws.began) == ([2], 2)
    assert reading.get().at >= first.at


def test_a_result_that_is_too_old_is_read_before_it_is_shown() -> None:
    aws = Aws()
    reading = aws.reading()
    reading.get()
    aws.time = 61
    assert (reading.get().value, aws.began) == ([2], 2)


def test_a_renewal_does_not_take_a_result_that_was_being_read_before() -> None:
    aws = Aws()
    reading = aws.reading(fresh_s=0)
    reading.get()
    aws.time = 1
    aws.may_end.clear()
    reading.get()
    eventually(lambda: aws.began, lambda began: began == 2)
    aws.time = 2
    found: list[list[int]] = []
    renewing = _start(lambda: found.append(reading.renew().value))
    aws.may_end.set()
    renewing.join()
    assert found == [[3]]
    reading.close()


def test_who_asks_while_another_reads_waits_for_the_same_result() -> None:
    aws = Aws()
    reading = aws.reading()
    aws.may_end.clear()
    found: list[list[int]] = []
    asking = [_start(lambda: found.append(reading.get().value)) for _ in range(4)]
    eventually(lambda: aws.began, lambda began: began == 1)
    aws.may_end.set()
    for thread in asking:
        thread.join()
    assert found == [[1]] * 4


def test_a_failure_in_the_background_is_raised_at_the_next_call(caplog: pytest.LogCaptureFixture) -> None:
    aws = Aws()
    reading = aws.reading()
    reading.get()
    aws.time, aws.broken = 6, True
    assert reading.get().value == [1]
    reading.close()
    assert "numbers could not be read in the background: ConnectionError" in caplog.text
    with pytest.raises(ConnectionError):
        reading.get()
    aws.broken = False
    assert reading.get().value == [4]


def test_a_change_is_seen_at_once_and_not_undone_by_a_reading_that_began_before_it() -> None:
    aws = Aws()
    reading = aws.reading()
    reading.get()
    aws.time = 6
    aws.may_end.clear()
    reading.get()
    eventually(lambda: aws.began, lambda began: began == 2)
    reading.change(lambda value: [*value, 100])
    assert reading.get().value == [1, 100]
    aws.may_end.set()
    eventually(lambda: aws.ended, lambda ended: ended == 2)
    reading.close()
    assert reading.get().value == [1, 100]
    reading.close()
    assert reading.get().value == [3]


def _start(target: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=target)
    thread.start()
    return thread
