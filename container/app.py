"""The HTTP interface of the endpoint: `GET /ping` and `POST /invocations` with a photo.

The answer of `/invocations` is JSON (training.inference.classify), also for a photo that cannot be used. Other errors
are HTTP errors: 413 for more than MAX_BODY_BYTES, 415 for a content type that is no image, 503 when MAX_IN_FLIGHT
requests are being answered. A process answers `/ping` only after its model has classified a picture.
"""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from PIL import Image
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from container import ml_root
from training.inference import Model, classify, load_model

CONTENT_TYPES = (
    "application/x-image",
    "application/octet-stream",
    "image/jpeg",
    "image/png",
    "image/webp",
    "image/heic",
    "image/heif",
    "image/avif",
)
MAX_BODY_BYTES = 25 * 1024 * 1024
"""The limit of InvokeEndpoint (Amazon SageMaker AI Developer Guide, "Inference options")."""

MAX_IN_FLIGHT = 32
"""Of one process. At 50 ms each, the last one waits less than the 15 s after which ClassifyPhoto tries again."""

THREADS = 2
"""Of one process: while one waits for the process that decodes an expensive photo, the other answers."""


class Server:
    """One model, and the number of requests that are being answered."""

    def __init__(self, model: Model) -> None:
        """Serve `model`."""
        self._model = model
        self._in_flight = 0
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="classify")

    async def ping(self, request: Request) -> Response:
        """Answer the health check of SageMaker."""
        return Response()

    async def invocations(self, request: Request) -> Response:
        """Classify the photo in the body."""
        if self._in_flight >= MAX_IN_FLIGHT:
            raise HTTPException(503, f"{MAX_IN_FLIGHT} photos are being classified; try again")
        self._in_flight += 1
        try:
            _check_content_type(request.headers.get("content-type", CONTENT_TYPES[0]))
            photo = await _read_body(request)
            answer = await asyncio.get_running_loop().run_in_executor(self._threads, classify, photo, self._model)
        finally:
            self._in_flight -= 1
        return Response(json.dumps(answer), media_type="application/json")


def create_app() -> Starlette:
    """Return the application, which loads the model when it starts. Its start fails when the model cannot be used."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        model = load_model(ml_root() / "model")
        _try_out(model)
        server = Server(model)
        app.router.routes += [
            Route("/ping", server.ping, methods=["GET"]),
            Route("/invocations", server.invocations, methods=["POST"]),
        ]
        yield

    return Starlette(lifespan=lifespan)


def _try_out(model: Model) -> None:
    """Classify a grey picture. Raises RuntimeError when the answer names no vehicle."""
    picture = io.BytesIO()
    Image.new("RGB", (64, 64), "grey").save(picture, "JPEG")
    answer = classify(picture.getvalue(), model)
    if "vehicle" not in answer:
        raise RuntimeError(f"the model does not classify a picture: {answer}")


def _check_content_type(content_type: str) -> None:
    if content_type.partition(";")[0].strip().lower() not in CONTENT_TYPES:
        raise HTTPException(415, f"content type {content_type[:100]!r} is not one of {', '.join(CONTENT_TYPES)}")


async def _read_body(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise HTTPException(413, f"the body has more than {MAX_BODY_BYTES} bytes")
    return bytes(body)
