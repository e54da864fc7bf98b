"""Print what the Now page shows, the model in production, the registered models, the audit and the settings."""

import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError
from rich.table import Table
from rich.text import Text

from console import now
from console.aws import Aws
from console.now import State
from console.now_figures import Unreadable
from console.now_reader import NowReader
from deploy.outputs import Deployed
from deploy.settings import SETTINGS, default_settings
from deploy.stack import Stack
from deploy.target import Target
from deploy.templates import load_template
from functions.shared.audit import WINDOW, AuditFigures
from functions.shared.aws import error_code
from functions.shared.champion import Champion, ModelTable
from functions.shared.drift_report import describe_drift
from functions.shared.drift_state import DriftTable
from functions.shared.photo_reader import PhotoReader
from functions.shared.times import timestamp
from operate import reference
from operate.model_names import short_name
from operate.terminal import console, duration

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

_LOOKS = {
    State.OK: ("green", "●"),
    State.UNKNOWN: ("yellow", "?"),
    State.ATTENTION: ("yellow", "▲"),
    State.ACT: ("bold red", "■"),
}
"""The colour and the shape of each state: readable without colours, too."""


def show(deployed: Deployed, target: Target, *, as_json: bool = False) -> None:
    """Print the status of a stage, what to do next last; with `as_json` only that of the Now page, as JSON."""
    figures = NowReader(deployed, Aws()).read()
    found = now.rows(figures)
    if as_json:
        print(json.dumps(now.as_json(figures, found), indent=2))
        return
    console.print(f"Stage {figures.stage}, account {figures.account}, {figures.region}", soft_wrap=True)
    print_rows(found)
    _print_models(deployed, figures.champion)
    for line in audit_lines(read_audit(deployed)):
        console.print(line, markup=False, soft_wrap=True)
    _print_settings(target)
    console.print(f"Next: {now.next_step(found)}", markup=False, soft_wrap=True)


def print_rows(found: Sequence[now.Row]) -> None:
    """Print each row: its state as a shape, a colour and a word, its text, and below it what to do."""
    grid = Table.grid(padding=(0, 2))
    for row in found:
        colour, shape = _LOOKS[row.state]
        text = Text(row.text)
        if row.command or row.action:
            text.append(f"\n→ {row.action or row.command}", style="bold" if row.state is State.ACT else "")
        grid.add_row(Text(f"{shape} {row.state.value}", style=colour), row.title, text)
    console.print(grid)


def _print_models(deployed: Deployed, champion: Champion | Unreadable | None) -> None:
    """Print the models; the rows above say why there is no champion."""
    if not isinstance(champion, Champion):
        return
    sagemaker: SageMakerClient = boto3.client("sagemaker")
    table = ModelTable(deployed.model_table, boto3.client("dynamodb"))
    grid = Table(title="Models, newest first; commands take these short names", title_justify="left")
    for heading in ("model", "verdict", "registered", "parent", "labels snapshot", "image"):
        grid.add_column(heading, overflow="fold")
    recorded = {model.model_version: model for model in table.all_promoted()}
    for package in _describe_newest_packages(sagemaker, deployed.app_name):
        metadata = package.get("CustomerMetadataProperties", {})
        version = metadata.get("model_version", "?")
        verdict = _verdict(package["ModelApprovalStatus"], recorded.get(version))
        grid.add_row(
            short_name(version),
            f"{verdict}, in production" if version == champion.model_version else verdict,
            f"{package['CreationTime'].astimezone(UTC):%Y-%m-%d %H:%M}",
            short_name(metadata["parent"]) if metadata.get("parent") else "—",
            _short_hash(metadata.get("snapshot")),
            _short_hash(metadata.get("image")),
        )
    console.print(grid)
    for model in sorted(recorded.values(), key=lambda model: str(model.rolled_back_at)):
        if model.rolled_back_at:
            line = f"{model.model_version} was rolled back at {model.rolled_back_at}: {model.rolled_back_reason}"
            console.print(line, markup=False)
    console.print(_champion_line(champion, datetime.now(UTC)))
    console.print(reference.describe(table.reference(), champion), markup=False, soft_wrap=True)
    drift = describe_drift(DriftTable(deployed.model_table, boto3.client("dynamodb")).read(), champion.model_version)
    for line in (drift.summary, *drift.notes):
        console.print(line, markup=False, soft_wrap=True)


def _verdict(approval: str, model: Champion | None) -> str:
    """Return the verdict on a registered model; `model` is its record, None when it was never in production."""
    if model is None:
        return approval.lower()
    verdict = "initial, not compared" if model.is_initial else approval.lower()
    return f"{verdict}, rolled back" if model.rolled_back_at else verdict


