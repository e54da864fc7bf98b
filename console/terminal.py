"""The desk in a terminal: the photo drawn with half blocks, one key for each answer."""

import os
import select
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from botocore.exceptions import BotoCoreError, ClientError
from PIL import Image
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from console.answers import SKIP_KEY, UNDO_KEY, Choice
from console.aws import Aws
from console.desk import ROUTED, Desk, Held, NotHeld, Seat
from console.photos import NoPicture, Photos
from deploy.outputs import Deployed

QUIT_KEY = "q"
_LOOK_S = 2.0
_TICK_S = 0.2
_UPPER_HALF = "▀"
_BAR = 24
_ROOM_FOR_WORDS = 18  # lines of the terminal that the photo leaves free


def run(resources: Deployed, aws: Aws, choices: Iterable[Choice], *, undo_s: float) -> int:
    """Review until `q`, Ctrl-C or the end of the input; what was answered is sent, the rest goes back. Returns 0."""
    console = Console(highlight=False)
    with Desk(resources, aws, choices, undo_s=undo_s) as desk, keyboard() as keys:
        seat = desk.sit(os.environ.get("REVIEWER") or os.environ.get("USER") or "reviewer")
        console.print(f"Reviewing as [bold]{seat.reviewer}[/]. [bold]q[/] ends it.")
        with suppress(KeyboardInterrupt):
            Terminal(console, desk, seat, Photos(resources, aws)).loop(keys)
        console.print()
    for notice in seat.notices:
        console.print(_said(notice.kind, notice.vehicle, notice.message))
    return 0


class Terminal:
    """One reviewer in front of a terminal."""

    def __init__(self, console: Console, desk: Desk, seat: Seat, photos: Photos) -> None:
        self._console = console
        self._desk = desk
        self._seat = seat
        self._photos = photos
        self._keys = {choice.key: choice for choice in desk.choices.values()}
        self._shown: str | None = None
        self._looked = 0.0
        self._hands: list[Held] = []

    def loop(self, keys: Iterator[str | None]) -> None:
        """Show, wait for a key, act, until there are no more keys."""
        self._look()
        for key in keys:
            if key == QUIT_KEY:
                return
            if key:
                self._act(key.lower())
            if key or time.monotonic() - self._looked > _LOOK_S:
                self._look()
            self._status()

    def _look(self) -> None:
        self._looked = time.monotonic()
        try:
            self._hands = self._desk.look(self._seat)
        except (ClientError, BotoCoreError) as error:
            self._console.print(f"\r[red]AWS is out of reach: {error}. Trying again.[/]")
            return
        for notice in self._seat.notices:
            self._console.print("\r" + " " * 70 + "\r", end="")
            self._console.print(_said(notice.kind, notice.vehicle, notice.message))
        self._seat.notices.clear()
        current = self._hands[0] if self._hands else None
        if current and current.id != self._shown:
            self._console.print(self._page(current))
        self._shown = current.id if current else None

    def _act(self, key: str) -> None:
        if key == UNDO_KEY:
            undone = self._desk.undo(self._seat)
            self._console.print("\rTaken back." if undone else "\rToo late to take anything back.")
            return
        if not self._hands:
            return
        held = self._hands[0]
        try:
            if key == SKIP_KEY:
                self._desk.skip(self._seat, held.id)
            elif key in self._keys:
                self._desk.answer(self._seat, held.id, self._keys[key].vehicle)
        except NotHeld as error:
            self._console.print(f"\r{error}")

    def _status(self) -> None:
        waiting = [pending for pending in self._seat.pending if not pending.leaving]
        if waiting:
            last = waiting[-1]
            left = max(0.0, last.due - time.monotonic())
            line = f"{self._desk.choices[last.vehicle].name}: Z takes it back, {left:.1f} s"
        elif self._hands:
            now = datetime.now(UTC)
            request = self._hands[0].request
            left = (request.expires_at - now).total_seconds()
            waited = (now - request.requested_at).total_seconds()
            line = f"waiting {_clock(waited)}, " + (f"expires in {_clock(left)}" if left > 0 else "expired: label only")
        else:
            line = "Nobody waits. Looking again by itself; q ends it."
        if self._console.is_terminal:
            self._console.print(f"\r{line:<68}", end="", style="dim")

    def _page(self, held: Held) -> Panel:
        request = held.request
        words = Table.grid(padding=(0, 2))
        words.add_row("Why", Text(printable(request.why)))
        if held.only_label(datetime.now(UTC)):
            words.add_row("Note", Text("The driver was sent elsewhere already: your answer is a label.", "yellow"))
        for name, share in sorted((request.probabilities or {}).items(), key=lambda item: -item[1]):
            bar = Text("█" * round(share * _BAR), "cyan") + Text("░" * (_BAR - round(share * _BAR)), "dim")
            words.add_row(name, bar + Text(f" {share:.1%}"))
        keys = Text("   ").join(
            [Text(f"[{c.key.upper()}] ", "bold") + Text(c.name) for c in self._keys.values()]
            + [
                Text("[S] ", "bold") + Text("Skip"),
                Text("[Z] ", "bold") + Text("Undo"),
                Text("[Q] ", "bold") + Text("Quit"),
            ]
        )
        # Text, not markup: a file's name is a stranger's.
        title = Text(f" {printable(request.driver_id)} · {printable(request.file_name)} ")
        return Panel(Group(self._picture(held), words, Text(), keys), title=title, border_style="green")

    def _picture(self, held: Held) -> Text:
        width = max(10, min(self._console.width - 4, 100))
        height = max(6, self._console.height - _ROOM_FOR_WORDS)
        try:
            return half_blocks(self._photos.image(held.request.photo, 800), width, height)
        except NoPicture as error:
            return Text(str(error), "yellow")


def half_blocks(image: Image.Image, columns: int, lines: int) -> Text:
    """An RGB image as coloured text: each character is two pixels, one above the other."""
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
    """A stranger's text without what would steer the terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in name)[:160]


@contextmanager
def keyboard() -> Iterator[Iterator[str | None]]:
    """Yield the keys as they are pressed, None for every short while without one. The terminal is restored after."""
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
        ready, _, _ = select.select([descriptor], [], [], _TICK_S)
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


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def _said(kind: str, vehicle: str, message: str) -> Text:
    return Text("✓ " if kind == ROUTED else "• ", "green" if kind == ROUTED else "yellow") + Text(
        f"{vehicle}: {message}"
    )
