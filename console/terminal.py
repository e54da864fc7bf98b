"""The console in a terminal: photos are drawn with half-block characters, and each answer has a key."""

import os
import select
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime

from botocore.exceptions import BotoCoreError, ClientError
from PIL import Image
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from console.answers import QUIT_KEY, SKIP_KEY, UNDO_KEY, Choice
from console.aws import Aws
from console.aws_errors import explain
from console.desk import Desk
from console.durations import whole_seconds
from console.identity import Reviewer
from console.leases import Lease
from console.photos import PhotoNotShown
from console.session import ROUTED, NotLeased, Outcome, Session
from deploy.outputs import Deployed
from functions.shared.errors import RecordUnavailable

_POLL_S = 2.0
_KEY_TIMEOUT_S = 0.2
_UPPER_HALF = "▀"
_BAR_WIDTH = 24
_TEXT_LINES = 18  # lines of the terminal above and below the photo


def run(
    deployed: Deployed,
    aws: Aws,
    choices: Iterable[Choice],
    reviewer: Reviewer,
    *,
    undo_s: float,
    blind: bool = False,
) -> int:
    """Review until `q`, Ctrl-C or the end of the input, then deliver all answers and give back the rest. Returns 0.

    With `blind`, the model's prediction is not shown before the answer.
    """
    console = Console(highlight=False)
    with Desk(deployed, aws, choices, undo_s=undo_s) as desk, keyboard() as keys:
        session = desk.open_session(reviewer)
        console.print("[bold]Q[/] quits.")
        with suppress(KeyboardInterrupt):  # Ctrl-C ends the session like `q`
            Terminal(console, desk, session, blind=blind).run(keys)
    for notice in session.notices:
        console.print(_notice(notice))
    return 0


class Terminal:
    """The terminal of one reviewer."""

    def __init__(self, console: Console, desk: Desk, session: Session, *, blind: bool = False) -> None:
        """Print to `console` and take requests from `desk` for `session`; without predictions with `blind`."""
        self._hides_opinion = blind
        self._console = console
        self._desk = desk
        self._session = session
        self._keys = {choice.key: choice for choice in desk.choices.values()}
        self._shown: str | None = None  # the id of the lease on the screen
        self._polled = 0.0
        self._leased: list[Lease] = []
        # The status line, below everything that is printed. Without a terminal there is none.
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def run(self, keys: Iterator[str | None]) -> None:
        """Show the current request and handle each key, until QUIT_KEY or the last key."""
        with self._live if self._console.is_terminal else nullcontext():
            self._poll()
            self._show_status()
            for key in keys:
                if key == QUIT_KEY:
                    return
                if key:
                    self._handle(key.lower())
                if key or time.monotonic() - self._polled > _POLL_S:
                    self._poll()
                self._show_status()

    def _poll(self) -> None:
        self._polled = time.monotonic()
        try:
            self._leased = self._desk.take(self._session)
        except (RecordUnavailable, ClientError, BotoCoreError) as error:
            self._console.print(Text(f"{explain(error)} Trying again.", "red"))
            return
        with self._session.lock:
            notices, self._session.notices = self._session.notices, []
        for notice in notices:
            self._console.print(_notice(notice))
        current = self._leased[0] if self._leased else None
        if current and current.id != self._shown:
            self._console.print(self._page(current))
        self._shown = current.id if current else None

    def _handle(self, key: str) -> None:
        if key == UNDO_KEY:
            undone = self._desk.undo(self._session)
            self._console.print("Undone." if undone else "Too late to undo.")
            return
        if not self._leased:
            return
        lease = self._leased[0]
        try:
            if key == SKIP_KEY:
                self._desk.skip(self._session, lease.id)
            elif key in self._keys:
                self._desk.answer(self._session, lease.id, self._keys[key].vehicle)
        except NotLeased as error:
            self._console.print(Text(str(error), "yellow"))

    def _show_status(self) -> None:
        line = self._status()
        if self._console.is_terminal:
            self._live.update(Text(line, "dim", no_wrap=True, overflow="ellipsis"), refresh=True)

    def _status(self) -> str:
        """Return the status line: the answer that can be undone, else how long the driver waits."""
        undoable = [answer for answer in self._session.answers if not answer.delivering]
        if undoable:
            last = undoable[-1]
            left = max(0.0, last.due - time.monotonic())
            return f"{self._desk.choices[last.vehicle].name}: Z undoes it, {whole_seconds(left + 0.5)} left"
        if self._leased:
            now = datetime.now(UTC)
            request = self._leased[0].request
            left = (request.expires_at - now).total_seconds() if request.expires_at else 0
            waited = (now - request.requested_at).total_seconds()
            expiry = f"expires in {whole_seconds(left)}" if left > 0 else "no driver waits: label only"
            return f"waiting for {whole_seconds(waited)}, {expiry}"
        return "The queue is empty. New photos appear automatically; Q quits."

    def _page(self, lease: Lease) -> Panel:
        request = lease.request
        details = Table.grid(padding=(0, 2))
        details.add_row("Reason", Text(printable(request.explanation)))
        if lease.is_label_only(datetime.now(UTC)):
            details.add_row(
                "Note", Text("The driver no longer waits. Your answer is kept as a label for training.", "yellow")
            )
        probabilities = {} if self._hides_opinion or request.is_blind else request.probabilities or {}
        lease.opinion_shown |= bool(probabilities)
        for name, share in sorted(probabilities.items(), key=lambda item: -item[1]):
            bar = Text("█" * round(share * _BAR_WIDTH), "cyan") + Text(
                "░" * (_BAR_WIDTH - round(share * _BAR_WIDTH)), "dim"
            )
            details.add_row(name, bar + Text(f" {share:.1%}"))
        keys = Text("   ").join(
            [_key(choice.key, choice.name) for choice in self._keys.values()]
            + [_key(SKIP_KEY, "Skip"), _key(UNDO_KEY, "Undo"), _key(QUIT_KEY, "Quit")]
        )
        # Text, not markup: the name of the file is untrusted.
        title = Text(f" {printable(request.driver_id)} · {printable(request.file_name)} ")
        return Panel(Group(self._photo(lease), details, Text(), keys), title=title, border_style="green")

    def _photo(self, lease: Lease) -> Text:
        width = max(10, min(self._console.width - 4, 100))
        height = max(6, self._console.height - _TEXT_LINES)
        try:
            return half_blocks(self._desk.photos.large(lease.request.photo), width, height)
        except PhotoNotShown as error:
            return Text(str(error), "yellow")


