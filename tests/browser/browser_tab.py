"""A tab of Chromium with a page of the console."""

import os
from pathlib import Path
from typing import Any, Self

from playwright.sync_api import Browser, ConsoleMessage, Page

from tests.browser.conftest import RunningConsole

AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text()
SCREENSHOTS = os.environ.get("SCREENSHOTS")
# Pairs of texts in the header that cover each other.
COVERED = """() => {
    const parts = [...document.querySelectorAll(".where > span, .reviewer")];
    const boxes = parts.map(part => [part.textContent, part.getBoundingClientRect()]).filter(([, box]) => box.width);
    return boxes.flatMap(([one, a], at) => boxes.slice(at + 1)
        .filter(([, b]) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1)
        .map(([other]) => [one, other]));
}"""
WIDTHS = {"desktop": (1280, 860), "phone": (390, 844)}


class BrowserTab:
    """A tab of the console. It records errors of the page and requests to other sites.

    The fixture `chromium` closes it after the test. Enter it as a context manager when its console stops before that.
    """

    def __init__(
        self,
        browser: Browser,
        console: RunningConsole,
        width: str | tuple[int, int] = "desktop",
        scheme: Any = "light",
        *,
        signed_in: bool = True,
        phone: bool = False,
    ) -> None:
        w, h = WIDTHS[width] if isinstance(width, str) else width
        self.context = browser.new_context(
            viewport={"width": w, "height": h}, color_scheme=scheme, has_touch=phone, is_mobile=phone
        )
        self.page: Page = self.context.new_page()
        self.address = console.address
        self.errors: list[str] = []
        self.foreign_requests: list[str] = []
        self.page.set_default_timeout(15_000)
        self.page.on("console", self._record_message)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self._record_request(request.url))
        if signed_in:
            session = console.logins.start_session(console.logins.start_address.partition("=")[2])
            self.context.add_cookies(
                [{"name": console.logins.session_cookie, "value": str(session), "url": console.address}]
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()

    def _record_message(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(f"{message.text} {message.location.get('url', '')}".strip())

    def _record_request(self, url: str) -> None:
        if not url.startswith((self.address, f"blob:{self.address}")):
            self.foreign_requests.append(url)

    def open(self, path: str) -> Page:
        """Open a page of the console and return it."""
        self.page.goto(self.address + path)
        return self.page

    def violations(self) -> list[str]:
        """Return the accessibility violations that axe-core finds."""
        self.page.evaluate(AXE)
        found = self.page.evaluate("axe.run()")["violations"]
        return [f"{one['id']}: {[node['html'][:150] for node in one['nodes']]}" for one in found]


def screenshot(page: Page, name: str, width: str) -> None:
    """Save a screenshot for docs/ in the folder that the variable SCREENSHOTS names."""
    if SCREENSHOTS:
        page.screenshot(path=Path(SCREENSHOTS) / f"console-{name}-{width}.png", full_page=name != "review")
