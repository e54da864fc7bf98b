"""The operators' buttons of the Model page: retrain, dry run, roll back, set the threshold."""

import json
import re
from typing import Any

import pytest
from botocore.exceptions import ClientError

from console.aws import Aws
from deploy.outputs import Deployed
from functions.shared.champion import Champion, ModelTable
from tests.unit import model_stage
from tests.unit.console.browser_client import ADA, BrowserClient
from tests.unit.console.retraining_runs import Executions

REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("retrain", {"dry_run": False}),
    ("rollback", {}),
    ("threshold", {"value": 0.97}),
]


@pytest.fixture(autouse=True)
def workflows(stage: Deployed) -> None:
    """The workflows of the stage."""
    for name in ("classify", "retrain", "rollback"):
        model_stage.aws("stepfunctions").create_state_machine(
            name=name,
            definition='{"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}}}',
            roleArn="arn:aws:iam::123456789012:role/any",
        )


def started(workflow: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the names and inputs of the executions of a workflow."""
    states = model_stage.aws("stepfunctions")
    listed = states.list_executions(stateMachineArn=workflow)["executions"]
    described = [states.describe_execution(executionArn=one["executionArn"]) for one in listed]
    return [(one["name"], json.loads(one["input"])) for one in described]


@pytest.mark.parametrize(("dry_run", "prefix"), [(False, "retrain-"), (True, "dry-run-")])
def test_an_operator_starts_a_retraining(
    stage: Deployed, caplog: pytest.LogCaptureFixture, dry_run: bool, prefix: str
) -> None:
    with BrowserClient(stage, Aws(), operator=True) as browser:
        address = browser.post("/api/model/retrain", confirm="test", dry_run=dry_run).json()["address"]
        assert browser.get(address).status_code == 200
    ((name, request),) = started(stage.retrain_model_arn)
    assert address == f"/model/runs/{name}"
    assert name.startswith(f"{prefix}{ADA.id}-")
    assert request == {"trigger": "manual", "dry_run": dry_run}
    assert f"{ADA.id} started the retraining {name}" in caplog.text


def test_an_operator_starts_a_rollback(stage: Deployed, caplog: pytest.LogCaptureFixture) -> None:
    with BrowserClient(stage, Aws(), operator=True) as browser:
        address = browser.post("/api/model/rollback", confirm="test").json()["address"]
        assert "<h1>Rollback rollback-" in browser.get(address).text
    ((name, request),) = started(stage.rollback_model_arn)
    assert address == f"/model/rollbacks/{name}"
    assert request == {"trigger": "manual", "reason": f"requested in the console by {ADA.id}"}
    assert f"{ADA.id} started the rollback {name}" in caplog.text


@pytest.mark.parametrize(("value", "stored"), [(0.97, "0.97"), (None, "model")])
def test_an_operator_sets_the_threshold_and_the_parameter_says_who(
    stage: Deployed, caplog: pytest.LogCaptureFixture, value: float | None, stored: str
) -> None:
    with BrowserClient(stage, Aws(), operator=True) as browser:
        assert browser.post("/api/model/threshold", confirm="test", value=value).status_code == 200
    last = model_stage.aws("ssm").get_parameter_history(Name=model_stage.PARAMETER)["Parameters"][-1]
    assert (last["Value"], last["Description"]) == (stored, f"Set in the console by {ADA.id}")
    assert f"{ADA.id} set the threshold to" in caplog.text


@pytest.mark.parametrize("value", [1.5, -0.1, "much", True])
def test_what_is_no_threshold_is_refused(stage: Deployed, value: object) -> None:
    with BrowserClient(stage, Aws(), operator=True) as browser:
        assert browser.post("/api/model/threshold", confirm="test", value=value).status_code == 422
    assert model_stage.aws("ssm").get_parameter(Name=model_stage.PARAMETER)["Parameter"]["Value"] == "model"


@pytest.mark.parametrize(("action", "body"), REQUESTS)
def test_the_stage_is_confirmed_and_a_reviewer_is_refused(
    stage: Deployed, action: str, body: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with BrowserClient(stage, Aws(), operator=True) as browser:
        refused = browser.post(f"/api/model/{action}", confirm="prod", **body)
    assert (refused.status_code, refused.json()["detail"]) == (409, "This is stage test. Type its name to confirm.")
    with BrowserClient(stage, Aws()) as browser:
        refused = browser.post(f"/api/model/{action}", confirm="test", **body)
    assert (refused.status_code, f"make {action} STAGE=test" in refused.json()["detail"]) == (403, True)
    aws = Aws()

    def deny(**_: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "StartExecution")

    monkeypatch.setattr(aws.stepfunctions, "start_execution", deny)
    monkeypatch.setattr(aws.ssm, "put_parameter", deny)
    with BrowserClient(stage, aws, operator=True) as browser:
        refused = browser.post(f"/api/model/{action}", confirm="test", **body)
    assert (refused.status_code, "an operator has to do it" in refused.json()["detail"]) == (403, True)
    assert started(stage.retrain_model_arn) == started(stage.rollback_model_arn) == []
    assert model_stage.aws("ssm").get_parameter(Name=model_stage.PARAMETER)["Parameter"]["Value"] == "model"


def test_only_operators_see_the_buttons_and_prod_is_typed(stage: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    model_stage.serve()
    model_stage.set_threshold("0.95")
    with BrowserClient(stage, Aws()) as browser:
        assert "data-opens" not in browser.get("/model?threshold=0.97").text
    fields = re.compile(r'<p( hidden)?><label for="[\w-]+-stage">.*?value="(\w*)"')
    with BrowserClient(stage, Aws(), operator=True) as browser:
        text = browser.get("/model?threshold=0.97").text
    assert re.findall(r'data-opens="([\w-]+)"', text) == ["retrain", "dry-run", "own-threshold", "save-threshold"]
    assert set(re.findall(r'data-opens="([\w-]+)"', text)) == set(re.findall(r'<dialog id="([\w-]+)" data-ad', text))
    assert set(fields.findall(text)) == {(" hidden", "test")}
    models = ModelTable("models", model_stage.aws("dynamodb"))
    models.promote(Champion(model_stage.CHAMPION, model_stage.CHAMPION, "s3://scones-ml/a", previous="vehicles-old"))
    monkeypatch.setattr(Deployed, "stage", "prod")
    with BrowserClient(stage, Aws(), operator=True) as browser:
        text = browser.get("/model").text
    assert "The endpoint serves vehicles-old again" in text
    assert set(fields.findall(text)) == {("", "")}


def test_the_page_of_a_rollback_shows_its_outcome(stage: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    aws = Aws()
    arn = Executions(aws, monkeypatch).add(
        "rb", {"outcome": "rolled back", "champion": "m0", "verdict": "m0 is in production again"}
    )
    described = aws.stepfunctions.describe_execution(executionArn=arn)
    monkeypatch.setattr(aws.stepfunctions, "describe_execution", lambda **_: described)
    with BrowserClient(stage, aws) as browser:
        text = browser.get("/model/rollbacks/rb").text
    assert '<span class="tag tag-model">rolled back</span>' in text
    assert "m0 is in production again" in text
