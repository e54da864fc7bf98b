"""The content of model.tar.gz: backbone, head and metadata. The code that reads it is in the image."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from training.archive import ArchiveRefused, extract
from training.backbone import BACKBONE_FILE
from training.baseline import BASELINE_NAME
from training.digests import DigestError, check_digests, write_digests
from training.head import Head
from training.inference import BACKBONE_NAME, HEAD_NAME, METADATA_NAME


class ModelArchiveError(Exception):
    """There is no model, or it is not what training wrote; the message says why."""


def write_model(
    folder: Path,
    head: Head,
    metadata: dict[str, Any],
    baseline: dict[str, Any] | None = None,
    backbone: Path = BACKBONE_FILE,
) -> None:
    """Write the files of a model, and their digests, to `folder`.

    `metadata` becomes model.json, with the head's classes added; it holds calibration and threshold. `baseline` is the
    one of training.baseline; None when it is unknown for these classes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / BACKBONE_NAME).write_bytes(backbone.read_bytes())
    np.savez(folder / HEAD_NAME, weights=head.weights.astype(np.float32), bias=head.bias.astype(np.float32))
    groups = {name: list(group) for name, group in zip(head.classes, head.groups, strict=False)}
    content = {**metadata, "classes": list(head.classes), "imagenet": groups}
    (folder / METADATA_NAME).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    if baseline is not None:
        (folder / BASELINE_NAME).write_text(json.dumps(baseline, indent=2) + "\n", encoding="utf-8")
    write_digests(folder)


@contextmanager
def unpack_model(model: Path) -> Iterator[Path]:
    """Yield the folder of a model: `model` itself, or a temporary folder with the content of a model.tar.gz.

    Raises ModelArchiveError when there is no file `model`, when it is refused (`training.archive`), and when its files
    are not those that training wrote (`training.digests`).
    """
    if model.is_dir():
        yield model
        return
    if not model.is_file():
        raise ModelArchiveError(f"there is no model at {model}; train one first")
    with tempfile.TemporaryDirectory(prefix="model-") as folder:
        try:
            extract(model, Path(folder))
            check_digests(Path(folder))
        except (ArchiveRefused, DigestError) as error:
            raise ModelArchiveError(str(error)) from error
        yield Path(folder)
