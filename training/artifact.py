"""What model.tar.gz holds: the backbone, the head, what they are, and the code that serves them."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from training.backbone import BACKBONE_FILE
from training.head import Head
from training.inference import ABOUT, BACKBONE, HEAD

_SERVED = ("__init__", "backbone", "calibration", "head", "images", "inference", "metrics")
_ENTRY = '''"""What the SageMaker PyTorch inference toolkit calls."""

from training.inference import input_fn, model_fn, output_fn, predict_fn

__all__ = ["input_fn", "model_fn", "output_fn", "predict_fn"]
'''
_REQUIREMENTS = "numpy\npillow>=11\nonnxruntime>=1.20\n"


def write_model(folder: Path, head: Head, about: dict[str, Any], backbone: Path = BACKBONE_FILE) -> None:
    """Write a model to `folder`; `about` is what model.json holds, `classes`, calibration and threshold included."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / BACKBONE).write_bytes(backbone.read_bytes())
    np.savez(folder / HEAD, weights=head.weights.astype(np.float32), bias=head.bias.astype(np.float32))
    groups = {name: list(group) for name, group in zip(head.classes, head.groups, strict=False)}
    content = {**about, "classes": list(head.classes), "imagenet": groups}
    (folder / ABOUT).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    code = folder / "code"
    (code / "training").mkdir(parents=True, exist_ok=True)
    for name in _SERVED:
        source = Path(__file__).parent / f"{name}.py"
        (code / "training" / source.name).write_bytes(source.read_bytes())
    (code / "inference.py").write_text(_ENTRY)
    (code / "requirements.txt").write_text(_REQUIREMENTS)
