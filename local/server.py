"""The server process: `python -m local.server`, started by `local.lifecycle`."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any

from local import credentials
from local.lifecycle import STATE_REFUSED, STATUS_PATH
from local.persistence.errors import StateRefused
from local.settings import ACCOUNT_ID, CLIENT_VARIABLES, HOST, Settings

if TYPE_CHECKING:
    from local.sagemaker.service import SageMaker


def configure(settings: Settings) -> None:
    """Create the access key, and set the variables that ministack reads when it is imported."""
    # Only this user may read the files that this process and its children write.
    os.umask(0o077)
    key = credentials.random_key()
    credentials.write(key, settings.directory)
    temporary = settings.work / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    os.environ.update(
        {
            "BIND_HOST": HOST,
            "MINISTACK_HOST": HOST,
            "GATEWAY_PORT": str(settings.port),
            "MINISTACK_REGION": settings.region,
            "MINISTACK_ACCOUNT_ID": ACCOUNT_ID,
            "AUTH": "true" if settings.authorization else "false",
            "TMPDIR": str(temporary),
            "AWS_ACCESS_KEY_ID": key.access_key_id,
            "AWS_SECRET_ACCESS_KEY": key.secret_access_key,
            **CLIENT_VARIABLES,
            # Invocations that wait for a slot would count towards the limit, and be throttled above it.
            "LAMBDA_ACCOUNT_CONCURRENCY": "0",
            # No listeners on fixed ports, no Docker.
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
            "DOCKER_HOST": "unix:///nonexistent",
            # local.persistence saves the state instead.
            "PERSIST_STATE": "0",
            "S3_PERSIST": "0",
            "STATE_DIR": str(settings.work / "state"),
            "S3_DATA_DIR": str(settings.work / "s3"),
            "LOG_LEVEL": os.environ.get("LOCAL_AWS_LOG_LEVEL", "WARNING"),
        }
    )


async def serve(settings: Settings) -> None:
    """Restore the state, serve requests until SIGTERM or SIGINT, and save the state. Raises StateRefused."""
    from hypercorn.asyncio import serve as hypercorn_serve
    from hypercorn.config import Config
    from ministack import app as ministack_app

    from local import authorization, faults, install, security, signatures
    from local.persistence.saver import Saver

    sagemaker = install.apply_patches(settings)
    saver = Saver(settings)
    saver.restore()
    sagemaker.images.remove_unused()
    loop = asyncio.get_running_loop()
    startup_failed: asyncio.Future[None] = loop.create_future()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] == STATUS_PATH:
            status = json.dumps(
                {"region": settings.region, "starting": sagemaker.endpoints.starting(), **saver.describe()}
            ).encode()
            headers = [(b"content-type", b"application/json"), (b"content-length", str(len(status)).encode())]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": status})
            return
        if scope["type"] == "lifespan":
            try:
                await ministack_app.app(scope, receive, send)
            except Exception as error:
                # Hypercorn would continue, without schedules and with few threads.
                startup_failed.set_exception(error)
            return
        request = signatures.Request.from_scope(scope)
        with authorization.enforced(authorization.is_enforced_for(request.headers, request.query)):
            await ministack_app.app(scope, receive, send)

    served: Any = faults.with_faults(application, settings.faults) if settings.faults else application
    protected: Any = security.protected(served, settings)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    config = Config()
    config.bind = [f"{HOST}:{settings.port}"]
    config.keep_alive_timeout = 75
    config.loglevel = "WARNING"
    saver.start()
    serving = asyncio.ensure_future(hypercorn_serve(protected, config, shutdown_trigger=asyncio.Event().wait))
    threading.Thread(target=_resume, args=(settings, sagemaker), daemon=True).start()
    # Stopping does not wait for open requests: nobody has been told that they are done.
    ends: set[asyncio.Future[Any]] = {serving, startup_failed, asyncio.ensure_future(stopping.wait())}
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    for failed in (startup_failed, serving):
        if failed.done():
            failed.result()
    saver.stop()


def _resume(settings: Settings, sagemaker: SageMaker) -> None:
    """Start the model servers of restored endpoints as soon as this server responds."""
    while True:
        try:
            socket.create_connection((HOST, settings.port)).close()
        except OSError:
            time.sleep(0.02)
        else:
            sagemaker.endpoints.resume()
            return


def main() -> None:
    """Run the server; end its child processes even after an error."""
    settings = Settings.from_environment()
    configure(settings)
    code = 1
    try:
        asyncio.new_event_loop().run_until_complete(serve(settings))
        code = 0
    except StateRefused as error:
        print(error)
        code = STATE_REFUSED
    except Exception:
        traceback.print_exc()
    finally:
        from local import install

        install.end_processes()
        sys.stdout.flush()
        sys.stderr.flush()
        # os._exit does not wait for the threads of waiting executions.
        os._exit(code)


if __name__ == "__main__":
    main()
