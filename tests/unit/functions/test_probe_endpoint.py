"""The smoke test of an endpoint."""

import io
import json
from typing import Any

import pytest

from functions.probe_endpoint.probe import GoldenPhoto, ProbeFailed, generate_image, probe, sample_evenly
from training.images import preprocess

CLASSES = ("bicycle", "motorcycle")


class FakeEndpoint:
    """A fake endpoint that answers with the content of the photo as the vehicle; the answers in `slow` are slow."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, slow: tuple[int, ...] = (), classes: tuple[str, ...] = CLASSES):
        self.requests = 0
        self._now = 0.0
        self._slow = slow
        self._classes = classes
        monkeypatch.setattr("functions.probe_endpoint.probe.time.perf_counter", lambda: self._now)

    def invoke_endpoint(self, *, Body: bytes, **_: Any) -> dict[str, Any]:  # the API's own name
        self._now += 2.5 if self.requests in self._slow else 0.01
        self.requests += 1
        vehicle = Body.decode() if Body.decode() in self._classes else "other"
        answer = {
            "model_version": "v1",
            "vehicle": vehicle,
            "probabilities": dict.fromkeys((*self._classes, "other"), 0.1),
        }
        return {"Body": io.BytesIO(json.dumps(answer).encode())}


def golden_photos(*shown: str) -> list[GoldenPhoto]:
    return [GoldenPhoto(f"{number}.png", name.encode(), name) for number, name in enumerate(shown)]


def test_a_slow_endpoint_fails_and_one_slow_answer_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    photos = golden_photos(*["bicycle"] * 9, *["motorcycle"] * 9)
    assert probe("e", "v1", photos, FakeEndpoint(monkeypatch, slow=(0,))).latency_ms == pytest.approx(10)
    assert probe("e", "v1", photos, FakeEndpoint(monkeypatch, slow=(0, 7, 17))).correct == 18
    with pytest.raises(ProbeFailed, match="median of 18 answers"):
        probe("e", "v1", photos, FakeEndpoint(monkeypatch, slow=tuple(range(10))))


def test_one_photo_is_classified_several_times_so_that_one_slow_answer_does_not_fail(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    endpoint = FakeEndpoint(monkeypatch, slow=(0,))
    found = probe("e", "v1", [GoldenPhoto("drawn", b"anything", None)], endpoint)
    assert (found.photos, found.correct, endpoint.requests) == (1, 1, 5)


def test_a_model_of_fewer_vehicles_should_classify_the_rest_as_other(monkeypatch: pytest.MonkeyPatch) -> None:
    photos = golden_photos(*["bicycle"] * 6, *["motorcycle"] * 6, *["other"] * 6)
    assert probe("e", "v1", photos, FakeEndpoint(monkeypatch, classes=("bicycle",))).correct == 18


def test_too_many_wrong_answers_reject_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    photos = [GoldenPhoto("0.png", b"bicycle", "motorcycle"), *golden_photos(*["bicycle"] * 2)]
    with pytest.raises(ProbeFailed, match="2 of 3 golden photos"):
        probe("e", "v1", photos, FakeEndpoint(monkeypatch))


def test_of_many_golden_photos_some_of_every_vehicle_are_classified() -> None:
    keys = [
        f"golden/a/{name}/{number}.png" for name in ("bicycle", "bus", "motorcycle", "other") for number in range(9)
    ]
    chosen = sample_evenly(keys)
    assert len(chosen) <= 20
    assert {key.split("/")[2] for key in chosen} == {"bicycle", "bus", "motorcycle", "other"}
    assert (sample_evenly([]), sample_evenly(keys[:18])) == ([], keys[:18])


def test_the_generated_image_can_be_read_by_the_inference_code() -> None:
    assert preprocess(generate_image().image, 64).shape == (64, 64, 3)
