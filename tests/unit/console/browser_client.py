"""An HTTP client of the console that sends the headers of its pages."""

import re
from typing import Any

from httpx import Response
from starlette.testclient import TestClient

from console.answers import choices
from console.aws import Aws
from console.web.app import create_app
from console.web.security import TOKEN_HEADER
from console.web.services import Services
from deploy.outputs import Deployed

HOST = "127.0.0.1:8080"
TAB = "0" * 32


class BrowserClient:
    """One browser. Use it in `with`, so that the console stops."""

    def __init__(self, stage: Deployed, aws: Aws, **options: Any) -> None:
        app = create_app(Services.of(stage, aws, choices(), **options), hosts=[HOST])
        self._client = TestClient(app, base_url=f"http://{HOST}", headers={"host": HOST})

    def __enter__(self) -> "BrowserClient":
        self._client.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.__exit__()

    def get(self, path: str) -> Response:
        response: Response = self._client.get(path)
        return response

    def post(self, path: str, **body: Any) -> Response:
        """POST JSON with the CSRF token of the Review page."""
        found = re.search(r'name="csrf-token" content="([^"]+)"', self.get("/").text)
        assert found
        headers = {"origin": f"http://{HOST}", TOKEN_HEADER: found[1]}
        response: Response = self._client.post(path, json=body, headers=headers)
        return response
