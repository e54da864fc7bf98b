"""The requests that the console refuses, and the headers of its responses."""

from pathlib import Path
from unittest.mock import Mock

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from console.web.access import LocalAccess
from console.web.logins import Logins
from console.web.security import TOKEN_HEADER, Guard

HOST = "127.0.0.1:8080"
OWN = {"host": HOST, "origin": f"http://{HOST}", TOKEN_HEADER: "right"}


@pytest.fixture
def console() -> TestClient:
    async def answer(request: Request) -> PlainTextResponse:
        return PlainTextResponse("done")

    app = Starlette(routes=[Route("/", answer, methods=["GET", "POST"])])
    logins = Logins(f"http://{HOST}", announce=lambda line: None)
    session = logins.start_session(logins.start_address.partition("=")[2])
    assert session
    services = Mock(csrf_token="right")  # noqa: S106
    guard = Guard(app, access=LocalAccess(services, logins, hosts=[HOST]), open_paths=set())
    return TestClient(guard, base_url=f"http://{HOST}", cookies={logins.session_cookie: session})


def test_requests_from_its_own_pages_are_accepted(console: TestClient) -> None:
    assert console.get("/", headers={"host": HOST}).text == "done"
    assert console.post("/", headers=OWN).text == "done"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:81", "localhost.evil.example:8080", ""])
def test_another_host_name_is_refused_even_for_get(console: TestClient, host: str) -> None:
    assert console.get("/", headers={"host": host}).status_code == 403


@pytest.mark.parametrize(
    "change",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": f"https://{HOST}"},
        {TOKEN_HEADER: "wrong"},
        {TOKEN_HEADER: ""},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_a_forged_request_is_refused(console: TestClient, change: dict[str, str]) -> None:
    assert console.post("/", headers={**OWN, **change}).status_code == 403


def test_another_site_can_link_to_the_console_but_not_read_its_pages(console: TestClient) -> None:
    foreign = {"host": HOST, "sec-fetch-site": "cross-site"}
    assert console.get("/", headers={**foreign, "sec-fetch-mode": "no-cors"}).status_code == 403
    assert console.get("/", headers={**foreign, "sec-fetch-mode": "navigate"}).status_code == 200


def test_every_response_allows_only_scripts_of_the_console(console: TestClient) -> None:
    for answer in (console.get("/", headers={"host": HOST}), console.get("/", headers={"host": "evil.example"})):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


def test_no_page_has_inline_scripts_or_styles_or_addresses_of_other_sites() -> None:
    web = Path(__file__).parents[3] / "console" / "web"
    for template in web.glob("templates/*.html"):
        text = template.read_text()
        assert " style=" not in text, template.name
        assert " onclick=" not in text, template.name
        assert "<style" not in text, template.name
        assert "http:" not in text, template.name
        assert "https:" not in text, template.name
        assert text.count("<script") == text.count('<script type="module" src="/static/'), template.name
    for code in web.glob("static/*.js"):
        assert "innerHTML" not in code.read_text(), code.name
        assert "://" not in code.read_text(), code.name
