"""How much longer a normal photo takes beside the worst files than alone."""

import statistics
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

from tests.torture.corpus import HostileFile
from tests.torture.hostile_files import Uploads

LIMIT_S = 1.0
_BURST = 12
_PAUSE_S = 0.3  # between two normal photos


@dataclass(frozen=True)
class Delay:
    """The delays of the normal photos beside `count` uploads of the `worst` file, in seconds, and the time alone."""

    worst: str
    count: int
    alone_s: float
    median_s: float
    largest_s: float
    photos: int


def measure(uploads: Uploads, normal: HostileFile, worst: Sequence[HostileFile], count: int, photos: int = 6) -> Delay:
    """Upload `photos` normal photos alone and then beside `count` uploads of the worst files, `photos` each.

    A delay is the difference to the median of those alone, from the upload to the announced outcome.
    """
    # Content that is made beforehand takes no time of this process during the measurement.
    ready = [replace(file, make=partial(bytes, file.make())) for file in worst[:count]]
    _start_workers(uploads, normal)
    alone = statistics.median(_time_normal(uploads, normal, photos))
    stop = threading.Event()
    numbers = iter(range(1_000_000))
    lock = threading.Lock()

    def keep_uploading(file: HostileFile) -> None:
        while not stop.is_set():
            with lock:
                number = next(numbers)
            one = replace(file, key=f"uploads/driver-13/{time.time_ns()}-{number}-{file.name.replace('/', '-')}")
            uploads.follow(uploads.put(one))

    threads = [threading.Thread(target=keep_uploading, args=(ready[index % len(ready)],)) for index in range(count)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    beside = _time_normal(uploads, normal, photos)
    stop.set()
    for thread in threads:
        thread.join()
    delays = [max(0.0, taken - alone) for taken in beside]
    names = ", ".join(sorted({file.name for file in worst[:count]}))
    return Delay(names, count, alone, statistics.median(delays), max(delays), photos)


def _start_workers(uploads: Uploads, normal: HostileFile) -> None:
    """Start the Lambda workers: a first burst waits for them, whatever photos are in it."""
    burst = [replace(normal, key=f"uploads/driver-11/{time.time_ns()}-{number}.jpg") for number in range(_BURST)]
    with ThreadPoolExecutor(_BURST) as pool:
        list(pool.map(lambda one: uploads.follow(uploads.put(one)), burst))


def _time_normal(uploads: Uploads, normal: HostileFile, photos: int) -> list[float]:
    times = []
    for _ in range(photos):
        one = replace(normal, key=f"uploads/driver-12/{time.time_ns()}.jpg")
        began = time.monotonic()
        uploads.follow(uploads.put(one))
        times.append(time.monotonic() - began)
        time.sleep(_PAUSE_S)
    return times
