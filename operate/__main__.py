"""The commands behind `make demo`, `make upload` and `make retrain`."""

import argparse
import logging
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
from botocore.exceptions import BotoCoreError, ClientError

import local
from console.aws import Aws
from deploy import system
from deploy.errors import DeployError
from deploy.outputs import Deployed
from deploy.target import Target, connect
from operate import bench, demo, retrain, rollback, show, status, threshold
from operate.champion import Champion
from operate.errors import CommandError
from operate.event_listener import Tap
from operate.initial_model import ensure_initial_model
from operate.photo_folders import describe_left_out
from operate.show import console
from operate.stage_data import StagingError
from operate.uploads import photos_in, send, summary

CHAMPIONS = demo.ROOT / "build" / "champions"
REPORTS = demo.ROOT / "build" / "reports"
EVALUATION = REPORTS / "evaluation.json"


def main() -> int:
    """Run one command; 0 when it succeeded, 1 with one clear line when not, 130 when it was interrupted."""
    parser = argparse.ArgumentParser(prog="operate", description="Work with the deployed system.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("demo", help="everything, from nothing to a table of decisions")
    retraining = commands.add_parser("retrain", help="train, compare and promote, followed state by state")
    retraining.add_argument(
        "--force",
        action="store_true",
        help="promote past the gate, though not past a bad probe; accept data without a photo of anything else",
    )
    retraining.add_argument("--dry-run", action="store_true", help="stop after the verdict")
    retraining.add_argument("--classes", default="", help="the vehicles to tell apart, comma-separated")
    commands.add_parser("initial-model", help="put the initial model into service where there is no champion")
    commands.add_parser("status", help="what runs, what waits, who is champion and where it comes from")
    back = commands.add_parser("rollback", help="put an earlier model back behind the endpoint")
    back.add_argument("--to", default="", help="which; the champion's predecessor if left out")
    back.add_argument("--reason", default=rollback.REASON, help="why, as it is recorded with the model rolled back")
    point = commands.add_parser("threshold", help="what the champion's threshold means, and what another one would")
    point.add_argument("--at", default="", help="a threshold from 0 to 1, or `model` for the model's own")
    commands.add_parser("bench", help="latency, throughput and memory, each beside its baseline")
    evaluate = commands.add_parser("evaluate", help="the champion on a folder of class folders")
    evaluate.add_argument("photos", type=Path)
    upload = commands.add_parser("upload", help="upload photos and follow each to its decision")
    upload.add_argument("photos", type=Path)
    arguments = parser.parse_args()
    logging.getLogger("botocore.credentials").setLevel(logging.WARNING)
    try:
        target = connect()
        if arguments.command == "demo":
            demo.run(target)
        elif arguments.command == "retrain":
            _retrain(target, arguments)
        elif arguments.command == "initial-model":
            ensure_initial_model(Deployed.of(system.outputs(target)))
        elif arguments.command == "status":
            status.show(Deployed.of(system.outputs(target)))
        elif arguments.command == "rollback":
            deployed = Deployed.of(system.outputs(target))
            rollback.show(rollback.roll_back(deployed, arguments.to, arguments.reason))
        elif arguments.command == "threshold":
            _threshold(target, arguments.at)
        elif arguments.command == "bench":
            _bench(target)
        elif arguments.command == "evaluate":
            return _evaluate(target, arguments.photos)
        else:
            _upload(target, arguments.photos)
    except (CommandError, DeployError, StagingError, ClientError, BotoCoreError) as error:
        console.print(f"{arguments.command} failed: {error}", style="bold red", markup=False)
        return 1
    except KeyboardInterrupt:
        console.print(f"{arguments.command} was interrupted; what had been started in AWS goes on.")
        return 130
    return 0


def _retrain(target: Target, arguments: argparse.Namespace) -> None:
    deployed = Deployed.of(system.outputs(target))
    training_input = demo.staged_input(deployed, target, force=arguments.force)
    wishes = {"force": arguments.force, "dry_run": arguments.dry_run}
    if arguments.classes:
        wishes["classes"] = [name.strip() for name in arguments.classes.split(",")]
    retrain.conclude(retrain.follow(retrain.start(deployed, {**training_input, **wishes})))


def _evaluate(target: Target, photos: Path) -> int:
    champion = Champion.of(Deployed.of(system.outputs(target)).endpoint_name)
    console.print(f"Champion {champion.name}")
    command = [sys.executable, "-m", "operate.evaluate", "--model", str(champion.download(CHAMPIONS))]
    return subprocess.run([*command, "--photos", str(photos.expanduser()), "--out", str(EVALUATION)]).returncode


def _threshold(target: Target, at: str) -> None:
    outputs = system.outputs(target)
    Deployed.of(outputs)
    report = REPORTS / "threshold.json"
    threshold.run(Deployed.of(outputs), Aws(), report, at=at, is_local=target.is_local)


def _bench(target: Target) -> None:
    deployed = Deployed.of(system.outputs(target))
    photos = [source for source in demo.mixed_photos(demo.DATA / "photos") if source.label != "broken"]
    bench.run(deployed, photos, REPORTS / "bench.json", memory_of(target))


def memory_of(target: Target) -> Callable[[], int] | None:
    """How to read the memory of the embedded AWS and all its processes, in bytes; None for a real account."""
    server = local.running() if target.is_local else None
    if server is None:
        return None
    root = psutil.Process(server.pid)

    def read() -> int:
        total = 0
        for process in [root, *root.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                total += process.memory_full_info().uss
        return total

    return read


def _upload(target: Target, photos: Path) -> None:
    deployed = Deployed.of(system.outputs(target))
    selection = photos_in(photos)
    for line in describe_left_out(selection.left_out):
        show.line(line)
    sources = selection.sources
    console.print(f"{len(sources)} photos to s3://{deployed.uploads_bucket}/uploads/")
    if all(source.label is None for source in sources):
        console.print("No class folders, so the photos have no labels and there is no accuracy.")
    with Tap(deployed.event_bus) as tap:
        journeys = send(deployed, tap, sources, show.live())
    show.table(journeys)
    figures = summary(journeys)
    show.figures(figures)
    if figures["lost"]:
        raise CommandError(f"{figures['lost']} photos have no outcome yet. Look at their executions' history.")


if __name__ == "__main__":
    sys.exit(main())
