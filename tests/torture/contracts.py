"""The suite `contracts`: the tests of tests/contracts and of the review desk with many new examples of hypothesis.

TORTURE_FACTOR multiplies the examples of `make test`, by default with 20. The report has the examples of a failure.
"""

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path
from typing import Any

from operate.terminal import console

ROOT = Path(__file__).resolve().parents[2]
TESTS = ("tests/contracts", "tests/unit/console/test_desk_machine.py")
LONGEST_FAULT = 4000
_PASSING = re.compile(r"(\d+) passing")
_FAILING = re.compile(r"(\d+) failing")


def run(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Run the suite in `folder`; returns its figures, and a line per fault."""
    results = folder / "results.xml"
    console.print("The contracts, with many examples: this takes a while")
    command = [sys.executable, "-m", "pytest", "-q", "--hypothesis-show-statistics", "-p", "no:cacheprovider"]
    ended = subprocess.run(
        [*command, f"--junit-xml={results}", *TESTS],
        cwd=ROOT,
        env={**os.environ, "HYPOTHESIS_PROFILE": "torture"},
        capture_output=True,
        text=True,
        check=False,
    )
    if not results.is_file():
        raise RuntimeError(f"pytest ended with {ended.returncode}: {ended.stdout[-2000:]}{ended.stderr[-2000:]}")
    tests, faults = read_results(results.read_text(encoding="utf-8"))
    if ended.returncode and not faults:
        faults.append(f"pytest ended with {ended.returncode}: {ended.stdout[-LONGEST_FAULT:]}")
    return {**tests, **count_examples(ended.stdout)}, faults


def read_results(content: str) -> tuple[dict[str, int], list[str]]:
    """Return how many tests ended in which way, and a text per failure, from a JUnit report."""
    ends: Counter[str] = Counter()
    faults = []
    for case in ET.fromstring(content).iter("testcase"):  # noqa: S314  # pytest wrote it
        failed = next((one for one in case if one.tag in ("failure", "error")), None)
        ends["tests that failed" if failed is not None else "tests that passed"] += 1
        if failed is not None:
            text = f"{case.get('classname')}.{case.get('name')}: {failed.get('message')}\n{failed.text}"
            faults.append(text if len(text) <= LONGEST_FAULT else f"{text[:1000]}\n…\n{text[1000 - LONGEST_FAULT :]}")
    return dict(ends), faults


def count_examples(output: str) -> dict[str, int]:
    """Return the examples that passed and failed, from the statistics of hypothesis."""
    return {
        "examples that passed": sum(map(int, _PASSING.findall(output))),
        "examples that failed": sum(map(int, _FAILING.findall(output))),
    }
