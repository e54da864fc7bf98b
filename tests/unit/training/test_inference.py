"""The answer to a photo."""

import io
import subprocess
import sys

import pytest
from PIL import Image

from tests.support.training import jpeg
from training.inference import classify, load_model


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


def test_the_inference_code_imports_no_library_of_training():
    script = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('torch', 'onnx', 'matplotlib', 'scipy')))\n"
        "import training.inference\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
