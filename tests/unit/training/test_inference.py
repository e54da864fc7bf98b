"""The answer to a photo."""

import io
import subprocess
import sys

import jsonschema
import pytest
from PIL import Image

import events
from tests.support.training import jpeg
from training.inference import classify, load_model
from training.isolation import DecoderBusy
from training.photo_errors import PhotoError


def answer_to(photo, model_dir):
    return classify(photo, load_model(model_dir))


def test_an_answer_holds_vehicle_confidence_and_probabilities(model_dir):
    answer = answer_to(jpeg(Image.new("RGB", (640, 480), "green")), model_dir)
    assert set(answer) == {"model_version", "vehicle", "confidence", "probabilities", "threshold", "image"}
    assert set(answer["probabilities"]) == {"bicycle", "motorcycle", "other"}
    assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert answer["confidence"] == max(answer["probabilities"].values())
    assert answer["probabilities"][answer["vehicle"]] == answer["confidence"]


@pytest.mark.parametrize("photo", [b"", b"text", jpeg(Image.effect_noise((300, 300), 90).convert("RGB"))[:4000]])
def test_an_unreadable_photo_is_answered_with_its_error(photo, model_dir):
    answer = answer_to(photo, model_dir)
    assert answer["error"] == "UnreadablePhoto"
    assert answer["message"]


def test_a_photo_of_sixty_megapixels_is_too_large(model_dir):
    file = io.BytesIO()
    Image.new("1", (10_000, 6_000)).save(file, "PNG")
    assert answer_to(file.getvalue(), model_dir)["error"] == "PhotoTooLarge"


def test_every_answer_is_valid_by_its_contract(model_dir):
    validator = jsonschema.Draft202012Validator(events.contract("endpoint_answer"))
    classified = answer_to(jpeg(Image.new("RGB", (640, 480), "green")), model_dir)
    refused = answer_to(b"text", model_dir)
    for answer in (classified, refused):
        validator.validate(answer)
        for name in answer:
            assert not validator.is_valid({key: value for key, value in answer.items() if key != name}), name
    assert not validator.is_valid({**classified, "loading_bay": "Bay A"})


def test_the_contract_lists_every_error_of_a_photo():
    listed = events.contract("endpoint_answer")["properties"]["error"]["enum"]
    assert set(listed) == {kind.__name__ for kind in (*PhotoError.__subclasses__(), DecoderBusy)}


def test_the_inference_code_imports_no_library_of_training():
    script = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('torch', 'onnx', 'matplotlib', 'scipy')))\n"
        "import training.inference\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
