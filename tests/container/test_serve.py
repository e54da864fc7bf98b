"""The endpoint keeps SageMaker's contract: GET /ping, POST /invocations, a port, a graceful end."""

import http.client
import json
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from PIL import Image

from container.serve import bind
from tests.container.runner import Runner
from tests.support.hostile_photos import encoded, noise
from tests.support.training import jpeg
from tests.support.waiting import eventually

PHOTO = jpeg(Image.new("RGB", (640, 480), "green"))


@pytest.fixture(scope="module")
def port(model: Path, work: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server that is ready."""
    root = tmp_path_factory.mktemp("ml")
    shutil.copytree(model, root / "model")
    with Runner(root, work).started("serve") as (process, port):
        eventually(lambda: process.poll() is not None or ping(port) == 200, timeout_s=60)
        assert process.poll() is None
        yield port


def request(port: int, method: str, path: str, body: bytes = b"", content_type: str = "") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, {"Content-Type": content_type} if content_type else {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def ping(port: int) -> int:
    try:
        return request(port, "GET", "/ping")[0]
    except OSError:
        return 0


def test_a_photo_is_answered_with_probabilities(port: int) -> None:
    for content_type in ("application/x-image", "image/jpeg; charset=binary", ""):
        status, body = request(port, "POST", "/invocations", PHOTO, content_type)
        assert status == 200
        answer = json.loads(body)
        assert set(answer) == {"model_version", "vehicle", "confidence", "probabilities", "threshold", "image"}
        assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("photo", "error"), [(b"", "UnreadablePhoto"), (b"text", "UnreadablePhoto")])
def test_an_unusable_photo_is_no_http_error(port: int, photo: bytes, error: str) -> None:
    status, body = request(port, "POST", "/invocations", photo, "image/jpeg")
    assert (status, json.loads(body)["error"]) == (200, error)


def test_other_requests_are_http_errors(port: int) -> None:
    assert request(port, "POST", "/invocations", b"1,2,3", "text/csv")[0] == 415
    assert request(port, "GET", "/invocations")[0] == 405
    assert request(port, "GET", "/models")[0] == 404
    assert ping(port) == 200


def test_a_body_over_the_limit_of_invoke_endpoint_is_refused(port: int) -> None:
    largest = 25 * 1024 * 1024
    assert request(port, "POST", "/invocations", bytes(largest), "image/jpeg")[0] == 200
    assert request(port, "POST", "/invocations", bytes(largest + 1), "image/jpeg")[0] == 413
    assert ping(port) == 200


def test_photos_that_were_accepted_are_answered_after_sigterm(runner: Runner, model: Path) -> None:
    shutil.copytree(model, runner.root / "model")
    photo = encoded(noise(3000, 2000), "JPEG")
    with runner.started("serve") as (process, port):
        eventually(lambda: ping(port) == 200, timeout_s=60)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.putrequest("POST", "/invocations")
        connection.putheader("Content-Length", str(len(photo)))
        connection.endheaders(photo[:-1])
        # Answered by a process that has read most of the other request.
        assert request(port, "POST", "/invocations", PHOTO)[0] == 200
        process.terminate()
        connection.send(photo[-1:])
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["vehicle"]) == (200, "other")
        connection.close()
        assert process.wait(60) == 0


def test_a_model_that_cannot_be_used_ends_the_server(runner: Runner, model: Path) -> None:
    shutil.copytree(model, runner.root / "model")
    (runner.root / "model" / "head.npz").unlink()
    ended = runner.run("serve")
    assert ended.returncode == 1
    assert "head.npz is missing" in ended.stdout


def test_requests_over_the_limit_are_refused_at_once(port: int) -> None:
    """Bodies that are not sent to their end occupy the places."""
    statuses: list[int] = []
    waiting: list[http.client.HTTPConnection] = []
    try:
        for _ in range(200):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.putrequest("POST", "/invocations")
            connection.putheader("Content-Length", "2")
            connection.endheaders(b"x")
            waiting.append(connection)

        def read(connection: http.client.HTTPConnection) -> None:
            statuses.append(connection.getresponse().status)

        threads = [threading.Thread(target=read, args=(connection,)) for connection in waiting]
        for thread in threads:
            thread.start()
        eventually(lambda: statuses)
        assert ping(port) == 200
        for connection in waiting:
            connection.send(b"x")
        for thread in threads:
            thread.join(60)
        assert set(statuses) == {200, 503}
    finally:
        for connection in waiting:
            connection.close()
    assert request(port, "POST", "/invocations", PHOTO)[0] == 200


def test_answers_do_not_wait_for_the_acknowledgement_of_their_headers() -> None:
    """Connections inherit the option. Without it, each answer takes 40 ms longer."""
    with bind(uvicorn.Config("app", host="127.0.0.1", port=0)) as listening:
        listening.listen()
        with socket.create_connection(listening.getsockname()):
            accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
