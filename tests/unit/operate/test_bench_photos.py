"""The photos of `make bench` and `make load`."""

import json

from benchmarks import photos
from benchmarks.chain import STEPS, chain, empty
from benchmarks.template import Context, Function, template
from workflows import graph


def test_drawings_are_small_and_the_same_for_the_same_seed() -> None:
    drawn = list(photos.drawings(3, seed=1))
    assert {photo.label for photo in drawn} == {"bicycle", "motorcycle"}
    assert all(len(photo.content) <= photos.TINY_BYTES for photo in drawn)
    assert drawn == list(photos.drawings(3, seed=1))


def test_enlarged_drawings_are_as_large_as_photos_and_fit_into_a_state() -> None:
    drawn = photos._drawn_jpegs()
    assert all(len(next(drawn).content) in photos.JPEG_BYTES for _ in range(5))
    assert photos.JPEG_BYTES.stop * 4 / 3 < 262_144


def test_the_chain_runs_its_three_lambdas_in_order() -> None:
    assert graph.reachable(chain()) == list(STEPS)
    assert graph.reachable(empty()) == ["Nothing"]


def test_the_template_fits_into_a_request_with_all_functions() -> None:
    context = Context("scones-dev-bench", "code", "arn:layer", "python3.12", ["arm64"], "scones-dev-vehicles")
    functions = [
        Function(f"Measured{number}", "cold_start.handler", "k", 256, {"A": "b" * 300}) for number in range(20)
    ]
    assert len(json.dumps(template(context, functions), separators=(",", ":"))) < 51_200
