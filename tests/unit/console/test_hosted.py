"""The console behind a load balancer: who is admitted, as whom, and what each role may do."""

import re
from collections.abc import Iterator
from threading import Barrier, Thread

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

from console.people import NoRole, Person
from console.web.access import Access
from console.web.app import PAGES, create_app
from console.web.roles import allowed
from console.web.routers import hosted, start
from console.web.security import TOKEN_HEADER
from deploy.outputs import Deployed
from tests.support.load_balancer import Signer
from tests.unit.console.hosted_console import ADA, ADDRESS, EVE, GRACE, ROLES, HostedConsole, hosted_console
from tests.unit.console.review_requests import FakeAws, labels, send

TAB = "0" * 32
OPERATOR_ROUTES = {
    ("POST", "/api/repair"),
    ("POST", "/api/model/retrain"),
    ("POST", "/api/model/rollback"),
    ("POST", "/api/model/threshold"),
    ("POST", "/api/teams/test-event"),
}
OPEN_ROUTES = {("GET", "/favicon.ico"), ("GET", "/health"), ("GET", "/sign-out")}


@pytest.fixture
def console(stage: Deployed) -> Iterator[HostedConsole]:
    with hosted_console(stage, lambda _: FakeAws()) as console:
        yield console


def routes(app: FastAPI) -> list[tuple[str, str]]:
    """Return the method and an address of every route."""
    paths = app.openapi()["paths"]
    found = [(method.upper(), re.sub("{.*?}", "0" * 32, path)) for path, methods in paths.items() for method in methods]
    assert len(found) > 15
    return found


def test_every_route_says_who_may_use_it_and_a_route_that_does_not_is_not_served(stage: Deployed) -> None:
    everything = [route for page in (*PAGES, hosted, start) for route in page.router.routes]
    who = {route.path: allowed(route).who for route in everything if isinstance(route, APIRoute)}
    assert {path for path, one in who.items() if one == "operators"} == {path for _, path in OPERATOR_ROUTES}
    assert {path for path, one in who.items() if one == "anybody"} == {"/health", "/sign-out", "/start"}
    forgotten = APIRouter()
    forgotten.get("/forgotten")(lambda: "anybody may read this")
    with hosted_console(stage) as console:
        console.access.routers = (*console.access.routers, forgotten)
        with pytest.raises(RuntimeError, match="/forgotten has 0 roles"):
            create_app(console.access)


def test_every_route_refuses_who_is_not_signed_in_or_has_no_role(console: HostedConsole) -> None:
    token = console.token(ADA)
    forged = {"origin": ADDRESS, TOKEN_HEADER: token, "x-amzn-oidc-identity": "ada-1", "x-amzn-oidc-data": "a.b.c"}
    for method, path in [*routes(console.app), ("GET", "/unknown"), ("POST", "/start")]:
        if (method, path) in OPEN_ROUTES:
            continue
        for headers in ({}, forged):
            refused = console.client.request(method, path, headers=headers, json={"tab": TAB})
            assert refused.status_code == 401, (method, path)
            assert token not in refused.text
        without_role = console.send(method, path, EVE, token, tab=TAB)
        assert without_role.status_code == 403, (method, path)
        assert "Ask the shift lead for the group test-reviewers" in without_role.text
    assert [person.name for person, _ in console.made] == ["Ada"]


def test_each_role_may_use_its_routes_and_no_others(console: HostedConsole) -> None:
    for person, is_operator in ((ADA, False), (GRACE, True)):
        token = console.token(person)
        for method, path in routes(console.app):
            # A body that each of these routes refuses: the test is about who gets so far.
            answer = console.send(method, path, person, token, nothing=1)
            for_operators = (method, path) in OPERATOR_ROUTES
            assert (answer.status_code == 403) == (for_operators and not is_operator), (method, path, answer.text)
            assert answer.status_code != 401, (method, path)
            if answer.status_code == 403:
                assert "an operator has to do it: make " in answer.text


