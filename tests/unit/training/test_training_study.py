"""The instruments that measure the model: damages, near-duplicates, the backbone's file and the page of figures."""

import numpy as np
import pytest
import torch

from training import trials
from training.backbone import BACKBONE_FILE, Backbone, load_backbone
from training.drawn import JUNK, drawn_photos
from training.figures import Line, page
from training.fit import Recipe
from training.images import SIDE
from training.network import Network, vehicle_logits
from training.pretrain import NEVER_SEEN, accuracy, pretrain
from training.pretrain import Recipe as PretrainRecipe
from training.study import Run, Study, load_run
from training.tune import changed


@pytest.fixture(scope="module")
def data():
    return drawn_photos(12, seed=0)


@pytest.mark.parametrize("name", trials.DAMAGES)
def test_a_damaged_image_is_changed_but_recognisable(data, name):
    image = data.images[0]
    result = trials.DAMAGES[name](image)
    assert result.shape == image.shape
    assert result.dtype == np.uint8
    assert (result != image).any()
    if name != "brightness x0.25":
        assert np.abs(result.astype(int) - image.astype(int)).mean() < 60


def test_blur_keeps_the_mean_and_takes_the_contrast():
    image = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    result = trials.blurred(image)
    assert abs(float(result.mean()) - float(image.mean())) < 2
    assert result.std() < image.std() / 2


def test_near_duplicates_are_found_also_mirrored_shifted_and_brightened(data):
    twins = np.stack(
        [
            data.images[0],
            data.images[1][:, ::-1],
            np.roll(data.images[2], 1, axis=1),
            (data.images[3] * 0.8).astype(np.uint8),
            np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8),
        ]
    )
    assert trials.near_duplicates(twins, data.images).tolist() == [True, True, True, True, False]


def test_the_pictures_of_nothing_are_what_they_are_called():
    kinds = trials.nothings(each=6)
    assert set(kinds) == {"noise", "black", "white", "flat", "text"}
    assert kinds["black"].max() < 20
    assert kinds["white"].min() > 235
    assert all(len(images) == 6 for images in kinds.values())


def test_the_others_logit_is_the_sum_of_all_their_probabilities():
    logits = torch.randn(5, 9)
    expected = torch.softmax(logits, dim=1)
    probabilities = torch.softmax(vehicle_logits(logits, 2), dim=1)
    assert torch.allclose(probabilities[:, :2], expected[:, :2], atol=1e-6)
    assert torch.allclose(probabilities[:, 2], expected[:, 2:].sum(dim=1), atol=1e-6)


def test_a_backbone_survives_its_file_and_keeps_the_heads_rows_by_name(data, tmp_path):
    backbone = pretrain(data.without(NEVER_SEEN), PretrainRecipe(epochs=1, batch=16, junk_images=16), seed=0)
    assert backbone.classes == ("bus", "house", "maple_tree", "pickup_truck", JUNK)
    backbone.save(tmp_path / "backbone.safetensors")
    read = load_backbone(tmp_path / "backbone.safetensors")
    assert read is not None
    assert read.classes == backbone.classes
    network = Network(3)
    read.load_into(network, ["bicycle", "house", JUNK])
    assert torch.allclose(network.head.weight[1], backbone.weights["head.weight"][1], atol=1e-2)
    assert torch.allclose(network.stem.weight, backbone.weights["stem.weight"], rtol=1e-2, atol=1e-2)


def test_a_backbone_learns_what_its_teacher_says_and_not_the_labels(data):
    photos = data.without(NEVER_SEEN)
    classes = ("bus", "house", "maple_tree", "pickup_truck", JUNK)
    weights = Network(len(classes)).state_dict()
    weights["head.weight"], weights["head.bias"] = torch.zeros(5, 256), torch.tensor([0.0, 9.0, 0.0, 0.0, 0.0])
    says_house = Backbone(weights, classes, {})
    recipe = PretrainRecipe(epochs=2, batch=16, junk_images=16, taught=1.0)
    pupil = pretrain(photos, recipe, seed=0, teacher=says_house)
    assert accuracy(pupil, photos.of(["house"])) == 1
    assert accuracy(pupil, photos.without(["house"])) == 0
    with pytest.raises(ValueError, match="other classes"):
        pretrain(photos.without(["house"]), recipe, seed=0, teacher=says_house)


def test_without_a_file_there_is_no_backbone(tmp_path):
    assert load_backbone(tmp_path / "none.safetensors") is None


def test_the_backbone_that_ships_never_saw_our_vehicles():
    backbone = load_backbone()
    assert backbone is not None
    assert not {"bicycle", "motorcycle"} & set(backbone.classes)
    assert JUNK in backbone.classes
    assert BACKBONE_FILE.stat().st_size <= 4_000_000
    assert all(torch.isfinite(weight).all() for weight in backbone.weights.values() if weight.is_floating_point())


def test_figures_on_unseen_classes_refuse_a_backbone_that_saw_them(data, tmp_path):
    seen = Backbone({}, ("bus", "house"), {})
    with pytest.raises(ValueError, match="bus"):
        Study(tmp_path, data, data, None, Recipe(epochs=1)).unseen(seen, seed=0)


def test_a_run_gives_the_same_figures_after_it_was_saved(tmp_path):
    generator = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], 60)
    logits = {name: generator.normal(0, 1, (180, 3)) + 4 * np.eye(3)[truth] for name in ("validation", "test")}
    run = Run(logits, {"validation": truth, "test": truth}, 12.5)
    run.save(tmp_path / "run.npz")
    read = load_run(tmp_path / "run.npz")
    assert read.figures("test") == run.figures("test")
    assert read.cpu_s == 12.5
    assert run.figures("test", rows=truth < 2)["photos"] == 120


def test_the_page_says_what_is_met_and_what_is_not():
    values = {
        f"official/{seed}": {"vehicles": {"accuracy": accuracy, "coverage": 0.8}}
        for seed, accuracy in enumerate((0.96, 0.98, 0.99))
    }
    lines = page(values).splitlines()
    accuracy = next(line for line in lines if line.startswith("| accuracy, 200"))
    assert "0.96, 0.98, 0.99" in accuracy
    assert "met" in accuracy
    assert "**missed**" in next(line for line in lines if line.startswith("| coverage, official"))
    assert not any("cross-validation" in line for line in lines)


def test_a_bound_for_every_seed_is_not_met_on_average():
    line = Line("any", "official", (), most=1, every_seed=True)
    assert not line.met([0, 0, 2])
    assert Line("any", "official", (), most=1).met([0, 0, 2])


def test_a_recipe_is_changed_by_name():
    recipe = changed(Recipe(), ["epochs=3", "erased=0.5"])
    assert (recipe.epochs, recipe.augmentation.erased) == (3, 0.5)
    with pytest.raises(ValueError, match="epoch"):
        changed(Recipe(), ["epoch=3"])
