"""The console in a pseudo-terminal, and the commands `python -m console` and `python -m console.redrive`."""

import json
import os
import pty
import select
import subprocess
import sys
import termios
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyte
import pytest

from console.permissions import policy
from tests.browser.deployed_stage import Stage
from tests.support.network import free_port
from tests.support.reviewers import reviewer as named
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
COLUMNS, LINES = 80, 40
COMMAND = [sys.executable, "-m", "console"]
RUN_TERMINAL = """
import sys
from console.answers import choices
from console.terminal import run
from console.aws import Aws
from console.identity import find_reviewer
from deploy.outputs import Deployed
sys.exit(run(Deployed(**{deployed}), Aws(), choices(), find_reviewer(Aws().sts), undo_s={undo_s}))
"""


class PseudoTerminal:
    """A pseudo-terminal with a program. `output` is all that it wrote, `lines` what the screen shows now."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._screen = pyte.Screen(COLUMNS, LINES)
        self._stream = pyte.ByteStream(self._screen)
        self.output = ""

    @property
    def lines(self) -> list[str]:
        """The lines of the screen without the empty ones."""
        return [line.rstrip() for line in self._screen.display if line.strip()]

    def press(self, key: str) -> None:
        """Send a key to the program."""
        os.write(self._descriptor, key.encode())

    def read_until(self, text: str, timeout_s: float = 20) -> None:
        """Read the output until it, or a line of the screen, contains `text`."""
        self.read_while(lambda: text not in "\n".join((self.output, *self.lines)), f"no {text!r}", timeout_s)

    def read_while(self, condition: Callable[[], bool], problem: str, timeout_s: float = 20) -> None:
        """Read the output while a condition is true."""
        deadline = time.monotonic() + timeout_s
        while condition():
            assert time.monotonic() < deadline, f"{problem} in: {self.output[-600:]}"
            if select.select([self._descriptor], [], [], 0.1)[0]:
                read = os.read(self._descriptor, 65536)
                self._stream.feed(read)
                self.output += read.decode(errors="replace")


@contextmanager
def terminal(stage: Stage, undo_s: float) -> Iterator[PseudoTerminal]:
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (LINES, COLUMNS))
    code = RUN_TERMINAL.format(deployed=stage.deployed.__dict__, undo_s=undo_s)
    size = {"TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": str(LINES)}
    environment = {**os.environ, **stage.aws_of("ada").environment, **size}
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=slave, stdout=slave, stderr=slave, cwd=ROOT, env=environment
    )
    os.close(slave)
    try:
        yield PseudoTerminal(master)
        process.wait(timeout=60)
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()
        os.close(master)


def test_photos_are_answered_and_undone_in_a_terminal(stage: Stage) -> None:
    requested = stage.request_reviews(2, vehicle="motorcycle")
    stage.wait_for_requests(2)
    with terminal(stage, undo_s=1.5) as screen:
        screen.read_until("[B]\N{NO-BREAK SPACE}Bicycle")
        assert "▀" in screen.output
        assert "motorcycle" in screen.output
        screen.press("m")
        screen.read_until("Z undoes it")
        screen.press("z")
        screen.read_until("Undone")
        screen.press("b")
        screen.read_until("✓")
        screen.read_until("Bay A")
        screen.press("n")
        screen.press("q")
        screen.read_until("other:")
    labels = eventually(lambda: [stage.label(one) for one in requested], all)
    assert sorted((label or {})["vehicle"] for label in labels) == ["bicycle", "other"]
    assert {(label or {})["reviewer_name"] for label in labels} == {"ada"}


def test_the_status_of_the_terminal_is_one_line_below_the_photo_that_changes_in_place(stage: Stage) -> None:
    stage.request_reviews()
    stage.wait_for_requests(1)
    seen: set[str] = set()

    def seen_fewer_than_three() -> bool:
        seen.update(line for line in screen.lines if "waiting for" in line)
        return len(seen) < 3

    with terminal(stage, undo_s=3) as screen:
        screen.read_until("waiting for")
        screen.read_while(seen_fewer_than_three, "the time does not pass")
        assert [line for line in screen.lines if "waiting for" in line] == [screen.lines[-1]]
        assert screen.lines[-2].startswith("╰")
        assert "[B]\N{NO-BREAK SPACE}Bicycle" in "\n".join(screen.lines)
        screen.press("b")
        screen.read_until("Z undoes it")
        screen.read_while(lambda: "→ Bay A" not in "\n".join(screen.lines), "no notice")
        screen.read_while(lambda: "The queue is empty" not in screen.lines[-1], "no status")
        assert not [line for line in screen.lines if "waiting for" in line or "Z undoes it" in line]
        screen.press("q")


def test_quitting_the_terminal_gives_the_photo_back(stage: Stage) -> None:
    stage.request_reviews()
    stage.wait_for_requests(1)
    with terminal(stage, undo_s=3) as screen:
        screen.read_until("[B]\N{NO-BREAK SPACE}Bicycle")
        screen.press("q")
    with stage.desk() as desk:
        assert eventually(lambda: desk.take(desk.open_session(named("ben"))))


@pytest.fixture
def environment(stage: Stage) -> dict[str, str]:
    """The environment of the commands, with the embedded AWS of these tests."""
    return {**os.environ, "STAGE": stage.deployed.stage, "TARGET": "local", "PYTHONUNBUFFERED": "1"}


def test_redrive_sends_back_the_requests_that_can_be_answered_and_lists_the_rest(
    stage: Stage, environment: dict[str, str]
) -> None:
    stage.request_reviews()
    stage.wait_for_requests(1)
    sqs = stage.aws.sqs
    message = sqs.receive_message(QueueUrl=stage.deployed.review_queue_url)["Messages"][0]
    sqs.delete_message(QueueUrl=stage.deployed.review_queue_url, ReceiptHandle=message["ReceiptHandle"])
    stage.dead_letter(message["Body"])
    stage.dead_letter('{"task_token": "never-shown", "photo": 1}')
    ran = subprocess.run(
        [sys.executable, "-m", "operate", "redrive"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stdout
    assert "sent back to the reviewers" in ran.stdout
    assert "1 replayed, 1 stayed." in ran.stdout
    assert "never-shown" not in ran.stdout
    assert json.loads(message["Body"])["task_token"] not in ran.stdout
    assert stage.queue_length() == 1


@contextmanager
def command(environment: dict[str, str], reviewer: str, port: int) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """Run `python -m console`; yield the process, the identity and the start address that it prints."""
    settings = {**environment, "REVIEW_PORT": str(port), "REVIEWER": reviewer}
    with subprocess.Popen(
        COMMAND, cwd=ROOT, env=settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            assert process.stdout
            lines = [process.stdout.readline() for _ in range(4)]
            assert lines[1].startswith(f"Reviewing as {reviewer}, AWS identity "), lines
            assert lines[3].startswith(f"http://127.0.0.1:{port}/start?token="), lines
            eventually(lambda: _status(f"http://127.0.0.1:{port}/") == 401)
            yield process, lines[1].split()[-1], lines[3].strip()
        finally:
            process.kill()


def test_the_command_serves_the_console_until_it_is_interrupted(stage: Stage, environment: dict[str, str]) -> None:
    port = free_port()
    with command(environment, "ana", port) as (process, _, start):
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        browser.open(start).close()
        with browser.open(f"http://127.0.0.1:{port}/") as page:
            assert b"<h1" in page.read()
        assert process.stdout
        assert "/start?token=" in process.stdout.readline()
        assert _status(start) == 401
        second = subprocess.run(
            COMMAND, cwd=ROOT, env={**environment, "REVIEW_PORT": str(port)}, capture_output=True, text=True, timeout=60
        )
        assert second.returncode == 1
        assert "set REVIEW_PORT to a free one" in second.stderr
        process.send_signal(2)
        assert process.wait(timeout=15) in (0, 130, -2)
    assert _status(f"http://127.0.0.1:{port}/") is None


def test_two_reviewers_have_two_identities_in_the_browser_and_in_the_terminal(
    stage: Stage, environment: dict[str, str]
) -> None:
    with (
        command(environment, "ana", free_port()) as (_, ana, _),
        command(environment, "ben", free_port()) as (_, ben, _),
    ):
        assert ana != ben
        assert ana.startswith("AIDA")
        assert ben.startswith("AIDA")
        plain = subprocess.run(
            [*COMMAND, "--plain"],
            cwd=ROOT,
            env={**environment, "REVIEWER": "ana"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert plain.returncode == 0, plain.stderr
    assert f"Reviewing as ana, AWS identity {ana}" in plain.stdout


@pytest.mark.parametrize("reviewer", ["a\x1bb", "Ana Maria", ".."])
def test_a_name_that_cannot_be_used_is_refused(environment: dict[str, str], reviewer: str) -> None:
    ran = subprocess.run(
        COMMAND, cwd=ROOT, env={**environment, "REVIEWER": reviewer}, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 1
    assert "use up to 64 characters of a-z, 0-9 and +=,.@_-, the first of them a letter or digit" in ran.stderr
    assert "the displayed name can be changed on the page" in ran.stderr


def test_the_policy_of_reviewers_is_printed_as_json(stage: Stage, environment: dict[str, str]) -> None:
    ran = subprocess.run(
        [*COMMAND, "--policy"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert json.loads(ran.stdout) == policy(stage.deployed)


def _status(address: str) -> int | None:
    """Return the status of the response to a client without cookies; None when nobody responds."""
    try:
        with urllib.request.urlopen(address) as answer:  # noqa: S310  # the console's address
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except OSError:
        return None