def _champion_line(champion: Champion, at: datetime) -> str:
    """Return one line about the model in production.

    >>> at = datetime(2026, 11, 27, 12, 5, 10, tzinfo=UTC)
    >>> _champion_line(Champion("v1", "v1", "s3://a", promoted_at="2026-11-27T12:00:00Z"), at)
    'In production: v1, for 5 min 10 s'
    >>> _champion_line(Champion("v1", "v1", "s3://a", origin="initial"), at)
    'In production: v1, an initial model, which was not compared with another'
    """
    since = champion.restored_at or champion.promoted_at
    line = f"In production: {champion.model_version}"
    if since:
        line += f", for {duration((at - datetime.fromisoformat(since)).total_seconds())}"
    if champion.restored_at:
        line += ", restored by a rollback"
    if champion.is_initial:
        line += ", an initial model, which was not compared with another"
    return line


def read_audit(deployed: Deployed) -> AuditFigures:
    """Return the figures of the audit."""
    since = timestamp(datetime.now(UTC) - WINDOW)
    return AuditFigures.of(PhotoReader(deployed.photo_table, boto3.client("dynamodb")).list_label_wanted(since))


def audit_lines(figures: AuditFigures) -> Iterator[str]:
    """Yield a line for each estimate of the audit, and one for the agreement of reviewers.

    >>> from functions.shared.audit import Agreement, Estimate
    >>> found = Estimate(600, 3, 0, 4, error=0.005, lower=0.001, upper=0.0145)
    >>> for line in audit_lines(AuditFigures("v1", {"v1": found}, {"bicycle": found}, Agreement(20, 0.95, 0.9))):
    ...     print(line)
    Audit of v1: 0.5% of its decisions are wrong (95%: 0.1% to 1.5%), 3 of 600 answers, 4 open
    Audit of v1, bicycle: 0.5% of its decisions are wrong (95%: 0.1% to 1.5%), 3 of 600 answers, 4 open
    Two reviewers agree on 95.0% of 20 photos, kappa 0.90
    """
    named = [*figures.by_model.items(), *((f"{figures.model_version}, {k}", v) for k, v in figures.by_vehicle.items())]
    for name, one in named:
        if one.error is None:
            yield f"Audit of {name}: no answers yet, {one.open} open"
        else:
            interval = f"{one.lower:.1%} to {one.upper:.1%}"
            counts = f"{one.wrong} of {one.answered} answers, {one.open} open"
            yield f"Audit of {name}: {one.error:.1%} of its decisions are wrong (95%: {interval}), {counts}"
    reviewers = figures.reviewers
    if reviewers.agreement is not None:
        kappa = "" if reviewers.kappa is None else f", kappa {reviewers.kappa:.2f}"
        yield f"Two reviewers agree on {reviewers.agreement:.1%} of {reviewers.photos} photos{kappa}"


def _print_settings(target: Target) -> None:
    """Print the settings of the stage: they keep their values until `make deploy` gets others."""
    present, defaults = Stack(target.app_stack).parameters(), default_settings(target, load_template("app"))
    grid = Table(title="Settings, with the variable of `make deploy` that changes each", title_justify="left")
    for heading in ("variable", "value", "default, where it differs"):
        grid.add_column(heading, overflow="fold")
    for variable, parameter in SETTINGS.items():
        value, default = present.get(parameter, "—"), defaults[parameter]
        grid.add_row(variable, value, default if default != value else "")
    console.print(grid)


def _describe_newest_packages(sagemaker: "SageMakerClient", group: str) -> list[Any]:
    """Return the descriptions of the ten newest model packages of a group; [] when the group does not exist."""
    try:
        listed = sagemaker.list_model_packages(
            ModelPackageGroupName=group, SortBy="CreationTime", SortOrder="Descending", MaxResults=10
        )["ModelPackageSummaryList"]
    except ClientError as error:
        if error_code(error) != "ValidationException":
            raise
        return []  # The first retraining creates the group.
    return [sagemaker.describe_model_package(ModelPackageName=found["ModelPackageArn"]) for found in listed]


def _short_hash(uri: str | None) -> str:
    """Return the first eight digits of the hash in the URI of a snapshot or an image.

    >>> _short_hash("s3://b/datasets/snapshots/0123456789abcdef/manifest.json")
    '01234567'
    >>> _short_hash("123456789012.dkr.ecr.eu-west-1.amazonaws.com/scones-dev@sha256:89abcdef01234567")
    '89abcdef'
    """
    found = re.findall(r"(?<=[/:])[0-9a-f]{16,}(?=/|$)", uri or "")
    return found[-1][:8] if found else "—"
