"""A model and its data, created once for all tests of training."""

from pathlib import Path

import pytest

from operate.synthetic_photos import synthetic_photos
from tests.support.training import QUICK_RECIPE, VEHICLES
from training.backbone import Backbone, load_backbone
from training.dataset import Dataset, empty
from training.train import train


@pytest.fixture(scope="session")
def data() -> Dataset:
    return synthetic_photos(40, seed=0)


@pytest.fixture(scope="session")
def model_dir(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a model; its training job's feature cache is in the folder `features` beside it."""
    out = tmp_path_factory.mktemp("model") / "model"
    train(data, empty(), VEHICLES, out, recipe=QUICK_RECIPE, version="test-1", features_out=out.parent / "features")
    return out


@pytest.fixture(scope="session")
def backbone() -> Backbone:
    return load_backbone()
