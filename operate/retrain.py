"""Publish training data, start retrain-model and print its result."""

import hashlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from PIL import Image
from rich.markup import escape
from rich.table import Table

from deploy.outputs import Deployed
from functions.shared.checks import Check
from operate import executions
from operate.errors import CommandError
from operate.rollout import RolloutDisplay
from operate.terminal import console
from training import dataset
from training.holdout import split_holdout
from training.vehicles import OTHER, configured_vehicles

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

WORKFLOW = "retrain-model"
GOLDEN_PER_CLASS = 6
COMPARED = (
    ("accuracy", "accuracy", ".3f"), ("ece", "calibration error", ".3f"), ("auroc", "outlier AUROC", ".3f"),
    ("coverage", "coverage at threshold", ".3f"), ("threshold", "threshold", ".3f"),
    ("latency_ms", "latency, ms", ".2f"), ("size_mb", "size, MB", ".2f"),
)  # fmt: skip

# What the reasons in functions/build_dataset/skipped.py mean.
SKIPPED_LABELS = {
    "Malformed": "not as events/contracts/label.json describes a label",
    "Unreadable": "S3 refuses to return it: archived, or encrypted with another key",
    "WrongPhoto": "about another photo than its key",
    "WrongIdentity": "names another reviewer than its key",
    "NoRecord": "the stage has no record of the photo",
    "NoSuchRequest": "no such review was requested",
    "WrongTime": "answered before the request, or after it was stored",
    "NoPicture": "no picture that the reviewer saw",
    "OverReviewerLimit": "older than the newest MAX_LABELS_PER_REVIEWER of the reviewer",
    "RejectedPhoto": "the photo was rejected",
    "Corrected": "the reviewer answered again",
    "Outvoted": "most reviewers gave another answer, or as many, and theirs routed the driver",
    "Contested": "reviewers disagree, without a majority, and no answer routed the driver",
    "Unusable": "the reviewers found the photo unusable",
    "Ambiguous": "several vehicles, and the reviewers could not say which counts",
    "UnknownVehicle": "names no vehicle of this retraining",
    "OverDriverLimit": "older than the newest MAX_LABELS_PER_DRIVER of the driver",
}


def publish_training_input(deployed: Deployed, train: Path) -> dict[str, Any]:
    """Upload the staged data set and its golden photos under the hashes of their contents.

    Returns the input of retrain-model, with the deployed image. An object that exists is not uploaded again. Scheduled
    retrainings use the input of the last promotion instead.
    """
    s3: S3Client = boto3.client("s3")
    files = sorted(file for file in train.iterdir() if file.is_file())
    if not files:
        raise CommandError(f"There is no staged data in {train}. Run `make stage`.")
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode())
        digest.update(file.read_bytes())
    name = digest.hexdigest()[:20]
    prefix, golden = f"datasets/base/{name}", f"golden/{name}"
    for file in files:
        key = f"{prefix}/{file.name}"
        if s3.list_objects_v2(Bucket=deployed.ml_bucket, Prefix=key)["KeyCount"]:
            continue
        s3.upload_file(str(file), deployed.ml_bucket, key)
        console.print(f"  {file.stat().st_size / 1e6:,.1f} MB uploaded: datasets/base/{name[:8]}…/{file.name}")
    existing = {
        found["Key"]
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=deployed.ml_bucket, Prefix=f"{golden}/")
        for found in page.get("Contents", ())
    }
    for photo, content in golden_photos(train):
        if f"{golden}/{photo}" not in existing:
            s3.put_object(Bucket=deployed.ml_bucket, Key=f"{golden}/{photo}", Body=content, ContentType="image/png")
    return {
        "dataset": f"s3://{deployed.ml_bucket}/{prefix}/",
        "image": deployed.image,
        "hyperparameters": {},
        "golden": f"s3://{deployed.ml_bucket}/{golden}/",
    }


