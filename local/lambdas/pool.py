"""Worker processes: one per concurrent invocation of a function, in ministack's pool.

Patch: `lambda_runtime._worker_class_for` returns `LambdaWorker`. ministack's own worker imports from the server's
site-packages, reports every exception as Runtime.HandlerError and then ends. On AWS the errorType is the name of
the exception's class, and the execution environment is reused ("Understanding the Lambda execution environment
lifecycle").
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from ministack.core import lambda_runtime
from ministack.services import lambda_svc

from local import checked_calls, patches
from local.lambdas import environment
from local.lambdas.report import Report
from local.lambdas.worker import MARKER
from local.settings import Settings

INIT_TIMEOUT_S = 30.0
WORKER_SCRIPT = Path(__file__).with_name("worker.py")
CALLS_SCRIPT = Path(__file__).with_name("worker_calls.py")


class WorkerExited(Exception):
    """The worker process ended before it returned a response."""


class LambdaWorker(lambda_runtime.Worker):  # type: ignore[misc]
    """A process that has imported the handler and runs one invocation at a time.

    ministack kills the process in `_proc` when a function is updated, also during an invocation. On AWS an invocation
    finishes with the old code. Therefore the process is stored in `_process`, and ends after the invocation.
    """

    settings: Settings

    def __init__(self, func_name: str, config: dict[str, Any], code_zip: bytes) -> None:
        super().__init__(func_name, config, code_zip)
        self._process: subprocess.Popen[bytes] | None = None
        self._pending_output = b""
        self._pending_result = b""
        self._state = threading.Lock()
        self._discarded = False
        self._stream = ""
        self._memory_mb = 0

    def run(self, event: Any, request_id: str, depth: int) -> dict[str, Any]:
        """Invoke the handler; returns {"body": value} or {"error": payload}, with "log": text and "report": Report.

        The error payload is that of AWS: errorType is a class name, Runtime.ImportModuleError, Sandbox.Timedout …
        """
        init_ms = None
        log = ""
        if self._process is None or self._process.poll() is not None:
            began = time.perf_counter()
            failure, log = self._initialise(request_id)
            init_ms = (time.perf_counter() - began) * 1000
            if failure is not None:
                return {**failure, "log": log, "report": self._report(0.0, init_ms)}
        began = time.perf_counter()
        answer = self._invoke(event, request_id, depth)
        duration_ms = (time.perf_counter() - began) * 1000
        return {**answer, "log": log + answer["log"], "report": self._report(duration_ms, init_ms)}

    def _report(self, duration_ms: float, init_ms: float | None) -> Report:
        return Report(self._stream, duration_ms, init_ms, self._memory_mb)

    def _initialise(self, request_id: str) -> tuple[dict[str, Any] | None, str]:
        """Start the process and import the handler; returns the failure or None, and the output."""
        self.end()
        try:
            answer, log = self._start()
        except (TimeoutError, WorkerExited, BrokenPipeError):
            code = self.end()
            text = f"RequestId: {request_id} Error: Runtime exited during initialisation (exit status {code})"
            return _failed("Runtime.ExitError", text, ""), self._output_so_far()
        if "error" not in answer:
            return None, log
        self.end()
        return {"error": answer["error"]}, log

    def _invoke(self, event: Any, request_id: str, depth: int) -> dict[str, Any]:
        timeout_s = float(self.config.get("Timeout", 3))
        try:
            call = {
                "request_id": request_id,
                "invoked_function_arn": self.config.get("FunctionArn", ""),
                "deadline_s": time.time() + timeout_s,
                "trace_id": _trace_id(self.func_name, depth),
            }
            self._send({"event": event, "call": call})
            answer, log = self._receive(request_id, timeout_s)
        except TimeoutError:
            self.end()
            text = f"RequestId: {request_id} Error: Task timed out after {timeout_s:.2f} seconds"
            return _failed("Sandbox.Timedout", text, self._output_so_far())
        except (WorkerExited, BrokenPipeError):
            code = self.end()
            reason = f"signal: {-code}" if code < 0 else f"exit status {code}"
            text = f"RequestId: {request_id} Error: Runtime exited with error: {reason}"
            return _failed("Runtime.ExitError", text, self._output_so_far())
        if answer.get("exit"):
            self.end()
        if "body" in answer:
            return {"body": json.loads(answer["body"]), "log": log}
        return {"error": answer["error"], "log": log}

    def end(self) -> int:
        """Kill the process group; returns the exit code, negative for a signal."""
        process, self._process = self._process, None
        if process is None:
            return 0
        for stream in (process.stdin, process.stdout):
            # A worker that has ended does not read what is still in the buffer.
            with contextlib.suppress(BrokenPipeError):
                if stream is not None:
                    stream.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
        if process.stderr is not None:
            self._pending_output += process.stderr.read()
            process.stderr.close()
        return code

    def end_if_discarded(self) -> None:
        """End the process when the function was updated or deleted during the invocation."""
        with self._state:
            if self._discarded:
                self.end()

    def _discard_tmpdir(self) -> None:
        with self._state:
            self._discarded = True
            if not self.in_use:
                self.end()

    def _start(self) -> tuple[dict[str, Any], str]:
        settings = self.settings
        folder = settings.work / "lambda"
        folder.mkdir(parents=True, exist_ok=True)
        code = environment.extract_archives([self.code_zip], folder / "code")
        contents = [lambda_svc._resolve_layer_zip(layer) for layer in self.config.get("Layers") or ()]
        archives = [content for content in contents if content]
        layers = environment.extract_archives(archives, folder / "layers") if archives else None
        _account, region = lambda_runtime._account_region_from_function_config(self.config)
        self._pending_output = self._pending_result = b""
        variables = environment.variables(
            self.config, code, lambda_runtime.execution_credentials(self.config), settings.port, region
        )
        self._stream = variables["AWS_LAMBDA_LOG_STREAM_NAME"]
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-u", str(WORKER_SCRIPT)],
            cwd=code,
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        init = {
            "handler": self.config.get("Handler", ""),
            "code_path": environment.code_path(code, layers),
            "sdk_path": [str(environment.create_sdk_folder(folder))],
            "calls": str(CALLS_SCRIPT) if settings.violations else "",
        }
        self._send(init)
        return self._receive("init", INIT_TIMEOUT_S)

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        self._process.stdin.flush()

    def _receive(self, request_id: str, timeout_s: float) -> tuple[dict[str, Any], str]:
        """Wait for the response; returns it and the output before it. Raises TimeoutError or WorkerExited."""
        process = self._process
        assert process is not None
        assert process.stdout is not None
        assert process.stderr is not None
        deadline = time.monotonic() + timeout_s
        end_of_output = f"{MARKER}{request_id}\n".encode()
        poller = select.poll()
        results, output = process.stdout.fileno(), process.stderr.fileno()
        poller.register(results, select.POLLIN)
        poller.register(output, select.POLLIN)
        open_pipes = {results, output}
        while b"\n" not in self._pending_result or (end_of_output not in self._pending_output and output in open_pipes):
            if results not in open_pipes and b"\n" not in self._pending_result:
                raise WorkerExited
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise TimeoutError
            for descriptor, _event in poller.poll(remaining * 1000):
                data = os.read(descriptor, 65536)
                if not data:
                    # A worker that ends closes both pipes; the other one may still contain output.
                    poller.unregister(descriptor)
                    open_pipes.discard(descriptor)
                elif descriptor == results:
                    self._pending_result += data
                else:
                    self._pending_output += data
        line, _, self._pending_result = self._pending_result.partition(b"\n")
        text, _, self._pending_output = self._pending_output.partition(end_of_output)
        answer = json.loads(line)
        self._memory_mb = answer["memory_mb"]
        if self.settings.violations is not None:
            checked_calls.write_violations(self.settings.violations, answer.pop("calls", ()))
        return answer, text.decode(errors="replace")

    def _output_so_far(self) -> str:
        text, self._pending_output = self._pending_output.decode(errors="replace"), b""
        return text


def _failed(kind: str, message: str, log: str) -> dict[str, Any]:
    return {"error": {"errorType": kind, "errorMessage": message}, "log": log}


def _trace_id(function: str, depth: int) -> str:
    """Return the X-Ray trace header. botocore sends it with each call; its lineage counts chained invocations."""
    root = f"1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]}"
    return f"Root={root};Parent={uuid.uuid4().hex[:16]};Sampled=0;Lineage=1:{function[:8]}:{depth}"


def install(settings: Settings) -> None:
    """Make every Python function run in a `LambdaWorker`."""
    LambdaWorker.settings = settings

    def worker_class(config: dict[str, Any]) -> type:
        runtime = str(config.get("Runtime", ""))
        return LambdaWorker if runtime.startswith("python") else original(config)

    original = patches.replace(lambda_runtime, "_worker_class_for", "config", worker_class)
