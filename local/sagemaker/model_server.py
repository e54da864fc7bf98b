"""Serve one model over HTTP as the SageMaker PyTorch inference toolkit does; standard library only.

    python -P model_server.py MODEL_DIR PORT_FILE

The entry point (SAGEMAKER_PROGRAM, by default inference.py, in MODEL_DIR/code) may define model_fn, input_fn,
predict_fn and output_fn, or transform_fn instead of the last three; each may take one more argument, the context.
GET /ping returns 200 when the model is loaded; POST /invocations returns the result of output_fn. The server writes to
PORT_FILE its port and, after a space, the value that each request must send in the header X-Secret.
"""

from __future__ import annotations

import hmac
import importlib.util
import inspect
import json
import os
import secrets
import sys
import threading
import traceback
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

TEXT_TYPES = ("application/json", "text/csv", "application/jsonlines", "text/plain")
DEFAULT_ACCEPT = "application/json"
SECRET_HEADER = "X-Secret"  # noqa: S105  # the name of a header
DEFAULT_MAX_REQUEST_BYTES = 6_553_500
"""TorchServe's default `max_request_size`; the variable TS_MAX_REQUEST_SIZE changes it."""


class ToolkitError(Exception):
    """An error with an HTTP status, like the toolkit's BaseInferenceToolkitError."""

    def __init__(self, status_code: int, phrase: str) -> None:
        super().__init__(phrase)
        self.status_code = status_code
        self.phrase = phrase


class Context:
    """The context argument of the handler functions."""

    def __init__(self, model_dir: str) -> None:
        self.system_properties = {"model_dir": model_dir, "gpu_id": None, "batch_size": 1}
        self.manifest: dict[str, Any] = {}


class Model:
    """The loaded model, and the entry point's functions or the toolkit's defaults."""

    def __init__(self, model_dir: str) -> None:
        self._context = Context(model_dir)
        module = _entry_point(Path(model_dir))
        self._transform = getattr(module, "transform_fn", None)
        self._input = getattr(module, "input_fn", _default_input)
        self._predict = getattr(module, "predict_fn", _default_predict)
        self._output = getattr(module, "output_fn", _default_output)
        loader = getattr(module, "model_fn", None)
        if loader is None:
            raise RuntimeError("the entry point has no model_fn")
        self._model = self._call(loader, 1, model_dir)

    def answer(self, body: bytes, content_type: str, accept: str) -> tuple[bytes, str]:
        """Run one request; returns body and content type. Raises the exceptions of the entry point."""
        data: Any = body.decode() if content_type.split(";")[0].strip() in TEXT_TYPES else body
        if self._transform is not None:
            result = self._call(self._transform, 4, self._model, data, content_type, accept)
        else:
            parsed = self._call(self._input, 2, data, content_type)
            prediction = self._call(self._predict, 2, parsed, self._model)
            result = self._call(self._output, 2, prediction, accept)
        if isinstance(result, tuple):
            result, accept = result[0], result[1] if len(result) > 1 else accept
        return (bytes(result) if isinstance(result, bytes | bytearray) else str(result).encode()), accept

    def _call(self, function: Callable[..., Any], count: int, *arguments: Any) -> Any:
        takes_context = len(inspect.signature(function).parameters) > count
        return function(*arguments, self._context) if takes_context else function(*arguments)


def _entry_point(model_dir: Path) -> ModuleType:
    code = model_dir / "code"
    program = os.environ.get("SAGEMAKER_PROGRAM", "inference.py")
    path = code / program
    sys.path.insert(0, str(code))
    spec = importlib.util.spec_from_file_location(Path(program).stem, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise RuntimeError(f"model.tar.gz has no code/{program}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _default_input(data: Any, content_type: str) -> Any:
    if content_type != "application/json":
        raise ToolkitError(415, f"Content type {content_type} is not supported by this framework.")
    return json.loads(data)


def _default_predict(_data: Any, _model: Any) -> Any:
    raise ToolkitError(500, "the entry point has no predict_fn")


def _default_output(prediction: Any, accept: str) -> Any:
    if accept != "application/json":
        raise ToolkitError(406, f"Accept type {accept} is not supported by this framework.")
    return json.dumps(prediction)


def _handler(model: Model, free_workers: threading.Semaphore, secret: str) -> type[BaseHTTPRequestHandler]:
    default_accept = os.environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", DEFAULT_ACCEPT)
    max_bytes = int(os.environ.get("TS_MAX_REQUEST_SIZE") or DEFAULT_MAX_REQUEST_BYTES)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Send the response in one segment: Nagle's algorithm would delay it by 40 ms.
        disable_nagle_algorithm = True
        wbufsize = -1

        def parse_request(self) -> bool:
            if not super().parse_request():
                return False
            if hmac.compare_digest(self.headers.get(SECRET_HEADER, "").encode(), secret.encode()):
                return True
            self.close_connection = True
            self._send(403, b"", "text/plain")
            return False

        def do_GET(self) -> None:
            self._send(200 if self.path == "/ping" else 404, b"", "text/plain")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path != "/invocations":
                self._send(404, b"", "text/plain")
                return
            if len(body) > max_bytes:
                self._send(413, f"Request size exceeded {max_bytes} bytes: TS_MAX_REQUEST_SIZE".encode(), "text/plain")
                return
            accept = self.headers.get("Accept") or ""
            accept = default_accept if accept in ("", "*/*") else accept
            try:
                with free_workers:
                    answer, kind = model.answer(body, self.headers.get("Content-Type") or default_accept, accept)
            except Exception as error:
                traceback.print_exc()
                status = int(getattr(error, "status_code", 500))
                phrase = getattr(error, "phrase", str(error))
                self._send(status, f"{phrase}\n{traceback.format_exc()}".encode(), "text/plain")
                return
            self._send(200, answer, kind)

        def _send(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()

        def log_message(self, format: str, *args: Any) -> None:
            """Do not log each request."""

    return Handler


def main() -> None:
    """Load the model and serve requests."""
    model_dir, port_file = sys.argv[1:]
    model = Model(model_dir)
    workers = int(os.environ.get("SAGEMAKER_MODEL_SERVER_WORKERS") or os.cpu_count() or 1)
    # Other users and web pages can reach this port; the secret is in a file that only this user can read.
    secret = secrets.token_urlsafe()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(model, threading.Semaphore(workers), secret))
    server.daemon_threads = True
    waiting = Path(port_file + ".new")
    waiting.touch(0o600)
    waiting.write_text(f"{server.server_address[1]} {secret}")
    waiting.rename(port_file)
    print(f"Model server ready with {workers} workers", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
