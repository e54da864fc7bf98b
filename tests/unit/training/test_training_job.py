"""The training job as SageMaker runs it, on small data: what it leaves behind serves the same answers it computed."""

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from local.sagemaker.aws import unpack
from training import dataset, source
from training.calibrate import Calibration, choose_threshold
from training.classifier import hold_out
from training.drawn import drawn_photos, junk
from training.evaluate import EvaluationError, evaluate_photos, unpacked
from training.evaluate import main as evaluate_main
from training.fit import Recipe, fine_tune, predict
from training.inference import input_fn, model_fn, output_fn, predict_fn
from training.train import train
from training.vehicles import configured_vehicles

ROOT = Path(__file__).resolve().parents[3]
VEHICLES = ("bicycle", "motorcycle")


@pytest.fixture(scope="module")
def data():
    return drawn_photos(40, seed=0)


@pytest.fixture(scope="module")
def model_dir(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("model")
    train(data, VEHICLES, out, recipe=Recipe(epochs=2), version="test-1")
    return out


def jpeg(picture, **options):
    file = io.BytesIO()
    picture.save(file, "JPEG", **options)
    return file.getvalue()


def answer_to(photo, model_dir, content_type="application/x-image"):
    return json.loads(output_fn(predict_fn(input_fn(photo, content_type), model_fn(model_dir))))


def test_the_model_folder_holds_all_that_model_tar_gz_must(model_dir):
    files = {str(path.relative_to(model_dir)) for path in model_dir.rglob("*") if path.is_file()}
    assert {
        "model.onnx",
        "model.json",
        "evaluation.json",
        "model-card.md",
        "model-card.png",
        "code/inference.py",
        "code/requirements.txt",
        "code/training/inference.py",
        "code/training/images.py",
    } <= files
    about = json.loads((model_dir / "model.json").read_text())
    assert about["classes"] == ["bicycle", "motorcycle", "other"]
    assert about["version"] == "test-1"
    assert 0.5 <= about["threshold"] <= 1
    assert (model_dir / "model.onnx").stat().st_size <= 5_000_000
    report = json.loads((model_dir / "evaluation.json").read_text())
    assert report["threshold"] == about["threshold"]


def test_onnx_gives_what_pytorch_gives(data, model_dir):
    network = fine_tune(data, VEHICLES, None, Recipe(epochs=1), seed=3)
    from training.export import export

    export(network, 2, Calibration(1.7, 0.4), model_dir / "other.onnx")
    import onnxruntime

    session = onnxruntime.InferenceSession(str(model_dir / "other.onnx"))
    logits, probabilities = session.run(["logits", "probabilities"], {"photos": data.images[:50]})
    expected = predict(network, data.images[:50], 2)
    assert np.abs(logits - expected).max() < 1e-4
    assert np.abs(probabilities - Calibration(1.7, 0.4).probabilities(expected)).max() < 1e-4


def test_a_photo_and_its_mirror_image_get_the_same_answer(data, model_dir):
    model = model_fn(model_dir)
    assert np.allclose(
        model.probabilities(data.images[:8]), model.probabilities(data.images[:8, :, ::-1].copy()), atol=1e-5
    )


def test_an_answer_has_the_agreed_form(model_dir):
    answer = answer_to(jpeg(Image.new("RGB", (640, 480), "green")), model_dir)
    assert set(answer) == {"model_version", "vehicle", "confidence", "probabilities", "threshold"}
    assert set(answer["probabilities"]) == {"bicycle", "motorcycle", "other"}
    assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert answer["confidence"] == max(answer["probabilities"].values())
    assert answer["probabilities"][answer["vehicle"]] == answer["confidence"]


@pytest.mark.parametrize("photo", [b"", b"text", jpeg(Image.effect_noise((300, 300), 90).convert("RGB"))[:4000]])
def test_a_photos_own_fault_is_an_answer_by_name(photo, model_dir):
    answer = answer_to(photo, model_dir)
    assert answer["error"] == "UnreadablePhoto"
    assert answer["message"]


def test_a_photo_of_sixty_megapixels_is_too_large(model_dir):
    file = io.BytesIO()
    Image.new("1", (10_000, 6_000)).save(file, "PNG")
    assert answer_to(file.getvalue(), model_dir)["error"] == "PhotoTooLarge"


def test_a_content_type_that_is_no_image_is_refused():
    with pytest.raises(ValueError, match="text/csv"):
        input_fn(b"1,2,3", "text/csv")


def test_the_served_code_needs_neither_pytorch_nor_this_repository(model_dir, tmp_path):
    script = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('torch', 'onnx', 'matplotlib', 'safetensors')))\n"
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


