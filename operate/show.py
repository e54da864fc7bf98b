"""What the commands print: each photo's outcome, and a table of all."""

from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from operate.uploads import IN_REVIEW, LOST, REJECTED, ROUTED, Journey

console = Console(highlight=False)

_COLOURS = {ROUTED: "green", IN_REVIEW: "yellow", REJECTED: "magenta", LOST: "bold red"}


def line(text: str) -> None:
    """Print one line as it is, without markup: it may hold the name of a file."""
    console.print(text, markup=False, soft_wrap=True)


def live(show_each: bool = True) -> Callable[[Journey, int, int], None]:
    """A reporter that prints a line per photo as its outcome becomes known."""

    def report(journey: Journey, done: int, total: int) -> None:
        if show_each:
            console.print(f"  {done:>4}/{total}  {_line(journey)}", soft_wrap=True)

    return report


def _line(journey: Journey) -> str:
    name = journey.source.name if journey.source.label is None else f"{journey.source.label}/{journey.source.name}"
    latency = "" if journey.latency_ms is None else f"  {journey.latency_ms:,.0f} ms"
    return f"{escape(f'{name:<42.42}')} [{_COLOURS[journey.outcome]}]{journey.outcome:<9}[/] {_what(journey)}{latency}"


def _what(journey: Journey) -> str:
    if journey.outcome != ROUTED:
        return journey.reason
    decision = journey.decision
    confidence = "" if decision["confidence"] is None else f" {float(decision['confidence']):.3f}"
    return f"{decision['vehicle']}{confidence} → {decision['loading_bay']} ({decision['order_range']})"


def table(journeys: Sequence[Journey]) -> None:
    """Print what became of the photos, by what is on them."""
    labels = sorted({journey.source.label or "unlabelled" for journey in journeys})
    vehicles = sorted({str(j.decision["vehicle"]) for j in journeys if j.outcome == ROUTED})
    grid = Table(title="What became of the photos", title_justify="left")
    grid.add_column("on the photo")
    for heading in ["photos", *(f"routed as {vehicle}" for vehicle in vehicles), IN_REVIEW, REJECTED, LOST]:
        grid.add_column(heading, justify="right")
    for label in labels:
        of = [journey for journey in journeys if (journey.source.label or "unlabelled") == label]
        counts = [
            sum(j.outcome == ROUTED and str(j.decision["vehicle"]) == vehicle for j in of) for vehicle in vehicles
        ]
        counts += [sum(j.outcome == outcome for j in of) for outcome in (IN_REVIEW, REJECTED, LOST)]
        grid.add_row(escape(label), str(len(of)), *(str(count) if count else "·" for count in counts))
    console.print(grid)


def figures(summary: dict[str, Any]) -> None:
    """Print the figures of a run on one line each."""
    for name, value in summary.items():
        if value is None or isinstance(value, str):
            shown = value or "—"
        else:
            shown = f"{value:.3f}" if isinstance(value, float) and value <= 1 else f"{value:,}"
        console.print(f"  {name.replace('_', ' '):<20} {shown}")
