"""Random changes of valid photos: each is decoded, or ends in an error about the photo, within the limits.

    python -m tests.torture.mutations EXAMPLES

EXAMPLES is the number of changed photos of each format; the same number gives the same photos. Prints the largest
memory of the process in MB. Exit status 1, with the photo, when one violates the property.
"""

import resource
import sys
from functools import partial

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.torture.corpus import SEEDS, seed
from tests.torture.decoding import cpu_s, memory_mb
from training.images import downscale, preprocess
from training.photo_errors import PhotoError

MAX_CPU_S = 10.0  # of the two ways in which each photo is decoded
MAX_ADDRESS_SPACE = 2_000_000_000
LENGTHS = [0, 1, 2, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF]


@st.composite
def changed(draw: st.DrawFn, name: str) -> bytes:
    """A photo after 1 to 6 changes: bytes replaced, parts doubled, removed or moved, lengths changed, files joined."""
    photo = bytearray(seed(name))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, max(0, len(photo) - 1)))
        end = min(len(photo), start + draw(st.sampled_from([1, 2, 4, 8, 64, 1000])))
        change = draw(st.sampled_from(["bytes", "flip", "double", "remove", "move", "length", "splice"]))
        if change == "bytes":
            photo[start:end] = draw(st.binary(max_size=16))
        elif change == "flip" and photo:
            photo[start] ^= 1 << draw(st.integers(0, 7))
        elif change == "double":
            photo[start:end] = photo[start:end] * draw(st.sampled_from([2, 3, 100]))
        elif change == "remove":
            del photo[start:end]
        elif change == "move":
            part = photo[start:end]
            del photo[start:end]
            at = draw(st.integers(0, len(photo)))
            photo[at:at] = part
        elif change == "length":
            size = draw(st.sampled_from([1, 2, 4]))
            value = draw(st.sampled_from(LENGTHS)) & ((1 << 8 * size) - 1)
            photo[start : start + size] = value.to_bytes(size, draw(st.sampled_from(["big", "little"])))
        else:
            other = seed(draw(st.sampled_from(sorted(SEEDS))))
            photo[start:] = other[draw(st.integers(0, len(other))) :]
    return bytes(photo)


def check(photo: bytes) -> None:
    """Decode a photo as the endpoint and the console do. Raises any other error than PhotoError."""
    began = cpu_s()
    try:
        assert preprocess(photo, 64).shape == (64, 64, 3)
        assert max(downscale(photo, 100).shape[:2]) <= 100
    except PhotoError as error:
        message = str(error)
    else:
        message = "it was decoded"
    assert len(message) > 10
    assert cpu_s() - began < MAX_CPU_S


def main() -> None:
    """Check changed photos of every format."""
    resource.setrlimit(resource.RLIMIT_AS, (MAX_ADDRESS_SPACE, MAX_ADDRESS_SPACE))
    profile = partial(settings, deadline=None, derandomize=True, database=None)
    for name in SEEDS:
        limited = profile(max_examples=int(sys.argv[1]), suppress_health_check=list(HealthCheck))
        limited(given(changed(name))(check))()
    print(max(memory_mb().values()))


if __name__ == "__main__":
    main()
