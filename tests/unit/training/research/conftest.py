"""PyTorch with one thread; tests that need it are skipped when it is not installed."""

import pytest


@pytest.fixture
def torch():
    module = pytest.importorskip("torch")
    module.set_num_threads(1)  # on a busy machine, several threads are slower than one
    return module


@pytest.fixture
def network(torch):
    """EfficientNet-Lite0 with random weights."""
    from training.research.efficientnet import EfficientNetLite0

    torch.manual_seed(0)
    return EfficientNetLite0().eval()