def golden_photos(train: Path) -> Iterator[tuple[str, bytes]]:
    """Yield holdout photos for the probe of a new endpoint, as (class/name, PNG); a class is a vehicle or `other`."""
    _, holdout = split_holdout(dataset.load(train))
    vehicles = configured_vehicles()
    by_class = {**{name: holdout.with_labels([name]) for name in vehicles}, OTHER: holdout.without_labels(vehicles)}
    for name, photos in by_class.items():
        # At equal distances, because the photos of `other` are sorted by class.
        for number in range(0, len(photos), max(1, len(photos) // GOLDEN_PER_CLASS))[:GOLDEN_PER_CLASS]:
            file = io.BytesIO()
            Image.fromarray(photos.images[number]).save(file, "PNG")
            yield f"{name}/{number:05}.png", file.getvalue()


def start(deployed: Deployed, training_input: dict[str, Any]) -> str:
    """Start retrain-model; returns the execution's ARN."""
    return executions.start(deployed.retrain_model_arn, training_input)


def follow(deployed: Deployed, execution: str) -> dict[str, Any]:
    """Follow an execution of retrain-model; returns its output. Raises CommandError when it did not succeed.

    While the new model is put into service, it prints the share of the traffic, the time left and the alarms.
    """
    note = "The previous model, if there was one, is still in production. "
    return executions.follow(execution, WORKFLOW, note, RolloutDisplay(deployed.endpoint_name))


def print_result(output: dict[str, Any]) -> None:
    """Print the labels, the figures of challenger, champion and reference model, the checks, and the verdict."""
    if output.get("labels") or output.get("skipped_labels"):
        console.print(_labels_table(output))
    if output.get("disagreeing_reviewers"):
        console.print(_reviewers_table(output["disagreeing_reviewers"]))
    challenger, champion = output.get("challenger"), output.get("compared_with")
    if challenger:
        models = {"challenger": challenger, "champion": champion}
        reference = output.get("reference")
        if reference and champion and reference["model_version"] != champion["model_version"]:
            models["reference"] = reference["metrics"]
        grid = _table("On the frozen holdout", {"": "left", **dict.fromkeys(models, "right")})
        for key, title, number_format in COMPARED:
            grid.add_row(title, *(_format_figure(model, key, number_format) for model in models.values()))
        console.print(grid)
    if checks := [Check.from_state(row) for row in output.get("checks") or ()]:
        console.print(_checks_table(checks))
    outcome = output["outcome"]
    reason = f" ({output['reason']})" if output.get("reason") else ""
    console.print(f"[{'green' if outcome == 'promoted' else 'yellow'}]{outcome}{reason}[/]: {output['verdict']}")


def next_steps(output: dict[str, Any]) -> list[str]:
    """Return what to do after a retraining, one line for each command."""
    if output["outcome"] == "promoted":
        return ["see it decide: make upload PHOTOS=<file or folder>", "if it decides wrongly: make rollback"]
    return ["the models and the labels since the champion: make status"]


def _labels_table(output: dict[str, Any]) -> Table:
    grid = _table("The labels", {"": "left", "labels": "right", "meaning": "left"})
    new = output.get("new_labels") or 0
    grid.add_row("used", str(output.get("labels") or 0), f"{new} of them new since the champion")
    for reason, count in (output.get("skipped_labels") or {}).items():
        grid.add_row(escape(reason), str(count), SKIPPED_LABELS.get(reason, ""))
    return grid


def _reviewers_table(reviewers: dict[str, dict[str, int]]) -> Table:
    columns = {"reviewer": "left", **dict.fromkeys(("photos", "outvoted", "contested"), "right")}
    grid = _table("Reviewers who disagree with others", columns)
    for reviewer, row in reviewers.items():
        grid.add_row(escape(reviewer), *(str(row[name]) for name in ("votes", "outvoted", "contested")))
    return grid


def _checks_table(checks: Sequence[Check]) -> Table:
    grid = _table("The checks", {"check": "left", "value": "right", "limit": "right", "passed": "left"})
    for check in checks:
        value, limit = check.numbers
        passed = "[green]yes[/]" if check.passed else "[red]no[/]"
        grid.add_row(escape(check.check), value, f"{check.direction} {limit}", passed)
    return grid


def _table(title: str, columns: dict[str, str]) -> Table:
    """Return a table; `columns` maps each heading to its justification."""
    grid = Table(title=title, title_justify="left")
    for heading, justify in columns.items():
        grid.add_column(heading, justify=justify)  # type: ignore[arg-type]  # a literal of rich
    return grid


def _format_figure(model: dict[str, Any] | None, key: str, number_format: str) -> str:
    value = (model or {}).get(key)
    return "—" if value is None else format(value, number_format)
