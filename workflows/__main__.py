"""`python -m workflows` renders definitions and pictures, `--check` says whether they are current and sound."""

import argparse
import json
import sys

import workflows
from workflows import graph, picture
from workflows.render import render


def main() -> int:
    """Renders or checks. Returns the exit status: 0 when everything is current and sound."""
    parser = argparse.ArgumentParser(prog="python -m workflows", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is stale")
    check = parser.parse_args().check
    complaints: list[str] = []
    for name in workflows.NAMES:
        text = render(name)
        drawing = picture.draw(json.loads(text))
        for path, content in ((workflows.path(name), text), (workflows.picture_path(name), drawing)):
            if not check:
                path.parent.mkdir(exist_ok=True)
                path.write_text(content, encoding="utf-8")
            elif not path.exists() or path.read_text(encoding="utf-8") != content:
                complaints.append(f"{name}: {path.name} is stale; run `python -m workflows` and commit it.")
        complaints += [f"{name}: {sentence}" for sentence in graph.problems(json.loads(text))]
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    if not complaints:
        print(f"{', '.join(workflows.NAMES)}: {'current and sound' if check else 'rendered'}")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