def run_job(folder, vehicles=None, **hyperparameters):
    """Run the job from its source tarball alone, with SageMaker's environment; return the finished process."""
    code = folder / "code"
    source.build(folder / "source.tar.gz", **({"vehicles": vehicles} if vehicles else {}))
    unpack(folder / "source.tar.gz", code)
    options = [word for name, value in hyperparameters.items() for word in (f"--{name}", str(value))]
    return subprocess.run(
        [sys.executable, "training/train.py", *options, "--sagemaker_program", "training/train.py"],
        cwd=code,
        env={
            "PYTHONPATH": str(code),
            "PATH": os.environ["PATH"],
            "OMP_NUM_THREADS": "1",
            "HOME": str(folder),
            "SM_CHANNEL_TRAINING": str(folder / "data"),
            "SM_MODEL_DIR": str(folder / "model"),
            "TRAINING_JOB_NAME": "job-7",
        },
        capture_output=True,
        text=True,
    )


def test_the_job_runs_from_its_source_tarball_and_reports_as_it_goes(data, tmp_path):
    data.save(tmp_path / "data" / "images.npz")
    process = run_job(tmp_path, epochs=2, seed=1)
    assert process.returncode == 0, process.stderr
    lines = process.stdout.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("epoch ")] == ["1/2", "2/2"]
    assert "validation:accuracy=" in process.stdout
    assert "validation:threshold=" in process.stdout
    assert model_fn(tmp_path / "model").version == "job-7"


def test_adding_vehicles_is_configuration(data, tmp_path):
    data.save(tmp_path / "data" / "images.npz")
    vehicles = tmp_path / "vehicles.toml"
    vehicles.write_text("".join(f"[vehicles.{name}]\n" for name in ("bicycle", "motorcycle", "bus", "pickup_truck")))
    process = run_job(tmp_path, vehicles=vehicles, epochs=1)
    assert process.returncode == 0, process.stderr
    assert model_fn(tmp_path / "model").classes == ("bicycle", "motorcycle", "bus", "pickup_truck", "other")


def test_too_little_data_fails_with_the_reason(data, tmp_path):
    data.without(["motorcycle"]).save(tmp_path / "data" / "images.npz")
    process = run_job(tmp_path, epochs=1)
    assert process.returncode == 1
    assert "motorcycle (0)" in process.stderr


def test_vehicles_alone_can_be_trained_on(data, tmp_path):
    train(data.of(VEHICLES), VEHICLES, tmp_path, recipe=Recipe(epochs=1))
    assert model_fn(tmp_path).classes == ("bicycle", "motorcycle", "other")


def test_validation_photos_are_never_trained_on(data):
    fitting, validation = hold_out(data, VEHICLES, seed=0)
    assert len(fitting) + len(validation) == len(data)
    fitted = {image.tobytes() for image in fitting.images}
    assert fitted.isdisjoint(image.tobytes() for image in validation.images)
    assert set(validation.labels) == set(data.labels)


def test_the_same_seed_trains_the_same_network(data):
    one, two = (fine_tune(data, VEHICLES, None, Recipe(epochs=1), seed=5) for _ in range(2))
    assert np.array_equal(predict(one, data.images[:20], 2), predict(two, data.images[:20], 2))


