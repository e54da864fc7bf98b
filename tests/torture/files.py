"""The suite `files`: the whole corpus through the decoder, the deployed stage and the console; mutations; delays.

TORTURE_EXAMPLES is the number of random mutations of each format, by default 300.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from functions.shared.uploads import LARGEST_PHOTO_BYTES
from operate.terminal import console
from tests.torture.corpus import REJECTED, ROUTED_OR_REVIEWED, HostileFile, corpus
from tests.torture.delays import LIMIT_S, measure
from tests.torture.hostile_files import Uploads, all_faults, console_faults, message_faults, outcomes, show
from tests.torture.processes import sampled
from tests.torture.stage import deployed_stage

MAX_MEMORY_MB = 512
MAX_CPU_S = 12.0  # of the two ways in which each file is decoded, with a start of Python each
WORST = 6


def run(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Run the suite in `folder`; returns its figures, and a line per fault."""
    files = corpus()
    figures: dict[str, Any] = {"files": len(files)}
    console.print(f"{len(files)} hostile files: decoding each")
    decoded = decode_all(files, folder / "files")
    faults = list(decoder_faults(files, decoded))
    memory = decoded.pop()
    figures["decoder"] = dict(Counter(one["outcome"] for one in decoded))
    figures["memory of the decoder, MB"] = {name: round(value) for name, value in memory.items()}
    cost = {one["name"]: one["cpu_s"] for one in decoded}
    figures["largest CPU time, s"] = dict(sorted(cost.items(), key=lambda item: -item[1])[:WORST])
    console.print("Random mutations")
    examples = int(os.environ.get("TORTURE_EXAMPLES") or 300)
    figures[f"memory after {examples} changed photos of each format, MB"] = round(mutate(examples))
    with deployed_stage(folder / "aws") as (server, deployed), sampled(server.pid) as largest:
        console.print("Uploading each")
        uploads = Uploads(deployed)
        uploaded = uploads.run(files)
        figures["outcomes"] = outcomes(uploaded)
        faults += all_faults(uploads, uploaded)
        console.print("Showing each in the console")
        shown = show(deployed, uploaded)
        figures["console"] = dict(Counter("sentence" if "sentence" in one else "image" for one in shown))
        faults += console_faults(shown)
        figures["delays, s"] = delays = {}
        normal = next(file for file in files if file.name == "whole/jpeg")
        for isolated in (True, False):
            names = {one["name"]: one["cpu_s"] for one in decoded if one["isolated"] == isolated}
            worst = [file for file in files if local_name(file) in names]
            worst.sort(key=lambda file: -names[local_name(file)])
            for count in (1, 2, WORST):
                delay = measure(uploads, normal, worst, count)
                title = f"{count} {'expensive' if isolated else 'other'}"
                delays[title] = {name: round(getattr(delay, name), 3) for name in ("alone_s", "median_s", "largest_s")}
                console.print(f"Beside {title}: {delay}")
                if count == 1 and delay.largest_s > LIMIT_S:
                    faults.append(f"{delay.worst} delays a normal photo by {delay.largest_s:.2f} s")
    figures["largest memory, MB"] = {kind: round(value) for kind, value in largest.items()}
    faults += [f"{kind}: {value:.0f} MB" for kind, value in largest.items() if value > MAX_MEMORY_MB]
    return figures, faults


def local_name(file: HostileFile) -> str:
    """Return the name of a file in the folder that is decoded."""
    return file.name.replace("/", "-")


def decode_all(files: Sequence[HostileFile], folder: Path) -> list[dict[str, Any]]:
    """Decode each file in another process; returns its lines, the last with the memory. See tests.torture.decoding."""
    folder.mkdir()
    for file in files:
        # The decoder never gets a larger file: see functions.shared.uploads.
        if len(content := file.make()) <= LARGEST_PHOTO_BYTES:
            (folder / local_name(file)).write_bytes(content)
    count = len(list(folder.iterdir()))
    ended = subprocess.run(
        [sys.executable, "-m", "tests.torture.decoding", str(folder)], capture_output=True, text=True, check=False
    )
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    if ended.returncode or len(lines) != count + 1:
        raise RuntimeError(f"decoding ended with {ended.returncode} after {lines[-1:]}: {ended.stderr[-2000:]}")
    return lines


def decoder_faults(files: Sequence[HostileFile], lines: Sequence[dict[str, Any]]) -> Iterable[str]:
    """Yield a line for each file with another end than expected or too much time, and for memory above the limit."""
    *decoded, memory = lines
    expected = {local_name(file): file.expected for file in files}
    for one in decoded:
        if expected[one["name"]] == (REJECTED if one["outcome"] == "decoded" else ROUTED_OR_REVIEWED):
            yield f"{one['name']}: {one['outcome']} {one['message']}"
        if one["outcome"] != "decoded":
            yield from (f"{one['name']}: {fault}" for fault in message_faults(one["message"]))
        if one["cpu_s"] > MAX_CPU_S:
            yield f"{one['name']} takes {one['cpu_s']} CPU seconds"
    for name, value in memory.items():
        if value > MAX_MEMORY_MB:
            yield f"{name} is {value:.0f}"


def mutate(examples: int) -> float:
    """Check `examples` random changes of each format in another process; returns its largest memory in MB."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.torture.mutations", str(examples)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    if ended.returncode:
        raise RuntimeError(f"a changed photo: {ended.stderr[-3000:]}")
    return float(ended.stdout)
