"""The endpoint, `docker run image serve`: one process per core serves the model in model/.

Settings: SAGEMAKER_BIND_TO_PORT, by default 8080. Ends with status 1 when the model cannot be loaded; a process that
ends later is started again. On SIGTERM, requests that were accepted are answered first.
"""

import os
import socket
import sys
import traceback

import uvicorn
from starlette.applications import Starlette
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from container.privileges import drop_privileges

# SageMaker sends SIGKILL 30 s after SIGTERM ("Custom Inference Code with Hosting Services").
GRACE_S = 25
# Longer than a client keeps an idle connection: closing one could lose the request that it sends at that moment.
KEEP_ALIVE_S = 3600
# A process whose threads compute may answer late; the default of 5 s would end it.
HEALTH_CHECK_S = 30


def main(_arguments: list[str]) -> int:
    """Serve until SIGTERM; return the exit status."""
    drop_privileges()
    config = uvicorn.Config(
        "container.serve:create_app",
        factory=True,
        host=os.environ.get("BIND_HOST", "0.0.0.0"),  # noqa: S104  # SageMaker calls the container from outside
        port=int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080")),
        workers=count_cores(),
        lifespan="on",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_worker_healthcheck=HEALTH_CHECK_S,
    )
    supervisor = Multiprocess(config, sockets=[bind(config)])
    supervisor.run()
    return 1 if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes) else 0


def bind(config: uvicorn.Config) -> socket.socket:
    """Return a bound socket whose connections send small answers at once.

    asyncio switches Nagle's algorithm off only for sockets with an explicit protocol, which those of uvicorn lack: each
    answer would wait 40 ms for the acknowledgement of its headers.
    """
    bound = config.bind_socket()
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return bound


def create_app() -> Starlette:
    """Return the application of one process. Ends the server when it cannot be imported."""
    try:
        from container.app import create_app as create
    except Exception:
        traceback.print_exc()
        sys.exit(STARTUP_FAILURE)
    return create()


def count_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
