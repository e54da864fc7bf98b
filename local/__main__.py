"""`python -m local up | down | status | credentials`."""

from __future__ import annotations

import argparse
import os
import sys
import time

from local import clients
from local.lifecycle import LocalAwsError, running, start, stop
from local.persistence import folder
from local.persistence.errors import FORGET
from local.restored import print_restored
from local.settings import Settings


def main() -> int:
    """Run one command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m local", description="The embedded AWS of this checkout.")
    parser.add_argument("command", choices=("up", "down", "status", "credentials"))
    parser.add_argument("--data", action="store_true", help="with down: forget the saved state")
    arguments = parser.parse_args()
    settings = Settings.from_environment()
    try:
        if arguments.command == "down":
            return _down(settings, forget=arguments.data)
        return {"up": _up, "status": _status, "credentials": _credentials}[arguments.command](settings)
    except LocalAwsError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; nothing was left running.", file=sys.stderr)
        return 130


def _up(settings: Settings) -> int:
    began = time.monotonic()
    server, started = start(settings)
    if started:
        print(f"Embedded AWS is up on {server.url} (region {server.region}, {time.monotonic() - began:.1f} s).")
        print_restored(server, settings)
    else:
        print(f"Embedded AWS is already running on {server.url} (region {server.region}).")
    return 0


def _down(settings: Settings, *, forget: bool) -> int:
    stopped = stop(settings, forget=forget)
    print("Embedded AWS stopped." if stopped else "Embedded AWS was not running.")
    state = folder.StateFolder(settings.state)
    unsaved = state.unsaved_since()
    if forget:
        print("Its state was forgotten: objects, table items, messages, models, endpoints, stacks.")
        return 0
    if unsaved is not None:
        reason = f"The reason is in {settings.log}." if stopped else "It was killed."
        print(f"Changes after {folder.time_text(unsaved)} were not saved. {reason}")
    if state.exists():
        print(
            "Kept for the next start: objects, table items, messages, models, endpoints, stacks "
            f"({folder.size_text(state.size_bytes())} in {state.path}). Forget them with: {FORGET}"
        )
    return 1 if stopped and unsaved is not None else 0


def _status(settings: Settings) -> int:
    server = running(settings)
    if server is None:
        print(f"Embedded AWS is not running on port {settings.port}.")
        return 1
    print(
        f"Embedded AWS runs on {server.url}: region {server.region}, process {server.pid}, files in {server.directory}"
    )
    return 0


def _credentials(settings: Settings) -> int:
    server = running(settings)
    if server is None:
        print(f"The embedded AWS is not running on port {settings.port}; start it with: make up", file=sys.stderr)
        return 1
    print(clients.exports(server, os.environ))
    return 0


if __name__ == "__main__":
    sys.exit(main())
