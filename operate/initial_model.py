"""Deploy an initial model through retrain-model to a stage that has no champion."""

import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3

from deploy.outputs import Deployed
from functions.shared.champion import ModelTable
from operate import retrain
from operate.errors import CommandError
from operate.terminal import console
from training.archive import pack
from training.artifact import write_model
from training.backbone import load_backbone
from training.initial_head import INITIAL_HEAD_FILE, load_initial_baseline, load_initial_head
from training.vehicles import configured_vehicles, imagenet_classes

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# A folder of this name next to the artifact contains photos for the probe, in folders named after the classes.
GOLDEN = "golden"
FOLDER = Path(__file__).resolve().parent.parent / "build" / "initial"


def ensure_initial_model(deployed: Deployed, artifact: Path | None = None) -> bool:
    """Deploy the model.tar.gz `artifact` when the stage has no champion; returns whether it was deployed.

    By default, the artifact is built from the backbone and the initial head in training/. Waits for the end of the
    execution. Raises CommandError when the model was not promoted.
    """
    if ModelTable(deployed.model_table, boto3.client("dynamodb")).champion():
        return False
    if artifact is None:
        artifact = build_artifact(FOLDER)
    output = retrain.follow(deployed, retrain.start(deployed, _publish(deployed.ml_bucket, artifact)))
    if output["reason"] == "ChampionExists":
        return False
    if output["outcome"] != "promoted":
        raise CommandError(f"The initial model was not promoted ({output['reason']}): {output['verdict']}")
    console.print(f"In production: {output['model_version']}: {output['verdict']}")
    return True


def build_artifact(folder: Path) -> Path:
    """Write the initial model for the configured vehicles as model.tar.gz to `folder`; returns its path.

    The same code and configuration give the same bytes.
    """
    with tempfile.TemporaryDirectory(prefix="initial-model-") as temporary:
        root = Path(temporary)
        write_initial_model(root)
        files = {file.relative_to(root).as_posix(): file.read_bytes() for file in root.rglob("*") if file.is_file()}
    folder.mkdir(parents=True, exist_ok=True)
    artifact = folder / "model.tar.gz"
    artifact.write_bytes(pack(files))
    return artifact


def write_initial_model(folder: Path) -> None:
    """Write the files of the initial model, for the vehicles in vehicles.toml, to `folder`."""
    initial = load_initial_head(configured_vehicles(), imagenet_classes())
    backbone = load_backbone()
    metadata = {
        "version": f"initial-{hashlib.sha256(INITIAL_HEAD_FILE.read_bytes()).hexdigest()[:8]}",
        "temperature": initial.calibration.temperature,
        "other_offset": initial.calibration.other_offset,
        "threshold": initial.threshold,
        "side": backbone.side,
        "backbone": backbone.digest,
        "training_images": 0,
    }
    baseline = load_initial_baseline(initial.head.classes, initial.threshold)
    write_model(folder, initial.head, metadata, baseline)


def _publish(bucket: str, artifact: Path) -> dict[str, Any]:
    """Upload the artifact and its golden photos under the hash of the artifact; returns the input of retrain-model."""
    if not artifact.is_file():
        raise CommandError(f"There is no initial model {artifact}.")
    prefix = f"initial/{hashlib.sha256(artifact.read_bytes()).hexdigest()[:20]}"
    files = {f"{prefix}/model.tar.gz": artifact}
    golden = artifact.parent / GOLDEN
    photos = sorted(file for file in golden.glob("*/*") if file.is_file() and not file.name.startswith("."))
    files |= {f"{prefix}/{GOLDEN}/{file.relative_to(golden).as_posix()}": file for file in photos}
    s3: S3Client = boto3.client("s3")
    for key, file in files.items():
        s3.upload_file(str(file), bucket, key)
    console.print(f"  {artifact.stat().st_size / 1e6:,.1f} MB uploaded: {prefix[:16]}…/model.tar.gz")
    request = {"initial_model": f"s3://{bucket}/{prefix}/model.tar.gz"}
    return request | ({"golden": f"s3://{bucket}/{prefix}/{GOLDEN}/"} if photos else {})
