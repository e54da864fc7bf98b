"""The page for other teams in Chromium: copy an event, send a test event, read the APIs, at every width."""

import json
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.browser_tab import BrowserTab, screenshot
from tests.browser.conftest import RunningConsole, serve_console
from tests.browser.deployed_stage import Stage
from tests.support.waiting import eventually


def test_an_event_is_copied(session_stage: Stage, chromium: Browser, console: RunningConsole) -> None:
    tab = BrowserTab(chromium, console)
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = tab.open("/now")
    page.locator(".bar nav").get_by_role("link", name="Teams").click()
    page.get_by_role("button", name="Copy Driver Routed").click()
    expect(page.locator("#event-driver_routed .copy-said")).to_have_text("Copied.")
    event = json.loads(page.evaluate("navigator.clipboard.readText()"))
    assert event["detail-type"] == "Driver Routed"
    assert event["detail"]["photo"]["bucket"] == session_stage.deployed.uploads_bucket
    assert tab.errors == []


def test_without_the_clipboard_the_text_is_selected(chromium: Browser, console: RunningConsole) -> None:
    tab = BrowserTab(chromium, console)
    tab.page.add_init_script(
        "const writeText = async () => { throw new Error('denied'); };"
        "Object.defineProperty(navigator, 'clipboard', {value: {writeText}});"
    )
    page = tab.open("/teams")
    page.get_by_role("button", name="Copy Event bus, ARN").click()
    expect(page.locator("dd", has=page.locator("#name-2")).get_by_role("status")).to_contain_text("Selected; copy it")
    assert page.evaluate("getSelection().toString()") == page.locator("#name-2").text_content()


def test_an_operator_sends_a_test_event_to_a_rule_of_another_team(session_stage: Stage, chromium: Browser) -> None:
    stage = session_stage
    bus, rule = stage.deployed.event_bus, {"Name": "partner-tests", "EventBusName": stage.deployed.event_bus}
    send = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [{**send, "Resource": "*"}]})
    queue = stage.aws.sqs.create_queue(QueueName="partner-tests", Attributes={"Policy": policy})["QueueUrl"]
    arn = stage.aws.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    stage.aws.events.put_rule(**rule, EventPattern='{"source": ["scones.vehicles.test"]}')
    stage.aws.events.put_targets(Rule=rule["Name"], EventBusName=bus, Targets=[{"Id": "1", "Arn": arn}])
    before = executions(stage)
    with serve_console(stage, stage.aws, operator=True) as console, BrowserTab(chromium, console) as tab:
        page = tab.open("/teams")
        section = page.locator("#event-retraining_needed")
        section.locator("summary").click()
        section.get_by_role("button", name="Send a test event").click()
        assert tab.violations() == []
        page.locator("#test-event").get_by_role("button", name="Send it").click()
        expect(section.get_by_role("status").last).to_contain_text("Sent from scones.vehicles.test, id ")
        sent = str(section.get_by_role("status").last.text_content()).rpartition(" ")[2]
    assert tab.errors == []
    (message,) = eventually(lambda: stage.aws.sqs.receive_message(QueueUrl=queue).get("Messages"))
    event = json.loads(message["Body"])
    assert (event["id"], event["source"], event["detail-type"]) == (sent, "scones.vehicles.test", "Retraining Needed")
    assert executions(stage) == before, "the event without `.test` would have started a retraining"


def executions(stage: Stage) -> list[Any]:
    machine = stage.deployed.retrain_model_arn
    return [one["name"] for one in stage.aws.stepfunctions.list_executions(stateMachineArn=machine)["executions"]]


@pytest.mark.parametrize("width", [320, 360, 768, 1366])
def test_the_pages_can_be_read_at_every_width(chromium: Browser, session_stage: Stage, width: int) -> None:
    with (
        serve_console(session_stage, session_stage.aws, operator=True) as console,
        BrowserTab(chromium, console, (width, 740)) as tab,
    ):
        for path, name in (("/teams", "teams"), ("/teams/api", "teams-api")):
            page = tab.open(path)
            page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
            overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert overflow <= 0, path
            assert tab.violations() == [], path
            page.evaluate("document.querySelectorAll('details').forEach((one, i) => { one.open = !i; })")
            screenshot(page, name, f"{width}")
        links = page.locator(".bar nav a")
        seen = links.evaluate_all("all => all.map(one => one.getBoundingClientRect().right <= innerWidth)")
        assert all(seen), "a link of the navigation is cut off"
    assert tab.errors == []
