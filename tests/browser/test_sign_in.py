"""Sign in with the start address, and the pages of a browser that is not signed in or when AWS does not respond."""

from typing import Any
from unittest.mock import patch

import pytest
from botocore.exceptions import EndpointConnectionError
from playwright.sync_api import Browser, Page, expect

from console.aws import Aws
from tests.browser.browser_tab import WIDTHS, BrowserTab, screenshot
from tests.browser.conftest import RunningConsole, serve_console
from tests.browser.deployed_stage import Stage


@pytest.fixture
def stranger(chromium: Browser, console: RunningConsole) -> BrowserTab:
    """A browser that is not signed in."""
    return BrowserTab(chromium, console, signed_in=False)


def sign_in(page: Page, console: RunningConsole) -> str:
    """Open the start address, which leads to the Review page by itself; return it."""
    address = console.logins.start_address
    page.goto(address)
    expect(page.locator("#reviewer-name")).to_have_text("Ada")
    return address


def test_the_start_address_signs_a_browser_in_once(
    chromium: Browser, console: RunningConsole, stranger: BrowserTab
) -> None:
    page = stranger.open("/")
    expect(page.locator("h1")).to_have_text("This browser is not signed in")
    address = sign_in(page, console)
    expect(page.locator("footer")).to_contain_text("AWS identity AIDA")
    assert page.url == f"{console.address}/"
    assert page.evaluate("document.cookie") == ""
    assert "token" not in page.evaluate("document.referrer")
    page.goto(f"{console.address}/photos")
    assert page.go_back()
    assert page.url == f"{console.address}/"
    other = BrowserTab(chromium, console, signed_in=False)
    other.page.goto(address)
    expect(other.page.locator("h1")).to_have_text("This start address is not valid any more")
    sign_in(other.page, console)


def test_a_link_from_another_site_needs_one_more_click(console: RunningConsole, stranger: BrowserTab) -> None:
    page = stranger.page
    sign_in(page, console)
    site = "http://other.example/"
    page.route(
        site, lambda route: route.fulfill(body=f'<a href="{console.address}/model">model</a>', content_type="text/html")
    )
    page.goto(site)
    page.get_by_role("link").click()
    # The browser does not send the cookie of the session with a request that another site caused.
    expect(page.locator("h1")).to_have_text("This browser is not signed in")
    page.get_by_role("link", name="Try again").click()
    expect(page.locator("#reviewer-name")).to_have_text("Ada")


def test_a_start_address_that_another_site_links_to_signs_in(console: RunningConsole, stranger: BrowserTab) -> None:
    page = stranger.page
    site = "http://other.example/"
    link = f'<a href="{console.logins.start_address}">start</a>'
    page.route(site, lambda route: route.fulfill(body=link, content_type="text/html"))
    page.goto(site)
    page.get_by_role("link").click()
    expect(page.locator("#reviewer-name")).to_have_text("Ada")
    assert page.url == f"{console.address}/"
    assert "token" not in page.evaluate("document.referrer")


def test_a_page_that_was_open_when_the_console_restarted_says_what_to_do(
    stage: Stage, chromium: Browser, console: RunningConsole, stranger: BrowserTab
) -> None:
    page = stranger.page
    sign_in(page, console)
    expect(page.locator("#empty-title")).to_have_text("The queue is empty")
    # As after a restart: no session of before is known.
    stranger.context.clear_cookies()
    expect(page.locator("#banner")).to_contain_text("Open the newest start address")


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_without_a_session_is_readable(chromium: Browser, console: RunningConsole, width: str) -> None:
    tab = BrowserTab(chromium, console, width, signed_in=False)
    for path, name in (("/photos", "sign-in"), ("/start?token=old", "start-used")):
        page = tab.open(path)
        screenshot(page, name, width)
        assert tab.violations() == []
        assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0


@pytest.mark.parametrize("width", WIDTHS)
def test_a_page_that_aws_does_not_answer_tries_again_until_aws_does(
    stage: Stage, chromium: Browser, width: str
) -> None:
    aws = Aws()

    def fail(*_: object, **__: object) -> Any:
        raise EndpointConnectionError(endpoint_url="http://127.0.0.1:4566")

    with serve_console(stage, aws) as console, BrowserTab(chromium, console, width) as tab:
        with patch.object(aws.dynamodb, "query", fail):
            page = tab.open("/photos")
            expect(page.locator("h1")).to_have_text("AWS does not answer as expected")
            expect(page.locator("main")).to_contain_text("AWS cannot be reached")
            expect(page.locator("#retry-status")).to_contain_text("Tried again at", timeout=20_000)
            screenshot(page, "aws-down", width)
            assert tab.violations() == []
        expect(page.locator("h1")).to_have_text("Photos", timeout=20_000)