def test_a_reviewer_sees_no_button_of_operators(console: HostedConsole) -> None:
    for path in ("/now", "/model", "/teams"):
        assert "data-opens" not in console.get(path, ADA).text
    assert '<dialog id="repair"' in console.get("/now", GRACE).text
    assert '<dialog id="repair"' not in console.get("/now", ADA).text
    assert "data-sends" in console.get("/teams", GRACE).text
    assert "data-sends" not in console.get("/teams", ADA).text


def test_answers_are_recorded_for_who_gave_them(console: HostedConsole, stage: Deployed) -> None:
    photos = []
    for number, person in enumerate((ADA, GRACE)):
        photos.append(send(stage, number))
        (request,) = console.post("/api/take", person, tab=TAB).json()["leased"]
        assert console.post("/api/answer", person, tab=TAB, id=request["id"], vehicle="bicycle").status_code == 200
    console.people.close()
    assert [labels(stage)[photo]["reviewer"] for photo in photos] == ["AROA:ada-1", "AROA:grace-1"]


def test_the_name_is_that_of_the_identity_provider_and_cannot_be_changed(console: HostedConsole) -> None:
    console.client.cookies.set("scones-name-443", "Head%20of%20Quality")
    page = console.get("/", ADA).text
    assert '<span id="reviewer-name">Ada</span>' in page
    assert "AROA:ada-1" in page
    assert "rename" not in page
    assert 'href="/sign-out"' in page
    assert console.post("/api/reviewer", ADA, name="Head of Quality").status_code == 404


