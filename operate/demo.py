"""The demo: deploy, stage data, train, upload photos, print the outcomes."""

import json
from pathlib import Path
from typing import Any

from deploy import system
from deploy.outputs import Deployed
from deploy.progress import one_line
from deploy.target import Target
from operate import retrain, stage_data, terminal
from operate.errors import CommandError
from operate.event_listener import EventListener
from operate.initial_model import ensure_initial_model
from operate.terminal import console
from operate.uploads import LOST, Source, UploadResult, find_photos, next_steps, summary, upload
from training.vehicles import configured_vehicles

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "build" / "data"
REPORT = ROOT / "build" / "reports" / "demo.json"
PHOTOS_PER_VEHICLE = 30
PHOTOS_PER_OTHER_CLASS = 4
OTHER_CLASSES = 6
SOURCES = {
    "cifar100": "CIFAR-100 photos",
    "photos": "your own photos",
    "generated": "DRAWN pictures: every step ran, but the model did not learn from photos",
}
"""Descriptions of the sources of training data."""


def run(target: Target) -> dict[str, Any]:
    """Run every step once and write the report; returns its figures. Raises CommandError when a photo was lost."""
    console.rule("1/5 Deploy", align="left")
    with one_line(f"Deploying {target.stage}", details=not target.is_local) as progress:
        deployed = Deployed.of(system.deploy(target, progress=progress))
    console.rule("2/5 Deploy the initial model, where there is no model yet", align="left")
    if not ensure_initial_model(deployed):
        console.print("  There is a champion already.")
    console.rule("3/5 Stage data", align="left")
    training_input = staged_input(deployed, target)
    console.rule("4/5 Train, compare and promote (retrain-model)", align="left")
    retrain.print_result(retrain.follow(deployed, retrain.start(deployed, training_input)))
    console.rule("5/5 Drivers upload photos", align="left")
    sources = demo_photos(DATA / "photos")
    with EventListener(deployed.event_bus) as listener:
        results = upload(deployed, listener, sources, terminal.print_upload)
    terminal.print_uploads(results)
    figures = {"trained_on": SOURCES[staged_source()], **summary(results)}
    terminal.print_figures(figures)
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    report = {**figures, "photos": [_as_json(result) for result in results]}
    REPORT.write_text(json.dumps(report, indent=2), encoding="utf-8")
    console.print(f"Report: {REPORT.relative_to(ROOT)}")
    if lost := [result.photo for result in results if result.outcome == LOST]:
        raise CommandError(
            f"{len(lost)} photos have no outcome, the first is {lost[0]}. Check the history of its execution."
        )
    terminal.print_next([*next_steps(results), "how the stage does now: make status"])
    return figures


def staged_input(deployed: Deployed, target: Target, force: bool = False) -> dict[str, Any]:
    """Stage the training data, publish it, and return the input of retrain-model.

    `force` accepts data that shows nothing but the vehicles. Raises CommandError instead of publishing drawn pictures
    in a real account.
    """
    staged = stage_data.stage(DATA, report=terminal.print_line, without_other=force)
    if staged.source == "generated" and not target.is_local:
        raise CommandError(
            "The CIFAR-100 archive could not be downloaded, and in a real account no model is trained on drawn "
            "pictures. Set CIFAR100_ARCHIVE to cifar-100-python.tar.gz, or TRAINING_PHOTOS to photos of your own."
        )
    return retrain.publish_training_input(deployed, staged.train)


def staged_source() -> str:
    """Return the source of the staged data: `cifar100`, `photos` or `generated`."""
    source: str = json.loads((DATA / "train" / "about.json").read_text(encoding="utf-8"))["source"]
    return source


def demo_photos(folder: Path) -> list[Source]:
    """Return test photos of every vehicle, photos of other classes, and one file that is not a photo."""
    vehicles = set(configured_vehicles())
    by_label: dict[str, list[Source]] = {}
    for source in find_photos(folder).sources:
        by_label.setdefault(source.label or "", []).append(source)
    others = [label for label in by_label if label not in vehicles][:OTHER_CLASSES]
    chosen: list[Source] = []
    for label, sources in by_label.items():
        if label in vehicles or label in others:
            chosen += sources[: PHOTOS_PER_VEHICLE if label in vehicles else PHOTOS_PER_OTHER_CLASS]
    return [*chosen, Source("broken.jpg", b"\xff\xd8\xff\xe0 not a JPEG file", "broken")]


def _as_json(result: UploadResult) -> dict[str, Any]:
    return {
        "photo": result.photo.address,
        "label": result.source.label,
        "outcome": result.outcome,
        "vehicle": result.decision.get("vehicle"),
        "loading_bay": result.decision.get("loading_bay"),
        "confidence": result.decision.get("confidence"),
        "reason": result.reason or None,
        "latency_ms": result.latency_ms,
    }
