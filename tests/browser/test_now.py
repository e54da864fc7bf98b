"""The Now page in Chromium: see that the endpoint is gone, and put it back."""

import copy
import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import Browser, expect

from console.repair import REPAIR_INPUT
from functions.shared.champion import Champion, ModelTable
from tests.browser.browser_tab import BrowserTab
from tests.browser.conftest import serve_console
from tests.browser.deployed_stage import Stage


@pytest.fixture
def without_endpoint(stage: Stage) -> Iterator[Stage]:
    """The stage with a recorded champion, where the console finds no endpoint."""
    dynamodb, table = stage.aws.dynamodb, stage.deployed.model_table
    ModelTable(table, dynamodb).promote(Champion("vehicles-test-gone", "vehicles-test-gone", "s3://any/model.tar.gz"))
    other = copy.copy(stage)
    other.deployed = replace(stage.deployed, endpoint_name="scones-test-gone")
    yield other
    for name in ("champion", "promoted/vehicles-test-gone", "lock"):
        dynamodb.delete_item(TableName=table, Key={"id": {"S": name}})


def test_the_endpoint_that_is_gone_is_put_back_in_three_actions(without_endpoint: Stage, chromium: Browser) -> None:
    stage = without_endpoint
    states, machine = stage.aws.stepfunctions, stage.deployed.retrain_model_arn
    with serve_console(stage, stage.aws, operator=True) as console, BrowserTab(chromium, console) as tab:
        page = tab.open("/upload")
        expect(page.locator("#strip")).to_contain_text("is gone, so every photo goes to review", timeout=20_000)
        expect(page).to_have_title("Act now · Upload · Scones test")
        page.locator("#strip a").click()
        page.locator("#row-endpoint button").click()
        page.locator("#repair").get_by_role("button", name="Put it back").click()
        expect(page.locator("#repair-progress")).to_contain_text("Started.")
        assert tab.violations() == []
    assert tab.errors == []
    listed = states.list_executions(stateMachineArn=machine)["executions"]
    (execution,) = [one["executionArn"] for one in listed if one["name"].startswith("repair-")]
    assert json.loads(states.describe_execution(executionArn=execution)["input"]) == REPAIR_INPUT
    states.stop_execution(executionArn=execution)
