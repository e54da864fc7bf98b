"""The frozen backbone: from images to features and ImageNet's logits.

EfficientNet-Lite0 (M. Tan and Q. Le, "EfficientNet", 2019; weights under Apache-2.0, see NOTICE), fine-tuned on small
images by training.research.pretrain and stored as ONNX in half precision.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from training.images import Pixels, resize_batch

Floats32 = NDArray[np.float32]

BACKBONE_FILE = Path(__file__).resolve().parent / "backbone.onnx"
BATCH_SIZE = 16
VIEWS = 2
"""Views of each image, over which the head's logits are averaged (test-time augmentation)."""


@dataclass(frozen=True)
class Backbone:
    """A loaded network for images of (side, side) pixels. `digest` is the SHA-256 of its file, in hexadecimal.

    `min_training_hash`: base data with a hash fraction (see training.holdout) of at least this were used to fine-tune
    the backbone, so confidences on them are too high to calibrate on.
    """

    session: onnxruntime.InferenceSession
    digest: str
    side: int
    min_training_hash: float

    def extract_features(self, images: NDArray[np.uint8]) -> tuple[Floats32, Floats32]:
        """Return features (N, VIEWS, D) and ImageNet's logits (N, VIEWS, 1000) for images (N, side, side, 3).

        The views are the whole image and a mirrored centre crop, without a margin of 1/12 on each side. The crop shows
        a small vehicle in the centre with less background.
        """
        margin = self.side // 12
        centre = images[:, margin : self.side - margin, margin : self.side - margin]
        views = [
            self.session.run(["features", "logits"], {"photos": view})
            for view in (images, np.ascontiguousarray(centre[:, :, ::-1]))
        ]
        return np.stack([view[0] for view in views], axis=1), np.stack([view[1] for view in views], axis=1)

    def resize_and_extract(self, images: list[Pixels]) -> tuple[Floats32, Floats32]:
        """Return features and logits of images of any sizes, computed in batches of BATCH_SIZE."""
        batches = [
            self.extract_features(resize_batch(images[start : start + BATCH_SIZE], self.side))
            for start in range(0, max(1, len(images)), BATCH_SIZE)
        ]
        return np.concatenate([batch[0] for batch in batches]), np.concatenate([batch[1] for batch in batches])


def load_backbone(path: Path = BACKBONE_FILE, threads: int = 1) -> Backbone:
    """Load a backbone that computes with `threads` threads. Raises FileNotFoundError when there is none at `path`."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no backbone at {path}; create it with: make pretrain")
    options = onnxruntime.SessionOptions()
    # One thread per request by default: threads that spin between requests cost more time than they save.
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    metadata = json.loads(session.get_modelmeta().custom_metadata_map["about"])
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Backbone(session, digest, int(metadata["side"]), float(metadata["seen_from"]))
