"""Entries of functions.yaml, and the errors about them."""

from typing import Any

import pytest

from deploy.errors import DeployError
from deploy.package import FUNCTIONS
from deploy.templates.functions import METRICS_NAMESPACE, add_functions
from functions.shared.observability import NAMESPACE

STATEMENT = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": {"Fn::GetAtt": ["ReviewQueue", "Arn"]}}
ENTRY: dict[str, Any] = {
    "Description": "Counts the orders of a bay",
    "MemorySize": 256,
    "Timeout": 30,
    "Environment": {"EVENT_BUS": {"Ref": "EventBus"}},
    "Statement": [STATEMENT],
}


def expand(entries: dict[str, Any], *folders: str) -> dict[str, Any]:
    template: dict[str, Any] = {"Parameters": {}, "Resources": {}}
    add_functions(template, entries, folders)
    return template


def test_an_entry_becomes_a_log_group_a_role_a_function_and_the_parameter_of_its_zip() -> None:
    template = expand({"count_orders": ENTRY}, "count_orders")
    assert set(template["Resources"]) == {"CountOrdersLogs", "CountOrdersRole", "CountOrdersFunction"}
    assert template["Parameters"] == {"CountOrdersKey": {"Type": "String"}}
    function = template["Resources"]["CountOrdersFunction"]["Properties"]
    assert function["Handler"] == "functions.count_orders.handler.handler"
    assert function["Code"]["S3Key"] == {"Ref": "CountOrdersKey"}
    assert (function["MemorySize"], function["Timeout"]) == (256, 30)
    assert function["Environment"]["Variables"]["EVENT_BUS"] == {"Ref": "EventBus"}
    assert function["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"] == "count-orders"


def test_a_role_may_write_its_own_log_and_has_the_statements_of_its_entry() -> None:
    template = expand({"count_orders": ENTRY}, "count_orders")
    (policy,) = template["Resources"]["CountOrdersRole"]["Properties"]["Policies"]
    logs, own = policy["PolicyDocument"]["Statement"]
    assert logs["Resource"] == {"Fn::GetAtt": ["CountOrdersLogs", "Arn"]}
    assert own == STATEMENT


@pytest.mark.parametrize(
    ("entries", "folders", "message"),
    [
        ({}, ["count_orders"], "functions/count_orders has no entry"),
        ({"count_orders": ENTRY}, [], "count_orders has no functions/count_orders/handler.py"),
        ({"count_orders": {**ENTRY, "Memory": 1}}, ["count_orders"], "count_orders has the unknown field Memory"),
        ({"count_orders": {"Timeout": 3}}, ["count_orders"], "count_orders lacks Description; .* lacks Environment"),
        ({"count_orders": None}, ["count_orders"], "count_orders lacks Timeout"),
    ],
)
def test_a_mistake_in_an_entry_is_named(entries: dict[str, Any], folders: list[str], message: str) -> None:
    with pytest.raises(DeployError, match=message):
        expand(entries, *folders)


def test_a_schedule_invokes_its_function_which_lambda_does_not_repeat() -> None:
    entry = {**ENTRY, "Schedule": {"Expression": "rate(1 hour)", "Input": "{}"}}
    resources = expand({"count_orders": entry}, "count_orders")["Resources"]
    rule, permission = (resources[f"CountOrders{name}"]["Properties"] for name in ("Schedule", "Permission"))
    (target,) = rule["Targets"]
    assert (rule["ScheduleExpression"], target["Input"]) == ("rate(1 hour)", "{}")
    assert target["Arn"] == {"Fn::GetAtt": ["CountOrdersFunction", "Arn"]}
    assert target["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": ["UnroutedQueue", "Arn"]}}
    assert permission["SourceArn"] == {"Fn::GetAtt": ["CountOrdersSchedule", "Arn"]}
    assert permission["FunctionName"] == {"Ref": "CountOrdersFunction"}
    assert resources["CountOrdersInvocations"]["Properties"]["MaximumRetryAttempts"] == 0


def test_a_run_that_is_not_repeated_is_not_kept() -> None:
    retries = {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60}
    entry = {**ENTRY, "Schedule": {"Expression": "rate(1 minute)", "Input": "{}", "RetryPolicy": retries}}
    (target,) = expand({"count_orders": entry}, "count_orders")["Resources"]["CountOrdersSchedule"]["Properties"][
        "Targets"
    ]
    assert target["RetryPolicy"] == retries
    assert "DeadLetterConfig" not in target


def test_every_folder_with_a_handler_is_a_function() -> None:
    assert "classify_photo" in FUNCTIONS
    assert "shared" not in FUNCTIONS


def test_metrics_have_the_namespace_that_the_environment_names() -> None:
    assert METRICS_NAMESPACE == NAMESPACE
