"""A console behind a fake load balancer, and HTTP clients of the people whom it signs in."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from httpx import Response
from starlette.testclient import TestClient

from console.answers import choices
from console.aws import Aws
from console.identity import Reviewer
from console.load_balancer import LoadBalancer, PublicKeys
from console.people import Person, Roles
from console.web.app import create_app
from console.web.hosted import IDLE_S, HostedAccess, People
from console.web.pages import Pages
from console.web.security import TOKEN_HEADER
from console.web.services import Services
from deploy.outputs import Deployed
from tests.support.load_balancer import CLIENT, ISSUER, Signer, serve_keys

ADDRESS = "https://review.example.org"
ROLES = Roles("groups", "test-reviewers", "test-operators", "the shift lead")
ADA = {"sub": "ada-1", "name": "Ada", "groups": ["everybody", "test-reviewers"]}
GRACE = {"sub": "grace-1", "name": "Grace", "groups": ["test-operators"]}
EVE = {"sub": "eve-1", "name": "Eve", "groups": ["everybody", "prod-operators"]}


class HostedConsole:
    """A console behind the load balancer of the stage. `made` are the people for whom services were made."""

    def __init__(
        self, stage: Deployed, aws_of: Callable[[Person], Aws], keys: str, signer: Signer, *, idle_s: float = IDLE_S
    ) -> None:
        self.signer = signer
        self.made: list[tuple[Person, Services]] = []

        def make(person: Person) -> Services:
            reviewer = Reviewer(f"AROA:{person.session_name}", person.name)
            services = Services.of(
                stage, aws_of(person), choices(), reviewer, operator=person.is_operator, hosted=True, undo_s=0
            )
            self.made.append((person, services))
            return services

        self.people = People(make, idle_s=idle_s)
        self.access = HostedAccess(
            ADDRESS,
            Pages(stage, choices(), "", lambda: None, hosted=True),
            LoadBalancer(signer.arn, ISSUER, CLIENT, PublicKeys(keys)),
            ROLES,
            self.people,
        )
        self.app = create_app(self.access)
        self.client = TestClient(self.app, base_url=ADDRESS)

    def get(self, path: str, claims: Mapping[str, Any] | None, **options: Any) -> Response:
        """GET a path as the person with the claims, or as somebody who is not signed in."""
        headers = self.signer.headers(claims) if claims else {}
        response: Response = self.client.get(path, headers=headers, follow_redirects=False, **options)
        return response

    def token(self, claims: Mapping[str, Any]) -> str:
        """Return the CSRF token of a person's pages."""
        found = re.search(r'name="csrf-token" content="([^"]+)"', self.get("/", claims).text)
        assert found
        return found[1]

    def send(self, method: str, path: str, claims: Mapping[str, Any], token: str, **body: Any) -> Response:
        """Send a request with JSON and the headers of a page of the console."""
        headers = {**self.signer.headers(claims), "origin": ADDRESS, TOKEN_HEADER: token}
        response: Response = self.client.request(method, path, json=body, headers=headers, follow_redirects=False)
        return response

    def post(self, path: str, claims: Mapping[str, Any], **body: Any) -> Response:
        """POST JSON as a page of the person does."""
        return self.send("POST", path, claims, self.token(claims), **body)


@contextmanager
def hosted_console(
    stage: Deployed, aws_of: Callable[[Person], Aws] | None = None, **options: Any
) -> Iterator[HostedConsole]:
    """Yield a running console; everybody has the clients of the test unless `aws_of` says otherwise."""
    signer = Signer()
    with serve_keys(signer) as keys:
        console = HostedConsole(stage, aws_of or (lambda _: Aws()), keys, signer, **options)
        with console.client:
            yield console
