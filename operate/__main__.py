"""The commands behind `make demo`, `make upload` and `make retrain`."""

import argparse
import logging
import sys
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from deploy import system
from deploy.errors import DeployError
from deploy.target import Target, connect
from operate import demo, retrain, show
from operate.errors import CommandError
from operate.show import console
from operate.stack import Deployed
from operate.tap import Tap
from operate.uploads import photos_in, send, summary
from training.stage import StagingError


def main() -> int:
    """Run one command; 0 when it succeeded, 1 with one clear line when not, 130 when it was interrupted."""
    parser = argparse.ArgumentParser(prog="operate", description="Work with the deployed system.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("demo", help="everything, from nothing to a table of decisions")
    commands.add_parser("retrain", help="train, compare and promote, followed state by state")
    upload = commands.add_parser("upload", help="upload photos and follow each to its decision")
    upload.add_argument("photos", type=Path)
    arguments = parser.parse_args()
    logging.getLogger("botocore.credentials").setLevel(logging.WARNING)
    try:
        target = connect()
        if arguments.command == "demo":
            demo.run(target)
        elif arguments.command == "retrain":
            _retrain(target)
        else:
            _upload(target, arguments.photos)
    except (CommandError, DeployError, StagingError, ClientError, BotoCoreError) as error:
        console.print(f"{arguments.command} failed: {error}", style="bold red", markup=False)
        return 1
    except KeyboardInterrupt:
        console.print(f"{arguments.command} was interrupted; what had been started in AWS goes on.")
        return 130
    return 0


def _retrain(target: Target) -> None:
    deployed = Deployed.of(system.outputs(target))
    output = retrain.follow(retrain.start(deployed, demo.staged_input(deployed)))
    console.print(f"{output['name']} answers at endpoint {deployed.endpoint_name}.")


def _upload(target: Target, photos: Path) -> None:
    deployed = Deployed.of(system.outputs(target))
    sources = photos_in(photos)
    console.print(f"{len(sources)} photos to s3://{deployed.uploads_bucket}/uploads/")
    with Tap(deployed.event_bus) as tap:
        journeys = send(deployed, tap, sources, show.live())
    show.table(journeys)
    figures = summary(journeys)
    show.figures(figures)
    if figures["lost"]:
        raise CommandError(f"{figures['lost']} photos have no outcome yet. Look at their executions' history.")


if __name__ == "__main__":
    sys.exit(main())
