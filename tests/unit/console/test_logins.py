"""Only a browser that opened the start address, which works once, can read a page or answer a request."""

import logging
import re
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from console.photos import Photos
from console.web.logins import Logins
from console.web.security import TOKEN_HEADER
from deploy.outputs import Deployed
from tests.unit.console.browser_client import HOST, TAB, BrowserClient
from tests.unit.console.review_requests import FakeAws, depth, labels, send

OPEN = {"/start", "/favicon.ico"}


@pytest.fixture
def console(stage: Deployed) -> Iterator[BrowserClient]:
    """A console in whose terminal nobody has looked yet."""
    with BrowserClient(stage, FakeAws(), signed_in=False, undo_s=0) as console:
        yield console


def start(console: BrowserClient, client: TestClient | None = None) -> TestClient:
    """Sign a new client in; return it."""
    client = client or console.new_client()
    assert client.get(console.logins.start_address).status_code == 200
    return client


def routes(console: BrowserClient) -> list[tuple[str, str]]:
    """Return the method and an address of every route."""
    paths = console.app.openapi()["paths"]
    found = [(method.upper(), re.sub("{.*?}", "0" * 32, path)) for path, methods in paths.items() for method in methods]
    assert len(found) > 15
    return found


def test_every_route_refuses_a_browser_that_is_not_signed_in(console: BrowserClient) -> None:
    # What another account of the computer can send: any header, but not the session.
    headers = {"origin": f"http://{HOST}", TOKEN_HEADER: console.csrf_token, "sec-fetch-site": "same-origin"}
    for method, path in [*routes(console), ("GET", "/unknown"), ("POST", "/api/unknown")]:
        if path in OPEN:
            continue
        response = console.client.request(method, path, headers=headers, json={"tab": TAB})
        assert response.status_code == 401, path
        assert console.csrf_token not in response.text
        assert "Ada" not in response.text
        if path.startswith(("/api/", "/images/")):
            assert "start address" in response.json()["detail"]
        else:
            assert "make review" in response.text
    assert console.client.get("/favicon.ico").status_code == 200
    assert console.client.get("/static/console.css").status_code == 200


def test_no_route_can_be_cached(console: BrowserClient) -> None:
    signed_in = start(console)
    headers = {"origin": f"http://{HOST}", TOKEN_HEADER: console.csrf_token}
    for method, path in [*routes(console), ("GET", "/unknown"), ("GET", "/images/unknown")]:
        for client in (signed_in, console.client):
            response = client.request(method, path, headers=headers, json={"tab": TAB}, follow_redirects=False)
            assert response.headers["cache-control"] == "no-store", path


def test_a_photo_cannot_be_cached(stage: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    photo_id = send(stage, 1)
    aws = FakeAws()
    with BrowserClient(stage, aws) as browser:
        browser.post("/api/take", tab=TAB)
        monkeypatch.setattr(Photos, "jpeg", lambda *_: b"a photo")
        for size in ("large", "thumb"):
            response = browser.get(f"/images/{photo_id}?size={size}")
            assert response.content == b"a photo"
            assert response.headers["cache-control"] == "no-store"


def test_another_account_cannot_answer_a_request(stage: Deployed, console: BrowserClient) -> None:
    send(stage, 1)
    headers = {"origin": f"http://{HOST}", TOKEN_HEADER: console.csrf_token, "cookie": "reviewer=Head%20of%20Quality"}
    taken = console.client.post("/api/take", json={"tab": TAB}, headers=headers)
    assert (taken.status_code, set(taken.json())) == (401, {"detail"})
    answer = {"tab": TAB, "id": "any", "vehicle": "bicycle"}
    assert console.client.post("/api/answer", json=answer, headers=headers).status_code == 401
    assert depth(stage.review_queue_url) == (1, 0)
    assert labels(stage) == {}


def test_the_name_of_a_browser_changes_nothing_about_the_identity_of_its_answers(stage: Deployed) -> None:
    photo_id = send(stage, 1)
    with BrowserClient(stage, FakeAws(), undo_s=0) as browser:
        assert browser.post("/api/reviewer", name="Head of Quality").status_code == 200
        (request,) = browser.post("/api/take", tab=TAB).json()["leased"]
        browser.post("/api/answer", tab=TAB, id=request["id"], vehicle="bicycle")
        page = browser.get("/").text
    assert "Head of Quality" in page
    assert '<span class="code">ada</span>' in page
    assert labels(stage)[photo_id]["reviewer"] == "ada"


def test_the_start_address_works_once_and_the_next_one_is_announced(console: BrowserClient) -> None:
    first = console.logins.start_address
    browser = console.new_client()
    response = browser.get(first, follow_redirects=False)
    assert response.status_code == 200
    assert '<meta http-equiv="refresh" content="0; url=/">' in response.text
    assert browser.get("/").status_code == 200
    stranger = console.new_client()
    again = stranger.get(first)
    assert again.status_code == 401
    assert "not valid any more" in again.text
    assert "make review" in again.text
    assert stranger.get("/").status_code == 401
    second = console.logins.start_address
    assert first != second
    assert second in console.announced[-1]
    start(console, stranger)
    # Reloading the address in the browser that is signed in shows the page and uses up nothing.
    assert browser.get(first).status_code == 200
    assert browser.get("/").status_code == 200


@pytest.mark.parametrize("token", ["", "wrong", "\u00fc", "%00", "a" * 10_000])
def test_a_wrong_token_signs_nobody_in(console: BrowserClient, token: str) -> None:
    address = console.logins.start_address
    response = console.client.get("/start", params={"token": token}, follow_redirects=False)
    assert response.status_code == 401
    assert "set-cookie" not in response.headers
    assert console.logins.start_address == address
    assert console.announced == []


def test_a_session_is_a_random_cookie_that_no_script_and_no_other_site_gets(console: BrowserClient) -> None:
    cookies = []
    for _ in range(2):
        response = console.new_client().get(console.logins.start_address, follow_redirects=False)
        cookies.append(response.headers["set-cookie"])
    name, _, value = cookies[0].partition(";")[0].partition("=")
    assert name == "scones-session-8080"
    assert len(value) == 43
    assert value not in cookies[1]
    parts = {part.strip().lower() for part in cookies[0].split(";")[1:]}
    assert parts == {"httponly", "samesite=strict", "path=/"}
    guess = console.new_client(cookies={name: "0" * 43})
    assert guess.get("/").status_code == 401


def test_consoles_on_two_ports_have_sessions_of_their_own() -> None:
    one, other = (Logins(f"http://127.0.0.1:{port}", announce=lambda line: None) for port in (8080, 8081))
    session = one.start_session(one.start_address.partition("=")[2])
    assert session
    both = {one.session_cookie: session, other.session_cookie: session}
    assert len(both) == 2
    assert one.has_session(both)
    assert not other.has_session(both)


def test_the_start_token_is_in_no_log_and_no_response(
    console: BrowserClient, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG, "console")
    address = console.logins.start_address
    token = address.partition("=")[2]
    response = console.new_client().get(address, follow_redirects=False)
    refused = console.new_client().get(address)
    following = console.logins.start_address.partition("=")[2]
    for secret in (token, following):
        assert secret not in response.text + str(response.headers) + refused.text + str(refused.headers)
        assert secret not in "".join(record.getMessage() for record in caplog.records if record.name != "httpx")
        assert secret not in repr(console.logins) + "".join(capfd.readouterr())
    assert refused.headers["referrer-policy"] == "same-origin"
