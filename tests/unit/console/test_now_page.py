"""The Now page, the strip on the other pages, and what both read."""

import re
from typing import Any

import pytest
from botocore.exceptions import ClientError

from console import now_reader
from console.aws import Aws
from console.now_figures import Endpoint, Execution, Messages, Unreadable, Waiting
from console.now_reader import NowReader
from deploy.outputs import Deployed
from tests.unit import model_stage
from tests.unit.console.browser_client import ADA, BrowserClient
from tests.unit.console.review_requests import send


@pytest.fixture(autouse=True)
def workflows(stage: Deployed) -> None:
    """The workflows of the stage."""
    for name in ("classify", "retrain", "rollback", "batch"):
        model_stage.aws("stepfunctions").create_state_machine(
            name=name,
            definition='{"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}}}',
            roleArn="arn:aws:iam::123456789012:role/any",
        )


def put_alarm(name: str, reason: str = "a test") -> None:
    """Put an alarm of the stage into ALARM."""
    cloudwatch = model_stage.aws("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName=f"scones-test-{name}",
        AlarmDescription=f"The description of {name}.",
        Namespace="N",
        MetricName="M",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
    )
    cloudwatch.set_alarm_state(AlarmName=f"scones-test-{name}", StateValue="ALARM", StateReason=reason)


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page.partition("<main")[2]).split())


def test_every_figure_is_read(stage: Deployed) -> None:
    model_stage.serve()
    send(stage, 1)
    model_stage.waiting(3)
    model_stage.photo_table().mark_unrouted(model_stage.photo(5), "arn:any", model_stage.NOW, error={"Error": "X"})
    model_stage.aws("sqs").send_message(QueueUrl=stage.unrouted_queue_url, MessageBody="{}")
    model_stage.aws("sqs").send_message(QueueUrl=stage.review_dead_letter_queue_url, MessageBody="{}")
    put_alarm("drift")
    put_alarm(
        "made-by-hand", "no datapoints were received for 1 period and 1 missing datapoint was treated as [Breaching]."
    )
    model_stage.aws("stepfunctions").start_execution(stateMachineArn=stage.retrain_model_arn)
    found = NowReader(stage, Aws()).read()
    assert not [value for value in vars(found).values() if isinstance(value, Unreadable)]
    assert isinstance(found.endpoint, Endpoint)
    assert (found.endpoint.status, found.endpoint.config) == ("InService", model_stage.CHAMPION)
    assert isinstance(found.waiting, Waiting)
    assert found.waiting.drivers == 2
    assert (found.reviews, found.audits, found.unrouted, found.failed) == (Messages(1, 0), Messages(0, 0), 1, 2)
    assert not isinstance(found.alarms, Unreadable)
    assert {one.name: (one.level, one.meaning[:15]) for one in found.alarms} == {
        "drift": ("inform", "The photos, or "),
        "made-by-hand": ("page", "The description"),
    }
    assert [one.name for one in found.alarms if one.without_data] == ["made-by-hand"]
    assert found.failures == failures()
    assert isinstance(found.retraining, Execution)
    assert found.retraining.status == "RUNNING"
    assert (found.stage, found.account, found.region) == ("test", "123456789012", "eu-west-1")


def failures(**counted: int) -> dict[str, int]:
    return {
        name: counted.get(name, 0) for name in ("classify-photo", "retrain-model", "rollback-model", "classify-batch")
    }


