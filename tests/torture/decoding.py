"""Decode every file of a folder in one process, as the endpoint and the console do.

    python -m tests.torture.decoding FOLDER

Prints a JSON line per file, {"name", "outcome", "message", "cpu_s", "wall_s", "isolated"}, and at the end {"memory_mb",
"decoder_mb"}: the largest memory of the process and of the processes that decode expensive photos, the isolated ones.
"""

import json
import re
import resource
import sys
import time
from pathlib import Path

from training.images import downscale, preprocess
from training.photo_errors import PhotoError

INPUT_SIDE, THUMBNAIL_SIDE = 192, 240
_UNIT = 1 if sys.platform == "darwin" else 1024


def _children_s() -> float:
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime


def cpu_s() -> float:
    """Return the CPU time of this process and of its children that have ended, in seconds."""
    times = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(used.ru_utime + used.ru_stime for used in times)


def memory_mb() -> dict[str, float]:
    """Return the largest resident memory in MB of this process, and of its largest child that has ended."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss includes the memory of the parent process at the start of this one
        own = int(re.findall(r"VmHWM:\s+(\d+) kB", status.read_text())[0]) * 1024
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * _UNIT
    return {"memory_mb": own / 1e6, "decoder_mb": child / 1e6}


def main() -> None:
    """Decode the files in the order of their names."""
    for path in sorted(Path(sys.argv[1]).iterdir()):
        photo, began, wall = path.read_bytes(), cpu_s(), time.monotonic()
        alone = _children_s()
        try:
            shapes = [preprocess(photo, INPUT_SIDE).shape, downscale(photo, THUMBNAIL_SIDE).shape]
            outcome, message = "decoded", str(shapes)
        except PhotoError as error:
            outcome, message = type(error).__name__, str(error)
        spent = {"cpu_s": round(cpu_s() - began, 2), "wall_s": round(time.monotonic() - wall, 2)}
        spent["isolated"] = _children_s() > alone
        print(json.dumps({"name": path.name, "outcome": outcome, "message": message, **spent}), flush=True)
    print(json.dumps(memory_mb()))


if __name__ == "__main__":
    main()
