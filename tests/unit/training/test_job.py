"""The training job as SageMaker runs it, on small data: what it leaves behind serves the same answers it computed."""

import dataclasses
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

from deploy import training_source
from local.sagemaker.aws import unpack
from training import dataset
from training.backbone import load_backbone
from training.classifier import Recipe, learn
from training.dataset import Dataset, empty
from training.drawn import blank_images, drawn_photos
from training.evaluate import EvaluationError, evaluate_photos, unpacked
from training.evaluate import main as evaluate_main
from training.features import FILE, FeatureCache
from training.images import squares
from training.inference import input_fn, model_fn, output_fn, predict_fn
from training.initial import load_initial, write_initial_model
from training.policy import Policy
from training.train import train
from training.vehicles import configured_vehicles, imagenet_classes

ROOT = Path(__file__).resolve().parents[3]
VEHICLES = ("bicycle", "motorcycle")
QUICK = Recipe(blank_images=10, folds=2)


@pytest.fixture(scope="module")
def data():
    return drawn_photos(40, seed=0)


@pytest.fixture(scope="module")
def model_dir(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("model")
    train(data, empty(), VEHICLES, out, recipe=QUICK, version="test-1", features_out=out.parent / "features")
    return out


@pytest.fixture(scope="module")
def backbone():
    return load_backbone()


def jpeg(picture, **options):
    file = io.BytesIO()
    picture.save(file, "JPEG", **options)
    return file.getvalue()


def answer_to(photo, model_dir, content_type="application/x-image"):
    return json.loads(output_fn(predict_fn(input_fn(photo, content_type), model_fn(model_dir))))


def test_the_model_folder_holds_all_that_model_tar_gz_must(model_dir):
    files = {str(path.relative_to(model_dir)) for path in model_dir.rglob("*") if path.is_file()}
    assert {
        "backbone.onnx",
        "head.npz",
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
    assert sum(path.stat().st_size for path in model_dir.rglob("*.*") if path.suffix in (".onnx", ".npz")) <= 13_000_000
    report = json.loads((model_dir / "evaluation.json").read_text())
    assert report["threshold"] == about["threshold"]


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


def test_the_served_code_needs_neither_scipy_nor_this_repository(model_dir, tmp_path):
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


def run_job(folder, vehicles=None, **hyperparameters):
    """Run the job from its source tarball alone, with SageMaker's environment; return the finished process."""
    code = folder / "code"
    training_source.build(folder / "source.tar.gz", **({"vehicles": vehicles} if vehicles else {}))
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
    process = run_job(tmp_path, seed=1)
    assert process.returncode == 0, process.stderr
    lines = process.stdout.splitlines()
    assert [line for line in lines if line.startswith("features ")][-1].split()[1].split("/")[0] != "0"
    assert "validation:accuracy=" in process.stdout
    assert "validation:threshold=" in process.stdout
    assert model_fn(tmp_path / "model").version == "job-7"


def test_adding_vehicles_is_configuration(data, tmp_path):
    data.save(tmp_path / "data" / "images.npz")
    vehicles = tmp_path / "vehicles.toml"
    vehicles.write_text(
        "".join(f"[vehicles.{name}]\n" for name in ("bicycle", "motorcycle", "bus"))
        + "[vehicles.pickup_truck]\nimagenet_classes = [717]\n"
    )
    process = run_job(tmp_path, vehicles=vehicles)
    assert process.returncode == 0, process.stderr
    model = model_fn(tmp_path / "model")
    assert model.classes == ("bicycle", "motorcycle", "bus", "pickup_truck", "other")
    assert model.head.groups == ((), (), (), (717,))


def test_too_little_data_fails_with_the_reason(data, tmp_path):
    data.without(["motorcycle"]).save(tmp_path / "data" / "images.npz")
    process = run_job(tmp_path)
    assert process.returncode == 1
    assert "motorcycle (0)" in process.stderr


def test_the_next_retraining_computes_only_new_features(data, model_dir, tmp_path, backbone):
    kept = model_dir.parent / "features"
    assert (kept / FILE).is_file()
    cache = FeatureCache(backbone, kept)
    features, _ = cache.of(data.pictures[:20])
    assert cache.computed == 0
    cache.of([*data.pictures[:20], drawn_photos(1, seed=77).pictures[0]])
    assert cache.computed == 1
    fresh, _ = FeatureCache(backbone).of(data.pictures[:20])
    assert np.array_equal(features, fresh)


def test_kept_features_are_read_from_the_archive_of_an_earlier_job(data, model_dir, tmp_path, backbone, capsys):
    with tarfile.open(tmp_path / "output.tar.gz", "w:gz") as tar:
        tar.add(model_dir.parent / "features" / FILE, FILE)
    cache = FeatureCache(backbone, tmp_path)
    cache.of(data.pictures[:5])
    assert cache.computed == 0
    content = (tmp_path / "output.tar.gz").read_bytes()
    (tmp_path / "output.tar.gz").write_bytes(content[: len(content) // 2])
    FeatureCache(backbone, tmp_path).of(data.pictures[:1])
    assert "are computed again" in capsys.readouterr().out


def test_features_of_another_backbone_are_not_used(model_dir, data, backbone):
    kept = model_dir.parent / "features"
    other = dataclasses.replace(backbone, digest="0" * 64)
    cache = FeatureCache(other, kept)
    cache.of(data.pictures[:1])
    assert cache.computed == 1


def test_the_same_seed_trains_the_same_model(data, model_dir, backbone):
    initial = load_initial(VEHICLES, imagenet_classes())
    one, two = (
        learn(data, empty(), initial.head, backbone, FeatureCache(backbone, model_dir.parent), Policy(), QUICK, seed=5)
        for _ in range(2)
    )
    assert np.array_equal(one.head.weights, two.head.weights)
    assert one.point == two.point


def test_a_label_moves_the_head_more_than_a_picture_of_the_base_data(data, model_dir, backbone):
    """Twenty photos that the base data calls a house are labelled as motorcycles by people."""
    photos = drawn_photos(20, seed=8).of(["house"])
    labelled = Dataset(photos.pictures, np.full(len(photos), "motorcycle"))
    initial = load_initial(VEHICLES, imagenet_classes())

    def opinion(labelled, weight):
        recipe = dataclasses.replace(QUICK, label_weight=weight)
        cache = FeatureCache(backbone, model_dir.parent)
        head = learn(data, labelled, initial.head, backbone, cache, Policy(), recipe, seed=0).head
        unseen = drawn_photos(10, seed=9).of(["house"]).pictures
        logits = head.logits(*backbone.features_of(unseen))
        return float((logits[:, 1] - logits[:, 2]).mean())

    assert opinion(empty(), 1) < opinion(labelled, 1) < opinion(labelled, 10)


def test_drawings_move_the_head_little_and_its_confidence_not_at_all(data, model_dir, backbone, tmp_path):
    initial = load_initial(VEHICLES, imagenet_classes())
    kept = model_dir.parent / "features"
    train(data, empty(), VEHICLES, tmp_path, version="drawn", source="generated", kept=kept, backbone=backbone)
    drawn, free = model_fn(tmp_path), model_fn(model_dir)

    def moved(model):
        return np.abs(model.head.bias - initial.head.bias).max()

    assert 0 < moved(drawn) < 0.2 * moved(free)
    assert (drawn.calibration, drawn.threshold) == (initial.calibration, initial.threshold)


def test_the_initial_model_knows_vehicles_without_any_data(tmp_path):
    write_initial_model(tmp_path)
    model = model_fn(tmp_path)
    assert model.classes == (*configured_vehicles(), "other")
    assert model.version.startswith("initial-")
    answer = answer_to(jpeg(Image.new("RGB", (640, 480), "white")), tmp_path)
    assert answer["vehicle"] == "other"


def test_an_initial_head_for_an_unknown_vehicle_starts_with_what_imagenet_knows():
    initial = load_initial(("bicycle", "bus", "tricycle"), {"bus": (779,)})
    assert initial.head.classes == ("bicycle", "bus", "tricycle", "other")
    assert initial.head.groups == ((), (779,), ())
    assert initial.head.weights[0].any()
    assert not initial.head.weights[1:3].any()


def test_the_source_tarball_is_reproducible(tmp_path):
    assert training_source.build(tmp_path / "a.tar.gz") == training_source.build(tmp_path / "b.tar.gz")
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
        for i, image in enumerate(data.of([name]).pictures[:6]):
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
    def same(one, two):
        return all(np.array_equal(a, b) for a, b in zip(one.pictures, two.pictures, strict=True))

    assert same(blank_images(30, 4), blank_images(30, 4))
    assert same(drawn_photos(2, 4), drawn_photos(2, 4))
    assert not same(blank_images(30, 4), blank_images(30, 5))


def test_folds_hold_equally_many_of_each_class(data):
    fold = dataset.folds(data.labels, 5, seed=0)
    for name in set(data.labels):
        assert np.bincount(fold[data.labels == name]).tolist() == [8] * 5


def test_a_data_set_keeps_pictures_of_every_size(tmp_path):
    pictures = [np.full((3, 5, 3), 7, np.uint8), np.full((9, 2, 3), 8, np.uint8)]
    Dataset(pictures, np.array(["a", "b"])).save(tmp_path / "one.npz")
    np.savez(tmp_path / "two.npz", images=np.full((2, 4, 4, 3), 9, np.uint8), labels=np.array(["c", "c"]))
    read = dataset.load(tmp_path)
    assert [picture.shape for picture in read.pictures] == [(3, 5, 3), (9, 2, 3), (4, 4, 3), (4, 4, 3)]
    assert read.labels.tolist() == ["a", "b", "c", "c"]
    assert squares(read.pictures, 32).shape == (4, 32, 32, 3)


def test_an_imagenet_class_that_two_vehicles_claim_is_refused(tmp_path):
    file = tmp_path / "vehicles.toml"
    file.write_text("[vehicles.a]\nimagenet_classes = [1]\n[vehicles.b]\nimagenet_classes = [1]\n")
    with pytest.raises(ValueError, match="both a and b"):
        imagenet_classes(file)
    file.write_text("[vehicles.a]\nimagenet_classes = [1000]\n")
    with pytest.raises(ValueError, match="1000"):
        imagenet_classes(file)


def test_a_vehicle_called_other_is_refused(tmp_path):
    (tmp_path / "vehicles.toml").write_text("[vehicles.other]\n[vehicles.bicycle]\n")
    with pytest.raises(ValueError, match="other"):
        configured_vehicles(tmp_path / "vehicles.toml")