@pytest.mark.parametrize("name", ["classify-photo", "classify-batch"])
def test_only_failures_of_the_last_day_count(stage: Deployed, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    states = model_stage.aws("stepfunctions")
    machine = {"classify-photo": stage.classify_photo_arn, "classify-batch": stage.classify_batch_arn}[name]
    arn = states.start_execution(stateMachineArn=machine)["executionArn"]
    states.stop_execution(executionArn=arn)
    assert NowReader(stage, Aws()).read().failures == failures(**{name: 1})
    monkeypatch.setattr(now_reader, "FAILURES_SHOWN", -now_reader.FAILURES_SHOWN)
    assert NowReader(stage, Aws()).read().failures == failures()


def test_the_page_says_that_the_endpoint_is_gone_and_what_to_do(stage: Deployed) -> None:
    model_stage.serve()
    model_stage.aws("sagemaker").delete_endpoint(EndpointName=stage.endpoint_name)
    with BrowserClient(stage, Aws()) as browser:
        page = browser.get("/now").text
    assert "act now Endpoint scones-test-vehicles is gone, so every photo goes to review." in text_of(page)
    assert "make repair STAGE=test" in page
    assert "Put it back</button>" not in page.partition("<dialog")[0].partition('id="rows"')[2]


def gone(stage: Deployed) -> None:
    """Delete the endpoint of the champion."""
    model_stage.serve()
    model_stage.aws("sagemaker").delete_endpoint(EndpointName=stage.endpoint_name)


def test_an_operator_puts_the_endpoint_back_from_the_page(stage: Deployed, caplog: pytest.LogCaptureFixture) -> None:
    gone(stage)
    states = model_stage.aws("stepfunctions")
    with BrowserClient(stage, Aws(), operator=True) as browser:
        assert "Put it back</button>" in browser.get("/now").text.partition('id="rows"')[2].partition("</ul>")[0]
        refused = browser.post("/api/repair", confirm="prod")
        assert (refused.status_code, states.list_executions(stateMachineArn=stage.retrain_model_arn)["executions"]) == (
            409,
            [],
        )
        execution = browser.post("/api/repair", confirm="test").json()["execution"]
    assert states.describe_execution(executionArn=execution)["input"] == '{"trigger": "repair"}'
    assert execution.rpartition(":")[2].startswith("repair-")
    assert f"{ADA.id} started {execution} to put the endpoint back" in caplog.text


def test_a_reviewer_who_is_no_operator_does_not_put_the_endpoint_back(
    stage: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone(stage)
    with BrowserClient(stage, Aws()) as browser:
        refused = browser.post("/api/repair", confirm="test")
        assert (refused.status_code, "make repair STAGE=test" in refused.json()["detail"]) == (403, True)
    aws = Aws()

    def deny(**_: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "StartExecution")

    monkeypatch.setattr(aws.stepfunctions, "start_execution", deny)
    with BrowserClient(stage, aws, operator=True) as browser:
        refused = browser.post("/api/repair", confirm="test")
        assert (refused.status_code, "make repair STAGE=test" in refused.json()["detail"]) == (403, True)


def test_the_name_of_prod_is_typed_to_confirm(stage: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    field = re.compile(r'<p( hidden)?><label for="repair-stage">.*?value="(\w*)"')
    with BrowserClient(stage, Aws(), operator=True) as browser:
        assert field.findall(browser.get("/now").text) == [(" hidden", "test")]
    monkeypatch.setattr(Deployed, "stage", "prod")
    with BrowserClient(stage, Aws(), operator=True) as browser:
        assert field.findall(browser.get("/now").text) == [("", "")]


def test_a_figure_that_aws_denies_is_unknown_and_the_page_is_shown(
    stage: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws = Aws()

    def fail(*_: object, **__: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "DescribeAlarms")

    monkeypatch.setattr(aws.cloudwatch, "get_paginator", fail)
    with BrowserClient(stage, aws) as browser:
        text = text_of(browser.get("/now").text)
    assert "unknown Alarms AWS denied a request of the console (AccessDenied)." in text
    assert "ok Waiting drivers No driver waits for a reviewer." in text


def test_every_page_has_a_strip_while_something_is_wrong(stage: Deployed) -> None:
    with BrowserClient(stage, Aws()) as browser:
        assert browser.get("/api/now").json() == {"text": "", "wrong": 0}
        assert re.search(r'id="strip"[^>]* hidden', browser.get("/").text)
    put_alarm("audit-error")
    put_alarm("drift")  # somebody has to look at it within days: no strip
    with BrowserClient(stage, Aws()) as browser:
        strip = browser.get("/api/now").json()
        assert strip["text"].startswith("Alarm audit-error: Reviewers found more wrong decisions")
        assert strip["wrong"] == 1
        for path in ("/", "/upload", "/photos", "/model", "/no-such-page"):
            page = browser.get(path).text
            assert not re.search(r'id="strip"[^>]* hidden', page), path
            assert "Alarm audit-error: Reviewers found" in page


def test_stage_account_and_region_are_on_every_page_and_prod_looks_different(
    stage: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    with BrowserClient(stage, Aws()) as browser:
        page = browser.get("/upload").text
    assert '<b class="stage-name">test</b>' in page
    assert "123456789012 eu-west-1" in page
    assert "production" not in page
    assert "PROD" not in page
    monkeypatch.setattr(Deployed, "stage", "prod")
    with BrowserClient(stage, Aws()) as browser:
        for path in ("/upload", "/no-such-page"):
            page = browser.get(path).text
            assert '<header class="bar production">' in page
            assert "<title>PROD · " in page
        signed_out: Any = browser.new_client().get("/")
    assert '<header class="bar production">' in signed_out.text
