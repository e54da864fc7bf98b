"""`python -m workflows` renders the workflows to their golden files, `--check` says whether those are sound."""

import argparse
import sys

import workflows
from workflows import graph
from workflows.render import render


def main() -> int:
    """Renders or checks. Returns the exit status: 0 when everything is sound and current."""
    parser = argparse.ArgumentParser(prog="python -m workflows", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a golden file is stale")
    check = parser.parse_args().check
    complaints: list[str] = []
    for name in workflows.NAMES:
        text, golden = render(name), workflows.path(name)
        if not check:
            golden.write_text(text, encoding="utf-8")
        elif not golden.exists() or golden.read_text(encoding="utf-8") != text:
            complaints.append(f"{name}: {golden.name} is stale; run `python -m workflows` and commit it.")
        complaints += [f"{name}: {sentence}" for sentence in graph.problems(workflows.definition(name))]
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    if not complaints:
        print(f"{', '.join(workflows.NAMES)}: {'current and sound' if check else 'rendered'}")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
