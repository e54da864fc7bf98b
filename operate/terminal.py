"""Print to the terminal: lines, upload results, figures, durations."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from operate.uploads import IN_REVIEW, LOST, REJECTED, ROUTED, UploadResult

console = Console(highlight=False)

LINE_WIDTH = 80
NAME_WIDTH = 20

_COLOURS = {ROUTED: "green", IN_REVIEW: "yellow", REJECTED: "magenta", LOST: "bold red"}
_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def print_line(text: str) -> None:
    """Print one line without interpreting markup, because the text may contain file names."""
    console.print(text, markup=False, soft_wrap=True)


def duration(seconds: float) -> str:
    """Format a duration, given in seconds, in its two largest units.

    >>> duration(310), duration(8.4), duration(3600), duration(93_784)
    ('5 min 10 s', '8 s', '1 h 0 min', '1 d 2 h')
    """
    left = int(seconds)
    parts: list[str] = []
    for size, unit in _UNITS:
        if parts or left >= size or size == 1:
            parts.append(f"{left // size} {unit}")
            left %= size
    return " ".join(parts[:2])


def print_upload(result: UploadResult, done: int, total: int) -> None:
    """Print the outcome of a photo on one line of 80 columns; `done` of `total` photos have one."""
    source = result.source
    name = source.name if source.label is None else f"{source.label}/{source.name}"
    latency = "" if result.latency_ms is None else f"{result.latency_ms:,.0f} ms"
    counter = f"{done:>{len(str(total))}}/{total}"
    line = Text(f"{counter} {shorten(name, NAME_WIDTH):<{NAME_WIDTH}} ")
    line += Text(f"{result.outcome:<9} ", _COLOURS[result.outcome])
    details, free = _details(result), LINE_WIDTH - len(line) - len(latency) - 1
    console.print(line + Text(f"{details[:free]:<{free}} {latency}".rstrip()), no_wrap=True, crop=False, soft_wrap=True)


def shorten(name: str, width: int) -> str:
    """Return a name in at most `width` columns: without its middle when it is longer, since names differ at the end.

    >>> shorten("bicycle/bike.jpg", 20), shorten("bicycle/20261128-000123-bike.jpg", 20)
    ('bicycle/bike.jpg', 'bicycle…123-bike.jpg')
    """
    return name if len(name) <= width else f"{name[:7]}…{name[len(name) - (width - 8) :]}"


def print_next(steps: Sequence[str]) -> None:
    """Print what to do now, each step on its own line; nothing without a step.

    >>> print_next(["51 photos wait: make review"])
    Next: 51 photos wait: make review
    """
    for number, step in enumerate(steps):
        print_line(f"{'Next: ' if number == 0 else '      '}{step}")


def _details(result: UploadResult) -> str:
    if result.outcome != ROUTED:
        return result.reason
    decision = result.decision
    confidence = "" if decision["confidence"] is None else f" {float(decision['confidence']):.3f}"
    return f"{decision['vehicle']}{confidence} → {decision['loading_bay']}"


def print_uploads(results: Sequence[UploadResult]) -> None:
    """Print a table of the outcomes, one row per label."""
    labels = sorted({result.source.label or "unlabelled" for result in results})
    vehicles = sorted({str(result.decision["vehicle"]) for result in results if result.outcome == ROUTED})
    grid = Table(title="Outcomes of the photos", title_justify="left")
    grid.add_column("on the photo")
    for heading in ["photos", *(f"routed as {vehicle}" for vehicle in vehicles), IN_REVIEW, REJECTED, LOST]:
        grid.add_column(heading, justify="right")
    for label in labels:
        labelled = [result for result in results if (result.source.label or "unlabelled") == label]
        counts = [
            sum(result.outcome == ROUTED and str(result.decision["vehicle"]) == vehicle for result in labelled)
            for vehicle in vehicles
        ]
        counts += [sum(result.outcome == outcome for result in labelled) for outcome in (IN_REVIEW, REJECTED, LOST)]
        grid.add_row(escape(label), str(len(labelled)), *(str(count) if count else "·" for count in counts))
    console.print(grid)


def print_figures(figures: dict[str, Any]) -> None:
    """Print each figure of a run on its own line."""
    for name, value in figures.items():
        if value is None or isinstance(value, str):
            text = value or "—"
        else:
            text = f"{value:.3f}" if isinstance(value, float) and value <= 1 else f"{value:,}"
        print_line(f"  {name.replace('_', ' '):<20} {text}")
