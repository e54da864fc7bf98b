"""The functions that the inference toolkit calls."""

import io
import json
import os
import subprocess
import sys

import pytest
from PIL import Image

from tests.support.training import jpeg
from training.inference import input_fn, model_fn, output_fn, predict_fn


def answer_to(photo, model_dir, content_type="application/x-image"):
    return json.loads(output_fn(predict_fn(input_fn(photo, content_type), model_fn(model_dir))))


def test_an_answer_holds_vehicle_confidence_and_probabilities(model_dir):
    answer = answer_to(jpeg(Image.new("RGB", (640, 480), "green")), model_dir)
    assert set(answer) == {"model_version", "vehicle", "confidence", "probabilities", "threshold"}
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


def test_a_content_type_other_than_an_image_is_refused():
    with pytest.raises(ValueError, match="text/csv"):
        input_fn(b"1,2,3", "text/csv")


def test_the_inference_code_needs_neither_scipy_nor_this_repository(model_dir, tmp_path):
    script = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('torch', 'onnx', 'matplotlib', 'scipy')))\n"
        "import inference\n"
        "model = inference.model_fn(sys.argv[1])\n"
        "photo = open(sys.argv[2], 'rb').read()\n"
        "print(inference.output_fn(inference.predict_fn(inference.input_fn(photo, 'application/x-image'), model),"
        " 'application/json'))\n"
    )
    (tmp_path / "photo.jpg").write_bytes(jpeg(Image.new("RGB", (100, 100), "red")))
    result = subprocess.run(
        [sys.executable, "-c", script, str(model_dir), str(tmp_path / "photo.jpg")],
        cwd=tmp_path,
        env={"PYTHONPATH": str(model_dir / "code"), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(result.stdout)["model_version"] == "test-1"
