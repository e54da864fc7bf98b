"""Compare the scale simulation with the embedded AWS at rates that it carries.

    LOCAL_AWS_SAVE_S=0 make deploy
    .venv/bin/python -m benchmarks.scale_check
    .venv/bin/python -m benchmarks.scale_check --rates 5,10,15 --seconds 60

The embedded AWS runs everything on the cores of this machine, so its model has one instance with that many cores. A
slow stream calibrates how long a photo occupies a core until it is decided, and a stream at the limit of the machine
how long in all: what follows the decision does not delay the photo itself, but the next ones. An overload finds where
the limit is; below it, the machine carries less, because uploads arrive as fast as photos leave. Then photos are
sent at each rate at random intervals, and their p50 and p95 are compared with those that the simulation predicts from
the calibration. With LOCAL_AWS_SAVE_S=0 the embedded AWS does not save its state, for which it stops every 20 s.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from benchmarks.scale_endpoint import Scaling
from benchmarks.scale_engine import Floats, Sampler, System, simulate
from deploy import system
from deploy.outputs import Deployed
from deploy.target import connect
from operate import load
from operate.errors import CommandError
from operate.terminal import console

REPORT = Path("build/reports/scale-check.json")
# Of the photos per second that the machine carries.
SHARES = (0.2, 0.4, 0.6)
SECONDS = 60.0
CALIBRATION = load.Plan(rate=2, count=80)
OVERLOAD = load.Plan(rate=40, count=600)
LIMIT_SECONDS = 30.0
WARM_UP = load.Plan(rate=5, count=40)
TOLERANCE = 0.25
SEEDS = 20
# Of the intervals between photos.
SEED = 1


def embedded(latencies_s: Floats, throughput: float, cores: int) -> System:
    """Return the model of the embedded AWS from a calibration.

    `latencies_s` are those of photos that met no other one, `throughput` is the photos per second at the limit.
    """
    held = max(0.0, cores / throughput - float(latencies_s.mean()))
    return System(Scaling(1, 1), resample(latencies_s), workers=cores, holding=lambda rng, count: np.full(count, held))


def resample(values: Floats) -> Sampler:
    """Return the sampler that draws from measured values."""
    return lambda rng, count: rng.choice(values, count)


def predict(model: System, plan: load.Plan) -> dict[str, float]:
    """Return p50 and p95 in milliseconds of the photos of a plan: the medians of several simulations."""
    due = np.array(list(plan.due_times()))
    found = [summary(simulate(model, due, seed).waits() * 1000) for seed in range(SEEDS)]
    return {name: round(float(np.median([one[name] for one in found])), 1) for name in ("p50", "p95")}


def summary(latencies_ms: Sequence[float] | Floats) -> dict[str, float]:
    """Return p50 and p95."""
    return {f"p{percent}": round(float(np.percentile(latencies_ms, percent)), 1) for percent in (50, 95)}


def compare(rate: float, measured: Mapping[str, float], predicted: Mapping[str, float]) -> dict[str, Any]:
    """Return the row of a rate; `error` is the predicted value over the measured one, less 1."""
    error = {name: round(predicted[name] / measured[name] - 1, 3) for name in measured}
    within = all(abs(value) <= TOLERANCE for value in error.values())
    return {
        "rate": rate,
        "measured_ms": dict(measured),
        "predicted_ms": dict(predicted),
        "error": error,
        "within": within,
    }


def run(deployed: Deployed, rates: Sequence[float], seconds: float, report: Path) -> dict[str, Any]:
    """Calibrate, measure and compare; write and return the report.

    Without `rates`, they are SHARES of what this machine carries. Raises CommandError when a
    photo is lost.
    """
    folder, before = report.parent, os.getloadavg()[0]
    load.run(deployed, WARM_UP, folder / "load.json")
    # The overload comes first, because a new stage becomes faster with its first hundreds of photos.
    limit = load.run(deployed, OVERLOAD, folder / "load.json")["steady_outcomes_per_s"]
    at_limit = load.Plan(rate=limit, count=round(limit * LIMIT_SECONDS))
    throughput = float(load.run(deployed, at_limit, folder / "load.json")["steady_outcomes_per_s"])
    slow = load.run(deployed, CALIBRATION, folder / "load.json")
    model = embedded(np.array(slow["latencies_ms"]) / 1000, throughput, os.cpu_count() or 1)
    rows = []
    for rate in rates or [round(share * throughput, 1) for share in SHARES]:
        plan = load.Plan(rate=rate, count=round(rate * seconds), seed=SEED)
        measured = summary(load.run(deployed, plan, folder / "load.json")["latencies_ms"])
        rows.append(compare(rate, measured, predict(model, plan)))
    figures = {
        "machine": {"cpus": os.cpu_count(), "load_before": before, "load_after": os.getloadavg()[0]},
        "calibration": {
            "rate": CALIBRATION.rate,
            **summary(slow["latencies_ms"]),
            "overload_per_s": limit,
            "limit_per_s": throughput,
        },
        "tolerance": TOLERANCE,
        "rates": rows,
    }
    report.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    _print(figures)
    console.print(f"Report: {report}")
    return figures


def _print(figures: Mapping[str, Any]) -> None:
    grid = Table(title="Simulated and measured, milliseconds", title_justify="left")
    for heading in ("photos/s", "p50 measured", "simulated", "error", "p95 measured", "simulated", "error"):
        grid.add_column(heading, justify="right")
    for row in figures["rates"]:
        cells = [f"{row['rate']:g}"]
        for name in ("p50", "p95"):
            cells += [f"{row[key][name]:,.1f}" for key in ("measured_ms", "predicted_ms")]
            cells.append(f"{row['error'][name]:+.0%}")
        grid.add_row(*cells)
    console.print(grid)
    machine = figures["machine"]
    if machine["load_before"] > machine["cpus"]:
        console.print(
            f"This machine had a load of {machine['load_before']:.1f} on {machine['cpus']} cores before the "
            "first photo: other work changes the durations between calibration and measurement. "
            "Repeat this on an idle machine."
        )


def main() -> int:
    """Compare at several rates; return the exit status, 1 when a percentile is not within the tolerance."""
    parser = argparse.ArgumentParser(description="Compare the scale simulation with the embedded AWS.")
    parser.add_argument("--rates", default="", help="photos per second; by default shares of what this machine carries")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long each rate is measured")
    arguments = parser.parse_args()
    target = connect()
    if not target.is_local:
        raise CommandError("The model is that of the embedded AWS. Run it with TARGET=local.")
    rates = [float(rate) for rate in arguments.rates.split(",") if rate]
    figures = run(Deployed.of(system.outputs(target)), rates, arguments.seconds, REPORT)
    return 0 if all(row["within"] for row in figures["rates"]) else 1


if __name__ == "__main__":
    sys.exit(main())
