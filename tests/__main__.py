"""`python -m tests`: every test, in two processes side by side, with branch coverage of both.

The tests in process and those on an embedded AWS share nothing and take about as long as each other.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.support import uncalled_operations

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
GROUPS = {
    "in process": ("tests/unit", "tests/contracts", "tests/container", "tests/workflow"),
    "on an embedded AWS": ("tests/browser", "tests/local", "tests/system"),
}


def main() -> int:
    """Run both groups, print the output of each as it comes, one after the other; then report the coverage."""
    BUILD.mkdir(exist_ok=True)
    data = [BUILD / f"coverage.{number}" for number in range(len(GROUPS))]
    calls = [BUILD / f"aws-calls-{number}.json" for number in range(len(GROUPS))]
    for file in calls:
        file.unlink(missing_ok=True)
    logs = [BUILD / f"tests-{number}.log" for number in range(len(GROUPS))]
    processes = []
    for folders, file, made, log in zip(GROUPS.values(), data, calls, logs, strict=True):
        with log.open("wb") as output:
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "pytest", *folders, "--cov", "--cov-report="],
                    cwd=ROOT,
                    env={**os.environ, "COVERAGE_FILE": str(file), uncalled_operations.VARIABLE: str(made)},
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
            )
    try:
        for name, process, log in zip(GROUPS, processes, logs, strict=True):
            print(f"Tests {name}:", flush=True)
            _follow(process, log)
    finally:
        for process in processes:
            if process.poll() is None:
                process.terminate()
                process.wait()
    coverage = [sys.executable, "-m", "coverage"]
    subprocess.run([*coverage, "combine", "--quiet", *map(str, data)], cwd=ROOT, check=True)
    subprocess.run([*coverage, "report", "--skip-covered"], cwd=ROOT, check=True)
    print("Calls of AWS that no test makes through botocore:")
    print(*uncalled_operations.uncalled(uncalled_operations.read(calls)), sep="\n")
    failed = [name for name, process in zip(GROUPS, processes, strict=True) if process.returncode]
    if failed:
        print(f"Tests failed: those {' and those '.join(failed)}; see above.")
    return 1 if failed else 0


def _follow(process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Print what a process has written and writes to its log, until it ends."""
    with log.open("rb") as output:
        while True:
            ended = process.poll() is not None
            if text := output.read():
                sys.stdout.buffer.write(text)
                sys.stdout.buffer.flush()
            if ended:
                return
            time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())
