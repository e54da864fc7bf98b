"""`python -m local up | down | status | credentials`."""

from __future__ import annotations

import argparse
import os
import sys
import time

from local import clients
from local.lifecycle import LocalAwsError, running, start, stop
from local.settings import Settings


def main() -> int:
    """Run one command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m local", description="The embedded AWS of this checkout.")
    parser.add_argument("command", choices=("up", "down", "status", "credentials"))
    command = parser.parse_args().command
    settings = Settings.from_environment()
    try:
        return {"up": _up, "down": _down, "status": _status, "credentials": _credentials}[command](settings)
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
    else:
        print(f"Embedded AWS is already running on {server.url} (region {server.region}).")
    return 0


def _down(settings: Settings) -> int:
    print("Embedded AWS stopped." if stop(settings) else "Embedded AWS was not running.")
    return 0


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