def _key(key: str, name: str) -> Text:
    """Return a key and its name, which are not wrapped."""
    return Text.assemble((f"[{key.upper()}]", "bold"), f" {name}".replace(" ", "\N{NO-BREAK SPACE}"))


def half_blocks(image: Image.Image, columns: int, lines: int) -> Text:
    """Return an RGB image as coloured text of half blocks: each character shows two pixels, one above the other."""
    scale = min(columns / image.width, 2 * lines / image.height)
    size = (max(1, round(image.width * scale)), max(2, round(image.height * scale) // 2 * 2))
    pixels = image.resize(size).load()
    if pixels is None:
        return Text()
    text = Text()
    for y in range(0, size[1], 2):
        for x in range(size[0]):
            above, below = pixels[x, y], pixels[x, y + 1]
            text.append(_UPPER_HALF, f"rgb({_rgb(above)}) on rgb({_rgb(below)})")
        text.append("\n")
    return text


def printable(name: str) -> str:
    """Return untrusted text without control characters, at most 160 characters long."""
    return "".join(character if character.isprintable() else "?" for character in name)[:160]


@contextmanager
def keyboard() -> Iterator[Iterator[str | None]]:
    """Yield an iterator of pressed keys, which gives None after 0.2 s without one; restore the terminal at the end."""
    stream = sys.stdin
    if not stream.isatty():
        yield _keys(stream.fileno())
        return
    import termios
    import tty

    before = termios.tcgetattr(stream)
    tty.setcbreak(stream)
    try:
        yield _keys(stream.fileno())
    finally:
        termios.tcsetattr(stream, termios.TCSADRAIN, before)


def _keys(descriptor: int) -> Iterator[str | None]:
    while True:
        ready, _, _ = select.select([descriptor], [], [], _KEY_TIMEOUT_S)
        if not ready:
            yield None
            continue
        read = os.read(descriptor, 1)
        if not read:
            return
        yield read.decode(errors="replace")


def _rgb(pixel: object) -> str:
    red, green, blue = pixel if isinstance(pixel, tuple) else (0, 0, 0)
    return f"{red},{green},{blue}"


def _notice(outcome: Outcome) -> Text:
    mark = Text("✓ ", "green") if outcome.kind == ROUTED else Text("• ", "yellow")
    return mark + Text(f"{outcome.vehicle}: {outcome.message}")
