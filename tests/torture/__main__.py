"""`python -m tests.torture [files|faults|contracts|batch]`: the long tests; without a name, every suite that there is.

Prints one table and writes build/reports/torture.json. Exit status 1 when a suite found a fault.
"""

import json
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from operate.terminal import console

SUITES = {name: f"tests.torture.{name}" for name in ("files", "faults", "contracts", "batch")}
"""The modules of the suites. `run(folder)` of each returns (figures by name, lines about faults)."""

REPORT = Path(__file__).resolve().parents[2] / "build" / "reports" / "torture.json"

Suite = Callable[[Path], tuple[dict[str, Any], list[str]]]


def find_suites(names: list[str]) -> dict[str, Suite]:
    """Return the suites of these names, or all that are in this checkout. Raises SystemExit for an unknown name."""
    folder = Path(__file__).parent
    there = {name: module for name, module in SUITES.items() if (folder / f"{name}.py").is_file()}
    if unknown := [name for name in names if name not in there]:
        raise SystemExit(f"There is no suite {', '.join(unknown)}. Choose from: {', '.join(there)}.")
    return {name: import_module(there[name]).run for name in names or there}


def main() -> int:
    """Run the suites one after the other."""
    results = {}
    for name, run in find_suites(sys.argv[1:]).items():
        with tempfile.TemporaryDirectory(prefix=f"torture-{name}-") as folder:
            figures, faults = run(Path(folder))
        results[name] = {"figures": figures, "faults": faults}
    for name, result in results.items():
        console.print(f"\n{name}")
        for figure, value in result["figures"].items():
            console.print(f"  {figure:<60} {value}", markup=False, soft_wrap=True)
        for fault in result["faults"]:
            console.print(f"  FAULT {fault}", markup=False, soft_wrap=True)
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    faults = sum(len(result["faults"]) for result in results.values())
    console.print(
        f"\n{faults} faults; report: {REPORT.relative_to(Path.cwd()) if REPORT.is_relative_to(Path.cwd()) else REPORT}"
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
