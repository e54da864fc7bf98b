"""The pretrained network, kept frozen: pictures in, features and ImageNet's own logits out.

EfficientNet-Lite0 (M. Tan and Q. Le, "EfficientNet", 2019; weights under Apache-2.0, see NOTICE), adapted to small
pictures by training.research.pretrain and stored as ONNX in half precision.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from training.images import Pixels, squares

Floats32 = NDArray[np.float32]

BACKBONE_FILE = Path(__file__).resolve().parent / "backbone.onnx"
BATCH = 16
VIEWS = 2


@dataclass(frozen=True)
class Backbone:
    """A loaded network for squares of `side` pixels. `digest` is the SHA-256 of its file, in hexadecimal.

    `seen_from`: the pictures of the base data whose `position` (see training.holdout) is at least this were used to
    train it, so that its answers on them say nothing about others.
    """

    session: onnxruntime.InferenceSession
    digest: str
    side: int
    seen_from: float

    def features(self, images: NDArray[np.uint8]) -> tuple[Floats32, Floats32]:
        """Return features (N, VIEWS, D) and ImageNet's logits (N, VIEWS, 1000) for images (N, side, side, 3).

        The views are the whole image, and the mirror image of its middle, without a margin of 1/12 on each side: what
        both show counts twice, and a small vehicle in the middle is seen with less around it.
        """
        margin = self.side // 12
        middle = images[:, margin : self.side - margin, margin : self.side - margin]
        views = [
            self.session.run(["features", "logits"], {"photos": view})
            for view in (images, np.ascontiguousarray(middle[:, :, ::-1]))
        ]
        return np.stack([view[0] for view in views], axis=1), np.stack([view[1] for view in views], axis=1)

    def features_of(self, pictures: list[Pixels]) -> tuple[Floats32, Floats32]:
        """Return the same for pictures of any size, a few at a time."""
        parts = [
            self.features(squares(pictures[start : start + BATCH], self.side))
            for start in range(0, max(1, len(pictures)), BATCH)
        ]
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def load_backbone(path: Path = BACKBONE_FILE, threads: int = 1) -> Backbone:
    """Load a backbone. Raises FileNotFoundError when there is none at `path`."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no backbone at {path}; it belongs beside the code: make pretrain")
    content = path.read_bytes()
    options = onnxruntime.SessionOptions()
    # One thread per request: threads that spin between requests cost more than they gain.
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    about = json.loads(session.get_modelmeta().custom_metadata_map["about"])
    return Backbone(session, hashlib.sha256(content).hexdigest(), int(about["side"]), float(about["seen_from"]))