def test_another_site_another_host_and_another_person_s_token_are_refused(console: HostedConsole) -> None:
    token = console.token(ADA)
    assert console.send("POST", "/api/take", ADA, token, tab=TAB).status_code == 200
    assert console.send("POST", "/api/take", GRACE, token, tab=TAB).status_code == 403
    signed = console.signer.headers(ADA)
    own = {**signed, "origin": ADDRESS, TOKEN_HEADER: token}
    for change in ({"origin": "https://evil.example"}, {"origin": "http://review.example.org"}, {TOKEN_HEADER: ""}):
        assert console.client.post("/api/take", json={"tab": TAB}, headers={**own, **change}).status_code == 403
    for host in ("10.0.0.7:8080", "evil.example", "review.example.org.evil.example"):
        assert console.client.get("/", headers={**signed, "host": host}).status_code == 403
    cross_site = {**signed, "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
    assert console.client.get("/photos", headers=cross_site).status_code == 403


def test_the_health_check_needs_no_sign_in_and_says_nothing(console: HostedConsole) -> None:
    answer = console.client.get("/health", headers={"host": "10.0.0.7:8080"})
    assert (answer.status_code, answer.text) == (200, "ok")
    assert console.client.post("/health", headers={"host": "10.0.0.7:8080"}).status_code == 403
    assert console.made == []


def test_every_answer_has_the_headers_of_a_site_with_tls(console: HostedConsole) -> None:
    for path, person in (("/", ADA), ("/", EVE), ("/", None), ("/health", None), ("/static/console.css", None)):
        headers = console.get(path, person).headers
        assert headers["strict-transport-security"] == "max-age=31536000"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"


def test_signing_out_ends_the_session_of_the_load_balancer(console: HostedConsole) -> None:
    answer = console.get("/sign-out", ADA)
    cookies = answer.headers.get_list("set-cookie")
    assert {cookie.partition("=")[0] for cookie in cookies} == {f"AWSELBAuthSessionCookie-{n}" for n in range(4)}
    for cookie in cookies:
        assert {"max-age=0", "path=/", "secure"} <= {part.strip().lower() for part in cookie.split(";")}
    assert "close the browser" in answer.text
    console.access.sign_out_address = "https://idp.example.org/logout?client_id=1"
    assert 'href="https://idp.example.org/logout?client_id=1"' in console.get("/sign-out", ADA).text


def test_a_sign_in_that_cannot_be_checked_or_has_ended_says_what_to_do(
    console: HostedConsole, caplog: pytest.LogCaptureFixture
) -> None:
    expired = console.signer.headers(ADA, exp=1)
    page = console.client.get("/photos", headers=expired)
    assert (page.status_code, "Load the page again to sign in" in page.text) == (401, True)
    script = console.client.get("/api/now", headers=expired)
    assert script.json() == {"detail": "Your sign-in has ended. Load the page again to sign in."}
    unknown = console.signer.headers(ADA, kid="00000000-0000-0000-0000-000000000000")
    page = console.client.get("/photos", headers=unknown)
    assert (page.status_code, "Try again in a minute" in page.text) == (503, True)
    of_prod = console.client.get("/photos", headers=Signer("prod").headers(ADA))
    assert (of_prod.status_code, "another load balancer than that of this stage" in of_prod.text) == (401, True)
    for secret in (expired["x-amzn-oidc-data"], unknown["x-amzn-oidc-data"]):
        assert secret not in caplog.text


@pytest.mark.parametrize(
    ("value", "role"),
    [
        ("test-reviewers", "reviewer"),
        (["test-operators", "test-reviewers"], "operator"),
        (["test-reviewers", 17, None], "reviewer"),
        ("test-reviewers-not", None),
        ("test-reviewers,test-operators", None),
        ([["test-operators"]], None),
        ({"test-operators": True}, None),
        (None, None),
        ([], None),
    ],
)
def test_only_the_names_of_the_groups_are_roles(value: object, role: str | None) -> None:
    claims = {"sub": "x", "groups": value}
    if role:
        assert ROLES.person(claims).role == role
        return
    with pytest.raises(NoRole, match="Ask the shift lead for the group test-reviewers"):
        ROLES.person(claims)


def test_the_session_name_of_a_person_is_that_of_nobody_else() -> None:
    subjects = ["ada", "ADA", "auth0|ada", "auth0:ada", "a", "x" * 65, "\u00e4", "*", "${aws:userid}", "a/b", "=a"]
    names = [Person(subject, "", "reviewer").session_name for subject in subjects]
    assert len(set(names)) == len(subjects)
    assert all(re.fullmatch(r"[\w+=,.@-]{2,64}", name, re.ASCII) for name in names)
    assert names[0] == "ada"
    assert Person("ada", "", "reviewer").session_name == Person("ada", "Ada", "operator").session_name


def test_the_services_of_a_person_are_made_once(console: HostedConsole) -> None:
    barrier = Barrier(4)

    def request() -> None:
        barrier.wait()
        console.people.services(Person("ada-1", "Ada", "reviewer"))

    threads = [Thread(target=request) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(console.made) == 1


def test_the_services_of_who_is_gone_are_closed(stage: Deployed) -> None:
    with hosted_console(stage, idle_s=0.0) as console:
        left = console.people.services(Person("ada-1", "Ada", "reviewer"))
        stays = console.people.services(Person("grace-1", "Grace", "operator"))
        again = console.people.services(Person("ada-1", "Ada", "reviewer"))
        assert again is not left
        console.people.close()
        for services in (left, stays, again):
            assert not services.desk._scheduler.is_alive()


def test_a_change_of_the_role_takes_effect_at_once(console: HostedConsole) -> None:
    assert console.post("/api/repair", GRACE, confirm="prod").status_code == 409
    demoted = {**GRACE, "groups": ["test-reviewers"]}
    assert console.post("/api/repair", demoted, confirm="prod").status_code == 403
    assert console.get("/", {**GRACE, "groups": []}).status_code == 403


def test_an_error_inside_the_console_is_a_page(console: HostedConsole, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(console.access, Access)
    assert console.get("/photos/unknown", ADA).status_code in (404, 502)
    assert console.get("/static/unknown.js", None).status_code == 404
