"""`python -m console`: serve the console on 127.0.0.1, or with `--plain` run it in the terminal."""

import argparse
import contextlib
import getpass
import json
import os
import sys

from botocore.exceptions import BotoCoreError, ClientError

from console.answers import choices
from console.aws import Aws
from console.desk import UNDO_S
from console.identity import Reviewer, find_reviewer, is_name
from console.permissions import policy
from deploy.outputs import Deployed

HOST = "127.0.0.1"
PORT = 8080


def main() -> int:
    """Run the console until it is interrupted. Returns the exit status: 0, or 1 with one line on stderr.

    REVIEWER names the IAM user on the embedded AWS; the pages show it, unless it cannot be a displayed name.
    """
    # `connect` selects the AWS endpoint of this process; no other part of the console does.
    from deploy.errors import DeployError
    from deploy.system import outputs
    from deploy.target import connect, use_own_identity

    parser = argparse.ArgumentParser(prog="review", description="Review photos below the confidence threshold.")
    parser.add_argument("--plain", action="store_true", help="run in the terminal instead of the browser")
    parser.add_argument(
        "--policy", action="store_true", help="print the IAM policy that a reviewer needs, as JSON, and exit"
    )
    parser.add_argument("--port", type=int, default=int(os.environ.get("REVIEW_PORT") or PORT))
    parser.add_argument(
        "--undo-s",
        type=float,
        default=float(os.environ.get("REVIEW_UNDO_S") or UNDO_S),
        help="seconds in which an answer can be undone; 0 disables undo",
    )
    parser.add_argument(
        "--blind",
        action="store_true",
        help="in the terminal, do not show the model's prediction before the answer",
    )
    parser.add_argument("--operator", action="store_true", help="show the buttons of operators, too")
    arguments = parser.parse_args()
    wanted = os.environ.get("REVIEWER", "")
    try:
        # With --policy, the standard output is the policy alone.
        with contextlib.redirect_stdout(sys.stderr if arguments.policy else sys.stdout):
            target = connect()
        deployed = Deployed.of(outputs(target))
        if arguments.policy:
            print(json.dumps(policy(deployed), indent=2))
            return 0
        if target.is_local:
            use_own_identity(target, wanted or user_name(), policy(deployed, operator=arguments.operator))
        aws = Aws()
        reviewer = find_reviewer(aws.sts, wanted if is_name(wanted) else "")
    except (DeployError, ClientError, BotoCoreError, ValueError) as error:
        print(f"review failed: {error}", file=sys.stderr)
        return 1
    print(f"Reviewing as {reviewer.name}, AWS identity {reviewer.id}", flush=True)
    if arguments.plain:
        from console.terminal import run

        return run(deployed, aws, choices(), reviewer, undo_s=arguments.undo_s, blind=arguments.blind)
    return serve(deployed, aws, reviewer, arguments.port, arguments.undo_s, operator=arguments.operator)


def user_name() -> str:
    """Return the name of the user of this process, `reviewer` when the operating system knows none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # neither the variables nor the list of users name one
        return "reviewer"


def serve(deployed: Deployed, aws: Aws, reviewer: Reviewer, port: int, undo_s: float, *, operator: bool = False) -> int:
    """Serve the pages until interrupted. Returns the exit status: 0, or 1 when the port is in use."""
    import socket

    import uvicorn

    from console.web.access import LocalAccess
    from console.web.app import create_app
    from console.web.logins import Logins
    from console.web.services import Services

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            print(
                f"review failed: port {port} is in use. If a console runs there, its terminal has the address to open. "
                "Otherwise set REVIEW_PORT to a free one.",
                file=sys.stderr,
            )
            return 1
    hosts = [f"{name}:{port}" for name in (HOST, "localhost")]
    logins = Logins(f"http://{HOST}:{port}", announce=lambda line: print(line, flush=True))
    services = Services.of(deployed, aws, choices(), reviewer, undo_s=undo_s, operator=operator)
    app = create_app(LocalAccess(services, logins, hosts=hosts))
    print(
        f"The console runs (Ctrl-C stops it). Open it with this address, which works once:\n{logins.start_address}",
        flush=True,
    )
    # No access log, because the paths of photos identify drivers and the start address has a token. No proxy headers,
    # because there is no proxy.
    uvicorn.run(
        app, host=HOST, port=port, log_level="warning", access_log=False, proxy_headers=False, server_header=False,
        timeout_graceful_shutdown=5,
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
