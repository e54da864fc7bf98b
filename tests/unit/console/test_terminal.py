"""Text for the terminal: photos and untrusted names."""

import io
from types import SimpleNamespace
from typing import Any

from PIL import Image
from rich.console import Console

from console.session import ROUTED, Outcome, Session
from console.terminal import Terminal, half_blocks, printable
from tests.support.reviewers import reviewer as named


def test_a_photo_is_drawn_with_coloured_half_blocks() -> None:
    text = half_blocks(Image.new("RGB", (40, 20), (255, 0, 0)), 20, 10)
    assert text.plain == ("▀" * 20 + "\n") * 5


def test_the_name_of_a_file_cannot_send_control_characters_to_the_terminal() -> None:
    assert "\x1b" not in printable("\x1b[2Jbike.jpg")


def test_a_notice_that_is_added_while_others_are_printed_is_printed_too() -> None:
    session = Session(named("ada"))
    out = io.StringIO()

    class Printing(Console):
        """A terminal that an answer is delivered beside."""

        def print(self, *objects: Any, **options: Any) -> None:
            super().print(*objects, **options)
            if session.notice_count == 1 and "first" in out.getvalue():
                with session.lock:
                    session.notify(Outcome(ROUTED, "photo", "bicycle", "second"))

    desk: Any = SimpleNamespace(choices={}, take=lambda session: [])
    terminal = Terminal(Printing(file=out), desk, session)
    session.notify(Outcome(ROUTED, "photo", "bicycle", "first"))
    terminal.run(iter("xx"))
    assert out.getvalue().count("first") == 1
    assert out.getvalue().count("second") == 1
