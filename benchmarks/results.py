"""The figures of `make bench` against their targets, as rows of a table."""

import operator
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from rich import box
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """One measured figure. `name` ends with its unit; `target` is the limit as text; `met` is None without a target."""

    name: str
    measured: float | None
    baseline: float | None = None
    ratio: float | None = None
    target: str = ""
    met: bool | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the row as JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Target:
    """A limit: the figure is `at_most` or at least this value. `prefix` and `suffix` surround it in the table."""

    value: float
    at_most: bool = True
    prefix: str = ""
    suffix: str = ""

    def __str__(self) -> str:
        """Return the limit as text.

        >>> str(Target(1.2, at_most=False, suffix="×"))
        '≥ 1.2×'
        """
        return f"{'≤' if self.at_most else '≥'} {self.prefix}{self.value:,g}{self.suffix}"

    def met_by(self, value: float | None) -> bool | None:
        """Whether a figure meets the limit; None when it was not measured."""
        compared: Callable[[Any, Any], bool] = operator.le if self.at_most else operator.ge
        return None if value is None else compared(value, self.value)


LATENCY = {"tiny": Target(1.2, suffix="×"), "jpeg": Target(0.7, suffix="×")}
THROUGHPUT = Target(1.2, at_most=False, suffix="×")
PEAK_MEMORY_MB = Target(1200)
COLD_START_MS = Target(500, prefix="+")
ZIP_KB = Target(100)
LAYER_MB = Target(12)
PAGE_MS = Target(200)
KINDS = {"tiny": "tiny PNG", "jpeg": "JPEG"}


def rows(figures: dict[str, Any]) -> list[Row]:
    """Return the rows of the table for the figures of `operate.bench`.

    The baseline of latency, throughput and memory is the chain, that of a cold start an empty handler. The target of
    a latency and of the throughput is one for the ratio, that of a cold start one for the difference.
    """
    found: list[Row] = []
    for kind, comparison in figures["latency"].items():
        name = KINDS[kind]
        # The 95th percentile of 30 photos depends on two of them, so the target is for the median.
        found.append(_latency_row(f"{name}, median, ms", comparison, "p50", LATENCY[kind]))
        found.append(_latency_row(f"{name}, 95%, ms", comparison, "p95", None))
        found.append(Row(f"{name}, empty machine, ms", comparison["empty_ms"]["p50"]))
        found.append(Row(f"{name}, endpoint alone, ms", figures["endpoint_ms"][kind]["p50"]))
    found += _burst_rows(figures["bursts"])
    for name, cold in figures["cold_starts"].items():
        met = COLD_START_MS.met_by(cold["above_empty_ms"])
        found.append(_row(f"cold {name}, ms", cold["init_ms"], cold["empty_ms"], COLD_START_MS, met))
    zips = figures["sizes"]["functions"]
    largest = max(zips, key=zips.get)
    zip_kb, layer_mb = zips[largest] / 1e3, figures["sizes"]["layer"] / 1e6
    found.append(_row(f"zip {largest}, kB", zip_kb, None, ZIP_KB, ZIP_KB.met_by(zip_kb)))
    found.append(_row("layer, MB", layer_mb, None, LAYER_MB, LAYER_MB.met_by(layer_mb)))
    return found + page_rows(figures["console"])


def page_rows(console: dict[str, Any]) -> list[Row]:
    """Return a row for each page of the console; the target is for the median."""
    found = []
    for name, latency in console["pages"].items():
        found.append(_row(f"page {name}, ms", latency["p50"], None, PAGE_MS, PAGE_MS.met_by(latency["p50"])))
    return found


def _latency_row(name: str, comparison: dict[str, Any], statistic: str, target: Target | None) -> Row:
    ours, chain = comparison["ours_ms"][statistic], comparison["chain_ms"][statistic]
    met = target.met_by(ours / chain if ours is not None and chain else None) if target else None
    return _row(name, ours, chain, target, met)


def _burst_rows(bursts: dict[str, Any]) -> list[Row]:
    ours, chain = bursts["ours"], bursts["chain"]
    name = f"burst of {ours['photos']:,}"
    per_s, chain_per_s = ours["photos_per_s"], chain["photos_per_s"]
    met = THROUGHPUT.met_by(per_s / chain_per_s if chain_per_s else None)
    found = [
        _row(f"{name}, photos/s", per_s, chain_per_s, THROUGHPUT, met),
        Row(f"{name}, failed", ours["failed"], chain["failed"]),
        Row(f"{name}, in review", ours["in_review"], chain["in_review"]),
        Row(f"{name}, lost", ours["lost"], chain["lost"]),
        Row(f"{name}, doubled", ours["doubled"], chain["doubled"]),
    ]
    if ours["memory"] and chain["memory"]:
        peak, chain_peak = (one["memory"]["peak_mb"]["total"] for one in (ours, chain))
        found.append(_row(f"{name}, peak MB", peak, chain_peak, PEAK_MEMORY_MB, PEAK_MEMORY_MB.met_by(peak)))
        for part in ("server", "workers"):
            slope, cpu_ms = f"{part}_mb_per_1000_photos", f"{part}_cpu_ms_per_photo"
            found.append(Row(f"{part}, MB per 1,000", ours["memory"][slope], chain["memory"][slope]))
            found.append(_row(f"{part}, CPU ms per photo", ours["memory"][cpu_ms], chain["memory"][cpu_ms], None, None))
    return found


def _row(name: str, measured: float | None, baseline: float | None, target: Target | None, met: bool | None) -> Row:
    """Return a row with the ratio of measured to baseline."""
    ratio = measured / baseline if measured is not None and baseline else None
    return Row(name, _rounded(measured), _rounded(baseline), _rounded(ratio), str(target) if target else "", met)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def table(found: list[Row]) -> Table:
    """Return the rows as a table for a terminal of 80 columns."""
    grid = Table(title="Measurements", title_justify="left", box=box.SIMPLE, pad_edge=False)
    grid.add_column("", no_wrap=True)
    for heading in ("measured", "baseline", "ratio", "target"):
        grid.add_column(heading, justify="right", no_wrap=True)
    grid.add_column("met")
    for row in found:
        ratio = "" if row.ratio is None else f"{row.ratio:,.2f}"
        met = {None: "", True: "[green]yes[/]", False: "[bold red]no[/]"}[row.met]
        grid.add_row(row.name, _text(row.measured), _text(row.baseline), ratio, row.target, met)
    return grid


def _text(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:,.1f}"
