"""The runtime in a Lambda worker process: standard library only, started as `python -I -S worker.py`.

Standard input has one JSON message per line: the initialisation, then the invocations. The response to each is one
JSON line on the original standard output. The output of the handler goes to standard error; a line of MARKER and the
request id marks its end. When standard input is closed, because the server has ended, the worker kills its process
group.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import logging
import os
import queue
import resource
import signal
import sys
import threading
import time
import traceback
from typing import Any, BinaryIO

MARKER = "\x00END "
MAX_RESPONSE_BYTES = 6_291_556
LOG_FORMAT = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s"


class LambdaContext:
    """The context object of AWS's Python runtime."""

    def __init__(self, call: dict[str, Any]) -> None:
        self.aws_request_id: str = call["request_id"]
        self.invoked_function_arn: str = call["invoked_function_arn"]
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.identity = None
        self.client_context = None
        self._deadline_s: float = call["deadline_s"]

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._deadline_s - time.time()) * 1000))


class _RequestIdFilter(logging.Filter):
    request_id = ""

    def filter(self, record: logging.LogRecord) -> bool:
        record.aws_request_id = self.request_id
        return True


def _error(
    error: BaseException, request_id: str, kind: str | None = None, message: str | None = None
) -> dict[str, Any]:
    """Return the error payload of Lambda. As on AWS, the stack trace has no frames of the runtime."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    frames = [frame for frame in frames if "importlib" not in frame.filename]
    return {
        "errorMessage": str(error) if message is None else message,
        "errorType": kind or type(error).__name__,
        "requestId": request_id,
        "stackTrace": traceback.format_list(frames),
    }


def _print_error(payload: dict[str, Any]) -> None:
    trace = "".join(payload["stackTrace"]).rstrip()
    print(f"[ERROR] {payload['errorType']}: {payload['errorMessage']}\nTraceback (most recent call last):\n{trace}")


def _import_handler(handler: str) -> Any:
    """Import the handler function; raises _InitError with the error types of AWS's runtime."""
    module_name, _, function_name = handler.rpartition(".")
    module_name = module_name.replace("/", ".")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        text = f"Unable to import module '{module_name}': {error}"
        raise _InitError("Runtime.ImportModuleError", text, error) from error
    except SyntaxError as error:
        text = f"Syntax error in module '{module_name}': {error}"
        raise _InitError("Runtime.UserCodeSyntaxError", text, error) from error
    try:
        return getattr(module, function_name)
    except AttributeError as error:
        text = f"Handler '{function_name}' missing on module '{module_name}'"
        raise _InitError("Runtime.HandlerNotFound", text, error) from error


class _InitError(Exception):
    def __init__(self, kind: str, message: str, cause: BaseException) -> None:
        super().__init__(message)
        self.kind = kind
        self.cause = cause


def _read_requests(descriptor: int, requests: queue.SimpleQueue[dict[str, Any]]) -> None:
    with os.fdopen(descriptor, "rb") as lines:
        for line in lines:
            requests.put(json.loads(line))
    os.killpg(0, signal.SIGKILL)


def _finish_output(request_id: str) -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os.write(2, f"{MARKER}{request_id}\n".encode())


def _memory_mb() -> int:
    """Return the peak resident memory. On Linux ru_maxrss includes the peak of the server that forked this process."""
    if sys.platform == "linux":
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM:"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 2**20


def _load(file: str) -> Any:
    """Import a module that is not in the path of the function."""
    spec = importlib.util.spec_from_file_location("_worker_calls", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.install()
    return module


def _answer(results: BinaryIO, payload: dict[str, Any], request_id: str, calls: Any = None) -> None:
    _finish_output(request_id)
    payload["memory_mb"] = _memory_mb()
    if calls is not None:
        payload["calls"] = calls.take()
    results.write(json.dumps(payload).encode() + b"\n")
    results.flush()


def _invoke(handler: Any, event: Any, call: dict[str, Any]) -> dict[str, Any]:
    """Run the handler; returns {"body": JSON text} or {"error": payload}, and "exit" when the process must end."""
    request_id = call["request_id"]
    try:
        result = handler(event, LambdaContext(call))
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1 if error.code else 0
        text = f"RequestId: {request_id} Error: Runtime exited with error: exit status {code}"
        return {"error": {"errorType": "Runtime.ExitError", "errorMessage": text}, "exit": True}
    except BaseException as error:
        payload = _error(error, request_id)
        _print_error(payload)
        return {"error": payload}
    try:
        body = json.dumps(result)
    except (TypeError, ValueError) as error:
        payload = _error(error, request_id, "Runtime.MarshalError", f"Unable to marshal response: {error}")
        _print_error(payload)
        return {"error": payload}
    if len(body) > MAX_RESPONSE_BYTES:
        text = f"Response payload size exceeded maximum allowed payload size ({MAX_RESPONSE_BYTES} bytes)."
        return {"error": {"errorType": "Function.ResponseSizeTooLarge", "errorMessage": text}}
    return {"body": body}


def main() -> None:
    results = os.fdopen(os.dup(1), "wb", buffering=0)
    source = os.dup(0)
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_read_requests, args=(source, requests), daemon=True).start()

    init = requests.get()
    sys.path[:] = [*init["code_path"], *init["sdk_path"], *sys.path]
    request_ids = _RequestIdFilter()
    output = logging.StreamHandler(sys.stdout)
    formatter = logging.Formatter(LOG_FORMAT, "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    output.setFormatter(formatter)
    output.addFilter(request_ids)
    logging.getLogger().addHandler(output)

    calls = _load(init["calls"]) if init["calls"] else None
    try:
        handler = _import_handler(init["handler"])
    except _InitError as error:
        payload = _error(error.cause, "", error.kind, str(error))
        _print_error(payload)
        _answer(results, {"error": payload, "exit": True}, "init")
        return
    except BaseException as error:
        payload = _error(error, "")
        _print_error(payload)
        _answer(results, {"error": payload, "exit": True}, "init")
        return
    _answer(results, {"ready": True}, "init", calls)

    while True:
        message = requests.get()
        call = message["call"]
        request_ids.request_id = call["request_id"]
        os.environ["_X_AMZN_TRACE_ID"] = call["trace_id"]
        answer = _invoke(handler, message["event"], call)
        _answer(results, answer, call["request_id"], calls)
        if answer.get("exit"):
            return


if __name__ == "__main__":
    main()
    os._exit(0)