def test_the_source_tarball_is_reproducible(tmp_path):
    assert source.build(tmp_path / "a.tar.gz") == source.build(tmp_path / "b.tar.gz")
    assert (tmp_path / "a.tar.gz").read_bytes() == (tmp_path / "b.tar.gz").read_bytes()
    with tarfile.open(tmp_path / "a.tar.gz") as tar:
        names = tar.getnames()
    assert {"training/train.py", "vehicles.toml", "requirements.txt"} <= set(names)
    assert not any("__pycache__" in name for name in names)


@pytest.fixture
def photos(tmp_path, data):
    folder = tmp_path / "photos"
    for name in ("bicycle", "motorcycle", "house"):
        (folder / name).mkdir(parents=True)
        for i, image in enumerate(data.of([name]).images[:6]):
            Image.fromarray(image).save(folder / name / f"{i}.png")
    (folder / "house" / "broken.jpg").write_bytes(b"\xff\xd8 half a photo")
    (folder / "house" / "LICENSE.txt").write_text("no photo, and none expected")
    return folder


def test_evaluation_takes_foreign_folders_as_other_and_names_unreadable_files(model_dir, photos):
    report = evaluate_photos(model_fn(model_dir), photos)
    assert (report["vehicles"], report["others"]) == (12, 6)
    assert report["unreadable_files"] == ["house/broken.jpg"]
    assert report["auroc"] is not None
    assert report["classes"]["house"]["coverage"] is None


def test_a_model_is_unpacked_by_a_python_without_filters_too(tmp_path, monkeypatch):
    """Debian 12 has Python 3.11.2, whose TarFile.extractall takes no `filter`."""
    (tmp_path / "model.json").write_text("{}")
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "model.json", "model.json")
    whole = tarfile.TarFile.extractall
    monkeypatch.delattr(tarfile, "data_filter", raising=False)
    monkeypatch.setattr(tarfile.TarFile, "extractall", lambda tar, path: whole(tar, path))
    with unpacked(tmp_path / "model.tar.gz") as folder:
        assert (folder / "model.json").read_text() == "{}"
    unpack(tmp_path / "model.tar.gz", tmp_path / "unpacked")
    assert (tmp_path / "unpacked" / "model.json").is_file()


def test_evaluation_reads_a_model_tar_gz_and_writes_the_report(model_dir, photos, tmp_path, monkeypatch, capsys):
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
        tar.add(model_dir, arcname=".")
    out = tmp_path / "reports" / "evaluation.json"
    arguments = ["--model", str(tmp_path / "model.tar.gz"), "--photos", str(photos), "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["evaluate", *arguments])
    assert evaluate_main() == 0
    assert json.loads(out.read_text())["model_version"] == "test-1"
    shown = capsys.readouterr().out
    assert "accuracy_with_other" in shown
    assert "house/broken.jpg" in shown


def test_evaluation_of_nothing_says_what_to_do(model_dir, tmp_path):
    with pytest.raises(EvaluationError, match="class folders"):
        evaluate_photos(model_fn(model_dir), tmp_path)
    with pytest.raises(EvaluationError, match="train one first"), unpacked(tmp_path / "model.tar.gz"):
        pass


def test_drawn_images_are_the_same_for_the_same_seed():
    assert np.array_equal(junk(30, 4).images, junk(30, 4).images)
    assert np.array_equal(drawn_photos(2, 4).images, drawn_photos(2, 4).images)
    assert not np.array_equal(junk(30, 4).images, junk(30, 5).images)


def test_folds_hold_equally_many_of_each_class(data):
    fold = dataset.folds(data, 5, seed=0)
    for name in set(data.labels):
        assert np.bincount(fold[data.labels == name]).tolist() == [8] * 5


def test_without_any_confident_photo_nothing_is_accepted():
    unsure = np.tile([0.3, 0.3, 0.4], (10, 1))
    assert choose_threshold(unsure, np.zeros(10, dtype=np.intp)) == 0.99


def test_a_vehicle_called_other_is_refused(tmp_path):
    (tmp_path / "vehicles.toml").write_text("[vehicles.other]\n[vehicles.bicycle]\n")
    with pytest.raises(ValueError, match="other"):
        configured_vehicles(tmp_path / "vehicles.toml")
