"""The training job, on small data."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from operate.synthetic_photos import synthetic_photos
from tests.support.training import QUICK_RECIPE, VEHICLES, write_labelled_photos
from training.compare import find_distrusted
from training.dataset import Dataset, empty
from training.holdout import split_holdout
from training.inference import load_model
from training.initial_head import load_initial_head
from training.labels import Label
from training.train import main as train_main
from training.train import train
from training.vehicles import imagenet_classes


def test_a_vehicle_is_added_by_configuration_alone(data, tmp_path):
    data.save(tmp_path / "data" / "images.npz")
    vehicles = tmp_path / "vehicles.toml"
    vehicles.write_text(
        "".join(f"[vehicles.{name}]\n" for name in ("bicycle", "motorcycle", "bus"))
        + "[vehicles.pickup_truck]\nimagenet_classes = [717]\n"
    )
    train_main([f"--training={tmp_path / 'data'}", f"--model-dir={tmp_path / 'model'}", f"--vehicles={vehicles}"])
    model = load_model(tmp_path / "model")
    assert model.classes == ("bicycle", "motorcycle", "bus", "pickup_truck", "other")
    assert model.head.groups == ((), (), (), (717,))


@pytest.mark.parametrize("option", ["--no-such-option=1", "--seed=two"])
def test_an_invalid_hyperparameter_is_named(option, tmp_path):
    with pytest.raises(ValueError, match=option.split("=")[0]):
        train_main([f"--training={tmp_path}", f"--model-dir={tmp_path}", option])


def test_the_job_trains_on_labels_and_selected_classes_but_not_on_the_holdout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_labelled_photos(tmp_path)
    synthetic_photos(20, seed=1).save(tmp_path / "base" / "images.npz")
    about = {"source": "photos", "sha256": "5a" * 32}
    (tmp_path / "base" / "about.json").write_text(json.dumps(about))
    vehicles = tmp_path / "vehicles.toml"
    vehicles.write_text("[vehicles.bicycle]\n[vehicles.motorcycle]\n[vehicles.bus]\n")
    arguments = ["--classes", "bus,bicycle", "--vehicles", str(vehicles)]
    for channel in ("snapshot", "labelled"):
        arguments += [f"--{channel}", str(tmp_path / channel)]
    arguments += ["--training", str(tmp_path / "base"), "--model-dir", str(tmp_path / "model")]
    train_main(arguments)
    printed = capsys.readouterr().out
    held = len(split_holdout(synthetic_photos(20, seed=1))[1])
    assert f"{held} images are the holdout" in printed
    assert re.search(r"labelled: \d bicycle, \d bus, \d other", printed)
    assert "features: " in printed
    about = json.loads((tmp_path / "model" / "model.json").read_text())
    assert about["classes"] == ["bicycle", "bus", "other"]
    assert (about["source"], about["source_sha256"]) == ("photos", "5a" * 32)
    assert "5a" * 32 in (tmp_path / "model" / "model-card.md").read_text()
    report = json.loads((tmp_path / "model" / "evaluation.json").read_text())
    assert report["labels"]["left_out"]["unreadable"] == 1
    assert [row["reviewer"] for row in report["labels"]["by_reviewer"]] == ["ada"]


def test_synthetic_images_change_the_head_little_and_the_calibration_not_at_all(data, model_dir, backbone, tmp_path):
    initial = load_initial_head(VEHICLES, imagenet_classes())
    features = model_dir.parent / "features"
    train(
        data,
        empty(),
        VEHICLES,
        tmp_path,
        version="synthetic",
        source="generated",
        cached_features=features,
        backbone=backbone,
    )
    synthetic, other = load_model(tmp_path), load_model(model_dir)

    def bias_step(model):
        return np.abs(model.head.bias - initial.head.bias).max()

    assert 0 < bias_step(synthetic) < 0.2 * bias_step(other)
    assert (synthetic.calibration, synthetic.threshold) == (initial.calibration, initial.threshold)


def labelled_with_errors():
    """Return 96 photos that four reviewers labelled, 9 of the 24 labels of `dee` wrong, and where they come from."""
    photos = synthetic_photos(16, seed=21)
    order = np.random.default_rng(0).permutation(len(photos))
    labels = [Label(f"photo-{row}", ("ada", "bo", "cy", "dee")[place % 4]) for place, row in enumerate(order)]
    names = photos.labels[order].astype("U32")
    for place in [place for place in range(3, len(order), 4) if names[place] in VEHICLES][:5]:
        names[place] = VEHICLES[1 - VEHICLES.index(names[place])]
    for place in [place for place in range(3, len(order), 4) if names[place] not in VEHICLES][:4]:
        names[place] = "motorcycle"
    return Dataset([photos.images[row] for row in order], names), labels


def test_a_reviewer_whose_labels_contradict_the_model_is_named_and_not_trained_on(
    data, backbone, model_dir, tmp_path, capsys
):
    labelled, labels = labelled_with_errors()
    features = model_dir.parent / "features"
    report = train(
        data, labelled, VEHICLES, tmp_path, recipe=QUICK_RECIPE, labels=labels, cached_features=features,
        backbone=backbone,
    )["labels"]  # fmt: skip
    assert [row["reviewer"] for row in report["by_reviewer"] if row["worse"]] == ["dee"]
    assert report["used"] + report["left_out"]["suspected"] + report["left_out"]["reviewer"] == len(labelled)
    assert report["used"] <= 72
    assert sum(row["labelled_by"] == "dee" for row in report["suspected"]) >= 6
    card = (tmp_path / "model-card.md").read_text()
    assert re.search(r"\*\*Reviewer dee: \d+ of 24 labels contradict the model\*\*", card)
    assert "Reviewer ada:" not in card
    (named,) = find_distrusted(tmp_path)
    counts = f"{named['suspected']} of 24"
    assert named == {"reviewer": "dee", "suspected": named["suspected"], "labels": 24}
    assert f"labels of reviewer dee contradict the model: {counts}; not trained on" in capsys.readouterr().out


@pytest.mark.parametrize("shown", [False, True])
def test_the_model_card_shows_labelled_photos_only_when_it_is_configured(data, backbone, model_dir, tmp_path, shown):
    """A bicycle called motorcycle is among the worst errors; a stripe in a colour of its own shows it."""
    marked = [synthetic_photos(3, seed=8).with_labels(["bicycle"]).images[0].copy()]
    marked[0][: len(marked[0]) // 6] = (255, 0, 255)
    labelled = Dataset(marked, np.full(len(marked), "motorcycle"))
    train(
        data, labelled, VEHICLES, tmp_path, recipe=QUICK_RECIPE, driver_photos_on_card=shown,
        cached_features=model_dir.parent / "features", backbone=backbone,
    )  # fmt: skip
    card = np.asarray(Image.open(tmp_path / "model-card.png").convert("RGB")).astype(int)
    magenta = (card[..., 0] > 240) & (card[..., 1] < 15) & (card[..., 2] > 240)
    assert magenta.any() == shown
