"""`python -m workflows` renders the definitions and their pages; `--check` fails when one is stale or has problems."""

import argparse
import json
import sys

import workflows
from workflows import graph, limits, mermaid
from workflows.render import render


def main() -> int:
    """Render or check all workflows. Returns the exit status: 0 when every file is current and no problem was found."""
    parser = argparse.ArgumentParser(prog="python -m workflows", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is stale")
    check = parser.parse_args().check
    problems: list[str] = []
    for name in workflows.NAMES:
        text = render(name)
        definition = json.loads(text)
        contents = {workflows.asl_path(name): text, workflows.page_path(name): mermaid.render_page(name, definition)}
        for path, content in contents.items():
            if not check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(content, encoding="utf-8")
            elif not path.exists() or path.read_text(encoding="utf-8") != content:
                problems.append(f"{name}: {path.name} is stale; run `python -m workflows` and commit it.")
        found = [*graph.problems(definition), *limits.problems(definition)]
        problems += [f"{name}: {problem}" for problem in found]
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        print(f"{', '.join(workflows.NAMES)}: {'current, no problems' if check else 'rendered'}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
