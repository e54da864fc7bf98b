"""`python -m console`: serve the console on 127.0.0.1, or with `--plain` run it in the terminal."""

import argparse
import os
import sys

from botocore.exceptions import BotoCoreError, ClientError

from console.answers import choices
from console.aws import Aws
from console.desk import UNDO_S
from deploy.outputs import Deployed

HOST = "127.0.0.1"
PORT = 8080


def main() -> int:
    """Run the console until it is interrupted. Returns the exit status: 0, or 1 with one line on stderr."""
    # `connect` selects the AWS endpoint of this process; no other part of the console does.
    from deploy.errors import DeployError
    from deploy.system import outputs
    from deploy.target import connect

    parser = argparse.ArgumentParser(prog="review", description="Review photos below the confidence threshold.")
    parser.add_argument("--plain", action="store_true", help="run in the terminal instead of the browser")
    parser.add_argument("--port", type=int, default=int(os.environ.get("REVIEW_PORT") or PORT))
    parser.add_argument(
        "--undo-s",
        type=float,
        default=float(os.environ.get("REVIEW_UNDO_S") or UNDO_S),
        help="seconds in which an answer can be undone; 0 disables undo",
    )
    arguments = parser.parse_args()
    try:
        deployed = Deployed.of(outputs(connect()))
    except (DeployError, ClientError, BotoCoreError, ValueError) as error:
        print(f"review failed: {error}", file=sys.stderr)
        return 1
    if arguments.plain:
        from console.terminal import run

        return run(deployed, Aws(), choices(), undo_s=arguments.undo_s)
    return serve(deployed, arguments.port, arguments.undo_s)


def serve(deployed: Deployed, port: int, undo_s: float) -> int:
    """Serve the pages until interrupted. Returns the exit status: 0, or 1 when the port is in use."""
    import socket

    import uvicorn

    from console.web.app import create_app
    from console.web.services import Services

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            print(f"review failed: port {port} is in use. Set REVIEW_PORT to a free one.", file=sys.stderr)
            return 1
    hosts = [f"{name}:{port}" for name in (HOST, "localhost")]
    app = create_app(Services.of(deployed, Aws(), choices(), undo_s=undo_s), hosts=hosts)
    print(f"The console is on http://{HOST}:{port}/  (Ctrl-C stops it)", flush=True)
    # No access log, because the paths of photos identify drivers. No proxy headers, because there is no proxy.
    uvicorn.run(
        app, host=HOST, port=port, log_level="warning", access_log=False, proxy_headers=False, server_header=False,
        timeout_graceful_shutdown=5,
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
