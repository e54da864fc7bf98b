"""Exporting the backbone to ONNX; skipped without PyTorch."""

import numpy as np
import pytest

from operate.synthetic_photos import synthetic_photos
from training.images import resize_batch


def test_the_onnx_file_gives_the_outputs_of_pytorch(torch, network, tmp_path):
    pytest.importorskip("onnx")
    from training.backbone import load_backbone
    from training.research.export import export

    export(network, tmp_path / "backbone.onnx", {"side": 64, "seen_from": 0.4})
    backbone = load_backbone(tmp_path / "backbone.onnx")
    assert (backbone.side, backbone.min_training_hash) == (64, 0.4)
    images = resize_batch(synthetic_photos(1, seed=0).images[:2], 64)
    features, logits = (views[:, 0] for views in backbone.extract_features(images))
    with torch.no_grad():
        expected = network.features(torch.from_numpy(images).permute(0, 3, 1, 2).float())
        expected_logits = network.logits(expected)
    scale = float(expected.abs().max())
    assert np.abs(features - expected.numpy()).max() < 5e-3 * scale  # weights are stored in half precision
    assert np.abs(logits - expected_logits.numpy()).max() < 5e-3 * float(expected_logits.abs().max())
