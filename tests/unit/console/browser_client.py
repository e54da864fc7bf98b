"""An HTTP client of the console that signs in and sends the headers of its pages."""

import re
from typing import Any

from fastapi import FastAPI
from httpx import Response
from starlette.testclient import TestClient

from console.answers import choices
from console.aws import Aws
from console.web.access import LocalAccess
from console.web.app import create_app
from console.web.logins import Logins
from console.web.security import TOKEN_HEADER
from console.web.services import Services
from deploy.outputs import Deployed
from tests.support.reviewers import reviewer

HOST = "127.0.0.1:8080"
TAB = "0" * 32
ADA = reviewer("ada")


class BrowserClient:
    """One browser, signed in by default. Use it in `with`, so that the console stops."""

    def __init__(self, stage: Deployed, aws: Aws, *, signed_in: bool = True, **options: Any) -> None:
        self.announced: list[str] = []
        self.logins = Logins(f"http://{HOST}", self.announced.append)
        self.services = Services.of(stage, aws, choices(), ADA, **options)
        self.csrf_token = self.services.csrf_token
        self.app: FastAPI = create_app(LocalAccess(self.services, self.logins, hosts=[HOST]))
        self.client = self.new_client()
        self._signed_in = signed_in

    def new_client(self, **options: Any) -> TestClient:
        """Return a client without cookies."""
        return TestClient(self.app, base_url=f"http://{HOST}", headers={"host": HOST}, **options)

    def __enter__(self) -> "BrowserClient":
        self.client.__enter__()
        if self._signed_in:
            self.client.get(self.logins.start_address, follow_redirects=False)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.__exit__()

    def get(self, path: str) -> Response:
        response: Response = self.client.get(path)
        return response

    def post(self, path: str, **body: Any) -> Response:
        """POST JSON with the CSRF token of the Review page."""
        found = re.search(r'name="csrf-token" content="([^"]+)"', self.get("/").text)
        assert found
        headers = {"origin": f"http://{HOST}", TOKEN_HEADER: found[1]}
        response: Response = self.client.post(path, json=body, headers=headers)
        return response
