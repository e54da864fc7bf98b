"""The main job from nothing: deploy, stage data, train, upload photos, show what became of each."""

import json
from pathlib import Path
from typing import Any

from deploy import system, training_source
from deploy.outputs import Deployed
from deploy.target import Target
from operate import retrain, show, stage_data
from operate.errors import CommandError
from operate.event_listener import Tap
from operate.initial_model import ensure_initial_model
from operate.show import console
from operate.uploads import LOST, Source, photos_in, send, summary
from training.vehicles import configured_vehicles

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "build" / "data"
REPORT = ROOT / "build" / "reports" / "demo.json"
PER_VEHICLE = 30
PER_OTHER = 4
OTHERS = 6
SOURCES = {
    "cifar100": "CIFAR-100 photos",
    "photos": "your own photos",
    "generated": "DRAWN pictures: the machinery was exercised, photos were not learned",
}
"""What the training data is, in words."""


def run(target: Target) -> dict[str, Any]:
    """Everything the system is for, once. Writes the report, returns it. Raises CommandError when a photo was lost."""
    console.rule("1/5 Deploy", align="left")
    deployed = Deployed.of(system.deploy(target, progress=console.print))
    console.rule("2/5 Put the initial model behind the endpoint, where there is no model yet", align="left")
    if not ensure_initial_model(deployed):
        console.print("  There is a champion already.")
    console.rule("3/5 Stage data", align="left")
    training_input = staged_input(deployed, target)
    console.rule("4/5 Train, compare and promote (retrain-model)", align="left")
    retrain.conclude(retrain.follow(retrain.start(deployed, training_input)))
    console.rule("5/5 Drivers upload photos", align="left")
    sources = mixed_photos(DATA / "photos")
    with Tap(deployed.event_bus) as tap:
        journeys = send(deployed, tap, sources, show.live())
    show.table(journeys)
    figures = {"trained_on": SOURCES[staged_source()], **summary(journeys)}
    show.figures(figures)
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps({**figures, "photos": [_as_json(j) for j in journeys]}, indent=2), encoding="utf-8")
    console.print(f"Report: {REPORT.relative_to(ROOT)}")
    if lost := [journey.photo for journey in journeys if journey.outcome == LOST]:
        raise CommandError(
            f"{len(lost)} photos have no outcome, the first is {lost[0]}. Look at its execution's history."
        )
    return figures


def staged_input(deployed: Deployed, target: Target, force: bool = False) -> dict[str, Any]:
    """Stage the training data and code, publish both, and return the input of retrain-model.

    `force` accepts data that shows nothing but the vehicles. Raises CommandError instead of publishing drawn pictures
    in a real account.
    """
    staged = stage_data.stage(DATA, report=show.line, without_other=force)
    if staged.source == "generated" and not target.is_local:
        raise CommandError(
            "There is no CIFAR-100 archive and no network to download it, and no model is trained on drawn pictures in "
            "a real account. Set CIFAR100_ARCHIVE to cifar-100-python.tar.gz, or TRAINING_PHOTOS to photos of your own."
        )
    archive = ROOT / "build" / "source" / "sourcedir.tar.gz"
    archive.parent.mkdir(parents=True, exist_ok=True)
    training_source.build(archive)
    return retrain.publish_training_input(deployed, staged.train, archive)


def staged_source() -> str:
    """Where the staged data comes from, as staging noted it."""
    source: str = json.loads((DATA / "train" / "about.json").read_text(encoding="utf-8"))["source"]
    return source


def mixed_photos(folder: Path) -> list[Source]:
    """Test photos of every vehicle, photos of other things, and one file that is no photo."""
    vehicles = set(configured_vehicles())
    by_label: dict[str, list[Source]] = {}
    for source in photos_in(folder).sources:
        by_label.setdefault(source.label or "", []).append(source)
    others = [label for label in by_label if label not in vehicles][:OTHERS]
    chosen: list[Source] = []
    for label, sources in by_label.items():
        if label in vehicles or label in others:
            chosen += sources[: PER_VEHICLE if label in vehicles else PER_OTHER]
    return [*chosen, Source("broken.jpg", b"\xff\xd8\xff\xe0 this was a photo once", "broken")]


def _as_json(journey: Any) -> dict[str, Any]:
    return {
        "photo": str(journey.photo),
        "label": journey.source.label,
        "outcome": journey.outcome,
        "vehicle": journey.decision.get("vehicle"),
        "loading_bay": journey.decision.get("loading_bay"),
        "confidence": journey.decision.get("confidence"),
        "reason": journey.reason or None,
        "latency_ms": journey.latency_ms,
    }
