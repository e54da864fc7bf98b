"""`python -m tests`: every test, in processes side by side; `--coverage`: with branch coverage of all.

Tests on an embedded AWS wait more than they compute, so four processes take about as long as the longest of them. They
share nothing but the record of calls, which a test evaluates after all others.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support import uncalled_operations

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
SYSTEM = ROOT / "tests" / "system"
LAST = "test_permissions_used.py"
# The first file of the second half of tests/system, in the order of their names.
SECOND_HALF = "test_promote.py"


@dataclass
class Group:
    """Tests that one process runs: `paths`, with `variables` beside the environment; it writes `record`."""

    name: str
    paths: tuple[str, ...]
    variables: dict[str, str] = field(default_factory=dict)
    record: Path | None = None
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def stem(self) -> str:
        """The name as part of a file name."""
        return self.name.replace(" ", "-")

    @property
    def log(self) -> Path:
        """What its process prints."""
        return BUILD / f"tests-{self.stem}.log"

    @property
    def calls(self) -> Path:
        """The calls of AWS that its process makes."""
        return BUILD / f"aws-calls-{self.stem}.json"

    def start(self, is_measured: bool) -> None:
        """Start the process; `is_measured`: with branch coverage."""
        for file in (self.calls, self.record):
            if file is not None:
                file.unlink(missing_ok=True)
        written = {"COVERAGE_FILE": str(BUILD / f"coverage.{self.stem}"), uncalled_operations.VARIABLE: str(self.calls)}
        measured = ["--cov", "--cov-report="] if is_measured else []
        command = [sys.executable, "-m", "pytest", *self.paths, *measured]
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **written, **self.variables},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def follow(self) -> bool:
        """Print what the process has written and writes, until it ends; return whether its tests passed."""
        assert self.process is not None
        print(f"Tests {self.name}:", flush=True)
        with self.log.open("rb") as output:
            while True:
                ended = self.process.poll() is not None
                if text := output.read():
                    sys.stdout.buffer.write(text)
                    sys.stdout.buffer.flush()
                if ended:
                    return self.process.returncode == 0
                time.sleep(0.2)

    def failures(self) -> list[str]:
        """Return the lines of its summary about tests that failed."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [line for line in lines if line.startswith(("FAILED ", "ERROR "))]

    def stop(self) -> None:
        """End the process if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait()


def groups() -> list[Group]:
    """Return the groups that run side by side. Every folder and file with tests is in one of them."""
    files = sorted(file for file in SYSTEM.glob("test_*.py") if file.name != LAST)
    halves = [file for file in files if file.name < SECOND_HALF], [file for file in files if file.name >= SECOND_HALF]
    found = [
        Group("in process", ("tests/unit", "tests/contracts", "tests/container", "tests/workflow")),
        Group("of the embedded AWS and in a browser", ("tests/local", "tests/browser")),
    ]
    for number, half in enumerate(halves, 1):
        record = BUILD / f"authorized-calls-{number}.jsonl"
        paths = tuple(str(file.relative_to(ROOT)) for file in half)
        found.append(Group(f"on deployed stages {number}", paths, {"TEST_RECORD_CALLS": str(record)}, record))
    return found


def evaluation(side_by_side: list[Group]) -> Group:
    """Return the group that evaluates what the others recorded."""
    records = [str(group.record) for group in side_by_side if group.record]
    path = str((SYSTEM / LAST).relative_to(ROOT))
    return Group("of permissions", (path,), {"TEST_RECORDED_CALLS": os.pathsep.join(records)})


def report_coverage(groups: Sequence[Group]) -> None:
    """Print the branch coverage of all groups together."""
    coverage = [sys.executable, "-m", "coverage"]
    data = [str(BUILD / f"coverage.{group.stem}") for group in groups]
    subprocess.run([*coverage, "combine", "--quiet", *data], cwd=ROOT, check=True)
    subprocess.run([*coverage, "report", "--skip-covered"], cwd=ROOT, check=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all groups, print the output of each as it comes, one after the other, and at the end what failed."""
    parser = argparse.ArgumentParser(prog="python -m tests")
    parser.add_argument("--coverage", action="store_true", help="measure and report branch coverage")
    is_measured = parser.parse_args(arguments).coverage
    BUILD.mkdir(exist_ok=True)
    side_by_side = groups()
    last = evaluation(side_by_side)
    failed: list[Group] = []
    try:
        for group in side_by_side:
            group.start(is_measured)
        failed += [group for group in side_by_side if not group.follow()]
        last.start(is_measured)
        failed += [last] if not last.follow() else []
    finally:
        for group in (*side_by_side, last):
            group.stop()
    every = (*side_by_side, last)
    if is_measured:
        report_coverage(every)
    print("Calls of AWS that no test makes through botocore:")
    print(*uncalled_operations.uncalled(uncalled_operations.read([group.calls for group in every])), sep="\n")
    for group in failed:
        print(f"Tests {group.name} failed ({group.log.relative_to(ROOT)}):", *group.failures(), sep="\n  ")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
