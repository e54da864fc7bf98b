"""Expensive photos are decoded in a process of their own, one at a time."""

import fcntl
import os
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from tests.support.hostile_photos import encoded, noise
from training import decoder, inference, isolation
from training.images import downscale, preprocess
from training.photo_errors import PhotoTooComplex, UnreadablePhoto

FORMATS = ["JPEG", "PNG", "WEBP", "HEIF", "AVIF"]


@pytest.fixture
def expensive(monkeypatch, tmp_path):
    """Every photo is expensive; the lock is not shared with other processes."""
    monkeypatch.setattr(decoder, "EXPENSIVE_S", 0.0)
    monkeypatch.setattr(isolation.tempfile, "gettempdir", lambda: str(tmp_path))
    return tmp_path


@pytest.fixture
def lock(expensive):
    """Held as by the decoder of another photo."""
    with (expensive / f"scones-decoder-{os.getuid()}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


@pytest.mark.parametrize("kind", FORMATS)
def test_the_pixels_of_an_expensive_photo_are_those_of_any_other(kind, request):
    photo = encoded(noise(300, 200), kind)
    before = [preprocess(photo, 64), downscale(photo, 150)]
    request.getfixturevalue("expensive")
    assert (preprocess(photo, 64) == before[0]).all()
    assert (downscale(photo, 150) == before[1]).all()


def test_the_errors_of_an_expensive_photo_are_those_of_any_other(expensive):
    photo = encoded(noise(300, 200), "WEBP")
    with pytest.raises(UnreadablePhoto, match="not a complete WEBP image"):
        preprocess(photo[: len(photo) // 2], 64)


def test_the_endpoint_refuses_a_second_expensive_photo_and_decodes_any_other(lock, monkeypatch):
    answer = np.array([[0.25, 0.75]])
    model = SimpleNamespace(
        side=64, version="m", classes=("bicycle", "other"), threshold=0.5, probabilities=lambda images: answer
    )
    assert inference.classify(encoded(noise(), "PNG"), model)["error"] == "DecoderBusy"
    monkeypatch.setattr(decoder, "EXPENSIVE_S", 0.8)
    assert inference.classify(encoded(noise(), "PNG"), model)["vehicle"] == "other"


def test_other_callers_wait_for_their_turn(lock):
    began = time.monotonic()
    threading.Timer(0.5, fcntl.flock, (lock, fcntl.LOCK_UN)).start()
    assert preprocess(encoded(noise(), "PNG"), 64).shape == (64, 64, 3)
    assert time.monotonic() - began >= 0.5


@pytest.mark.parametrize(
    ("fault", "error"),
    [("os.kill(os.getpid(), signal.SIGSEGV)", UnreadablePhoto), ("[0 for _ in iter(int, 1)]", PhotoTooComplex)],
)
def test_a_decoder_that_crashes_or_does_not_end_ends_its_process_only(expensive, monkeypatch, fault, error):
    limit = "resource.setrlimit(resource.RLIMIT_CPU, (1, 2))"
    monkeypatch.setattr(isolation, "_CHILD", f"import os, resource, signal; {limit}; {fault}")
    with pytest.raises(error):
        preprocess(encoded(noise(), "PNG"), 64)


def test_large_photos_are_expensive_and_those_of_phones_are_not():
    with pytest.raises(decoder.ExpensivePhoto):
        decoder.decode(encoded(Image.new("RGB", (8_000, 6_000))), expensive=False)
    for size in [(4_000, 3_000), (8_000, 6_000)]:
        decoder.decode(encoded(Image.new("RGB", size), "JPEG"), expensive=False)


def test_a_limit_that_is_refused_does_not_prevent_the_others(monkeypatch):
    applied = []

    def set_limit(kind, limits):
        if kind == isolation.resource.RLIMIT_CPU:
            raise ValueError("not allowed to raise maximum limit")
        applied.append(kind)

    monkeypatch.setattr(isolation.resource, "setrlimit", set_limit)
    isolation.limit_resources()
    assert applied == [isolation.resource.RLIMIT_CORE, isolation.resource.RLIMIT_AS]
