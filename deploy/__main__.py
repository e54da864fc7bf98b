"""The commands of `make deploy` and `make destroy`."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from deploy import removal, system
from deploy.changes import accept, confirm
from deploy.console import deploy_console, remove_console
from deploy.errors import DeployError
from deploy.image import build_with_engine
from deploy.openapi import describe_driver_api
from deploy.people import deploy_people, remove_people
from deploy.progress import one_line
from deploy.target import connect
from deploy.templates import load_alarms, render
from deploy.templates.alarms import runbook

# The pages in docs/ that a command prints.
PAGES: dict[str, Callable[[], str]] = {
    "alarms": lambda: runbook(load_alarms()),
    "openapi": lambda: json.dumps(describe_driver_api(), indent=2) + "\n",
}
DEPLOYING: dict[str, Callable[..., dict[str, str]]] = {
    "deploy": system.deploy,
    "people": deploy_people,
    "console": deploy_console,
}
REMOVING: dict[str, Callable[..., None]] = {"people": remove_people, "console": remove_console}


def main() -> int:
    """Run one command; return the exit status: 0, or 1 after an error, which is printed to stderr."""
    parser = argparse.ArgumentParser(prog="deploy", description="Deploy or remove the system.")
    commands = parser.add_subparsers(dest="command", required=True)
    deploying = commands.add_parser("deploy", help="create or update everything")
    deploying.add_argument("--dry-run", action="store_true", help="print what would change, and change nothing")
    deploying.add_argument("--yes", action="store_true", help="change an account without asking")
    deploying.add_argument("--details", action="store_true", help="print every step, and the outputs of the stack")
    destroy = commands.add_parser("destroy", help="remove everything except the data")
    destroy.add_argument("--data", action="store_true", help="also photos, their records, models and labels")
    people = commands.add_parser("people", help="create or update the policies for people; needs an administrator")
    people.add_argument("--remove", action="store_true", help="remove them")
    people.add_argument("--yes", action="store_true", help="change an account without asking")
    console = commands.add_parser("console", help="create or update the console on AWS; needs an administrator")
    console.add_argument("--remove", action="store_true", help="remove it")
    console.add_argument("--yes", action="store_true", help="change an account without asking")
    commands.add_parser("outputs", help="print the stack's outputs as JSON")
    commands.add_parser("image", help="build the image of jobs and endpoints with docker or podman")
    commands.add_parser("alarms", help="print docs/alarms.md")
    commands.add_parser("openapi", help="print docs/driver-api.json")
    rendering = commands.add_parser("render", help="write the rendered CloudFormation templates")
    rendering.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    try:
        if arguments.command == "render":
            for file in render(arguments.folder):
                print(file)
            return 0
        if arguments.command in PAGES:
            print(PAGES[arguments.command](), end="")
            return 0
        if arguments.command == "image":
            print(build_with_engine())
            return 0
        target = connect()
        if arguments.command == "deploy" and arguments.dry_run:
            system.plan(target)
        elif getattr(arguments, "remove", False):
            REMOVING[arguments.command](target)
        elif arguments.command in DEPLOYING:
            deploy = DEPLOYING[arguments.command]
            # On AWS the steps are printed, because a person approves changes between them.
            details = not target.is_local or bool(getattr(arguments, "details", True))
            approve = accept if target.is_local else confirm(f"account {target.account}", yes=arguments.yes)
            with one_line(f"Deploying {target.stage}", details=details) as progress:
                outputs = deploy(target, progress=progress, approve=approve)
            if details:
                for name, value in outputs.items():
                    print(f"  {name:<26} {value}")
        elif arguments.command == "destroy":
            removal.confirm_removal(target, with_data=arguments.data)
            removal.destroy(target, with_data=arguments.data)
        else:
            print(json.dumps(system.outputs(target), indent=2))
    except (DeployError, ClientError, BotoCoreError) as error:
        print(f"{arguments.command} failed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
