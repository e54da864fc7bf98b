"""Decode an expensive photo in a process of its own, with limits that the operating system enforces.

At most one such process runs at a time, with low priority, so that an expensive photo delays other photos little and
needs none of the memory of the server that waits for it. An error of a decoding library ends this process only.
"""

import contextlib
import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training import photo_errors
from training.photo_errors import PhotoTooComplex, PhotoTooLarge, UnreadablePhoto

MAX_CPU_S = 6
"""The most CPU seconds of the process: those of training.decoder, and the start of Python."""

MAX_ADDRESS_SPACE = 1_000_000_000
_LIMITS = {
    resource.RLIMIT_CPU: (MAX_CPU_S, MAX_CPU_S + 1),
    resource.RLIMIT_CORE: (0, 0),
    resource.RLIMIT_AS: (MAX_ADDRESS_SPACE, MAX_ADDRESS_SPACE),
}
"""The most bytes of address space of the process, which macOS does not enforce."""

TIMEOUT_S = 13.0
"""Less than the 15 s that ClassifyPhoto waits for the endpoint."""

_NICE = 5
# The code is in another folder in a checkout than in a model archive; the packages may be in any folder.
_PATH = json.dumps([str(Path(__file__).resolve().parents[1]), *(folder for folder in sys.path if folder)])
_CHILD = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from training.isolation import main; main()"


class DecoderBusy(Exception):
    """Another expensive photo is being decoded, or the computer is too busy to decode this one now. Try again later."""


def decode_isolated(photo: bytes, side: int, fit: str, *, wait: bool) -> tuple[NDArray[np.uint8], int, int]:
    """Return what training.images.decode_and_resize returns, computed in a process of its own.

    `wait`: wait while another expensive photo is being decoded, instead of raising DecoderBusy. Raises UnreadablePhoto,
    PhotoTooLarge and PhotoTooComplex too.
    """
    with _only_one(wait):
        try:
            ended = subprocess.run(
                [sys.executable, "-I", "-c", _CHILD, _PATH, str(side), fit],
                input=photo,
                capture_output=True,
                timeout=None if wait else TIMEOUT_S,  # the CPU time is limited in either case
                check=False,
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            )
        except subprocess.TimeoutExpired:
            raise DecoderBusy(f"decoding the photo did not end within {TIMEOUT_S:.0f} s") from None
    if ended.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        raise PhotoTooComplex(f"decoding takes more than {MAX_CPU_S} s")
    header, _, pixels = ended.stdout.partition(b"\n")
    if ended.returncode or not header:
        raise UnreadablePhoto("the photo is damaged in a way that ends its decoder")
    answer = json.loads(header)
    if "error" in answer:
        raise getattr(photo_errors, answer["error"])(answer["message"])
    return np.frombuffer(pixels, dtype=np.uint8).reshape(answer["shape"]), answer["width"], answer["height"]


@contextlib.contextmanager
def _only_one(wait: bool) -> Iterator[None]:
    """Hold a lock that all threads and worker processes of one user and one temporary folder share."""
    path = Path(tempfile.gettempdir()) / f"scones-decoder-{os.getuid()}.lock"
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise DecoderBusy("another photo that needs much memory or time is being decoded") from None
        yield
    finally:
        os.close(file)  # releases the lock


def limit_resources() -> None:
    """Limit the CPU time and the memory of this process."""
    for kind, limits in _LIMITS.items():
        with contextlib.suppress(ValueError, OSError):  # macOS refuses some; a stricter limit may be in force
            resource.setrlimit(kind, limits)


def main() -> None:
    """Decode the photo on standard input; write a line of JSON and the pixels to standard output."""
    os.nice(_NICE)
    limit_resources()
    from training.images import decode_and_resize  # imports this module

    side, fit = sys.argv[2:]
    photo, content = sys.stdin.buffer.read(), b""
    answer: dict[str, Any]
    try:
        pixels, width, height = decode_and_resize(photo, int(side), fit)
    except photo_errors.PhotoError as error:
        answer = {"error": type(error).__name__, "message": str(error)}
    except MemoryError:  # told to the caller as an error of the photo
        answer = {"error": PhotoTooLarge.__name__, "message": "the decoded photo does not fit in memory"}
    else:
        answer, content = {"shape": pixels.shape, "width": width, "height": height}, pixels.tobytes()
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n" + content)
