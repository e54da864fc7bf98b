"""Print to the terminal: lines, upload results, figures, durations."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from operate.uploads import IN_REVIEW, LOST, REJECTED, ROUTED, UploadResult

console = Console(highlight=False)

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
    """Print the outcome of a photo; `done` of `total` photos have one."""
    console.print(f"  {done:>4}/{total}  {_upload_line(result)}", soft_wrap=True)


def _upload_line(result: UploadResult) -> str:
    source = result.source
    name = source.name if source.label is None else f"{source.label}/{source.name}"
    latency = "" if result.latency_ms is None else f"  {result.latency_ms:,.0f} ms"
    outcome = f"[{_COLOURS[result.outcome]}]{result.outcome:<9}[/]"
    return f"{escape(f'{name:<42.42}')} {outcome} {_details(result)}{latency}"


def _details(result: UploadResult) -> str:
    if result.outcome != ROUTED:
        return result.reason
    decision = result.decision
    confidence = "" if decision["confidence"] is None else f" {float(decision['confidence']):.3f}"
    return f"{decision['vehicle']}{confidence} → {decision['loading_bay']} ({decision['order_range']})"


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
