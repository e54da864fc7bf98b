"""The Model page: the champion, its trade-off, and the marks of rolled back and initial models."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from console.aws import Aws
from console.champion import ChampionReader
from deploy.outputs import Deployed
from functions.shared.champion import INITIAL, Champion, ModelTable, Reference
from functions.shared.drift import Comparison
from functions.shared.drift_state import DRIFT, NO_DRIFT, TOO_FEW, Drift, DriftState, DriftTable, Look
from tests.unit import model_stage
from tests.unit.console.browser_client import BrowserClient

INITIAL_MODEL, SECOND, THIRD = (f"vehicles-test-{number}" for number in ("1", "2", "3"))
AT = "2026-11-26T10:00:00.000Z"


@pytest.fixture
def stage_after_rollback(stage: Deployed) -> Deployed:
    """A stage with three models; its champion is the second, restored in place of the third."""
    models = ModelTable("models", model_stage.aws("dynamodb"))
    initial = Champion("initial-abc", INITIAL_MODEL, "s3://scones-ml/a", promoted_at=AT, origin=INITIAL)
    second = Champion(SECOND, SECOND, "s3://scones-ml/b", promoted_at=AT, previous="initial-abc")
    third = Champion(THIRD, THIRD, "s3://scones-ml/c", promoted_at=AT, previous=SECOND)
    for champion in (initial, second, third):
        models.promote(champion)
    models.acquire_lock("arn:rollback", datetime.now(UTC), lambda holder: True)
    marked = third.as_rolled_back(AT, "bicycles went to the motorcycles' bay", "arn:rollback")
    models.record_rollback(second.as_restored(AT), marked, "arn:rollback")
    for name in (INITIAL_MODEL, SECOND, THIRD):
        model_stage.aws("sagemaker").create_model(
            ModelName=name,
            ExecutionRoleArn="arn:aws:iam::123456789012:role/any",
            PrimaryContainer={"Image": "image", "ModelDataUrl": f"s3://scones-ml/{name}.tar.gz"},
        )
    return stage


def serve(name: str) -> None:
    sagemaker = model_stage.aws("sagemaker")
    variant = {"VariantName": "AllTraffic", "ModelName": name, "InstanceType": "ml.m5.large"}
    sagemaker.create_endpoint_config(
        EndpointConfigName=name, ProductionVariants=[{**variant, "InitialInstanceCount": 1}]
    )
    sagemaker.create_endpoint(EndpointName="scones-test-vehicles", EndpointConfigName=name)


def page(stage: Deployed) -> str:
    with BrowserClient(stage, Aws()) as browser:
        response = browser.get("/model")
    assert response.status_code == 200
    return " ".join(response.text.split())


def row(text: str, name: str) -> str:
    return text.partition(f'<td class="code">{name}')[2].partition("</tr>")[0]


def test_a_model_that_was_rolled_back_is_marked_with_the_reason(stage_after_rollback: Deployed) -> None:
    serve(SECOND)
    text = page(stage_after_rollback)
    assert "rolled back" in row(text, THIRD)
    assert "rolled back" not in row(text, SECOND)
    assert "champion" in row(text, SECOND)
    reason = "bicycles went to the motorcycles&#39; bay"
    assert f"{THIRD} was rolled back at 2026-11-26 10:00 UTC: {reason}" in text
    assert "Restored by a rollback at 2026-11-26 10:00 UTC" in text


def test_the_reference_model_is_marked(stage_after_rollback: Deployed) -> None:
    serve(SECOND)
    assert ">reference<" not in page(stage_after_rollback)
    reference = Reference("initial-abc", "s3://scones-ml/a", AT, "the first champion")
    ModelTable("models", model_stage.aws("dynamodb")).set_reference(reference)
    text = page(stage_after_rollback)
    assert ">reference<" in row(text, INITIAL_MODEL)
    assert text.count(">reference<") == 1


def test_an_initial_model_is_shown_as_not_compared(stage_after_rollback: Deployed) -> None:
    serve(INITIAL_MODEL)
    text = page(stage_after_rollback)
    assert "This is an initial model. It was not compared with another model." in text
    assert "initial, not compared" in row(text, INITIAL_MODEL)
    assert "initial, not compared" not in row(text, SECOND)


def test_the_page_shows_two_charts_and_a_table_with_the_chosen_threshold_marked(stage: Deployed) -> None:
    model_stage.serve()
    model_stage.set_threshold("0.98")
    text = page(stage)
    assert "At most 1% of the automatic decisions may be wrong" in text
    section = text.partition('id="tradeoff-title"')[2].partition("</section>")[0]
    assert section.count("<svg") == 2
    assert "chosen: threshold 0.935, 0.3% (≤0.7%), 91.4% decided" in section
    assert "in force: threshold 0.980" in section
    assert "Decided automatically (% of vehicles)" in section
    rows = re.findall(r"<tr.*?</tr>", section)
    assert len(rows) == 1 + 13
    for heading in ("Decided automatically", "Errors among automatic decisions", "Non-vehicles let through"):
        assert heading in rows[0]
    chosen = next(row for row in rows if ">chosen<" in row)
    assert re.findall(r'<td class="number">([^<]+)', chosen) == [
        "0.935 ",
        "91.4%",
        "0.3% (≤0.7%)",
        "2.7% (≤3.5%)",
        "130",
    ]


def test_a_model_without_operating_points_has_no_trade_off(stage: Deployed) -> None:
    model_stage.serve(report={"accuracy": 0.97})
    text = page(stage)
    assert "This model has no measured trade-off" in text
    assert "<polyline" not in text


def test_the_page_without_a_model_has_no_trade_off(stage: Deployed) -> None:
    assert "tradeoff-title" not in page(stage)


def test_an_endpoint_that_is_gone_can_be_put_back_and_a_stage_without_a_model_is_told_to_train(stage: Deployed) -> None:
    assert "<code>make retrain</code> trains and deploys a model" in page(stage)
    model_stage.serve()
    model_stage.aws("sagemaker").delete_endpoint(EndpointName=stage.endpoint_name)
    assert '<a class="button" href="/now">Put the endpoint back</a>' in page(stage)


def test_the_page_describes_the_figures_of_the_report(stage: Deployed) -> None:
    model_stage.serve(report={"accuracy_with_other": 0.94, "error_accepted": 0.006, "other_accepted": 0.02})
    text = page(stage)
    for title in (
        "Accuracy, three classes",
        "Errors among automatic decisions (target ≤ 1%)",
        "Non-vehicles let through",
    ):
        assert f"<dt>{title}</dt>" in text


def test_a_threshold_that_cannot_be_read_is_not_shown_as_the_models_own(stage: Deployed) -> None:
    model_stage.serve()
    model_stage.aws("ssm").delete_parameter(Name=model_stage.PARAMETER)
    text = page(stage)
    assert "The threshold cannot be read" in text
    assert "<dt>Threshold</dt><dd>–</dd>" in text


def test_a_model_whose_files_cannot_be_read_is_logged_and_read_again(
    stage: Deployed, caplog: pytest.LogCaptureFixture
) -> None:
    model_stage.serve()
    found = model_stage.aws("s3").get_object(Bucket="scones-ml", Key="model.tar.gz")["Body"].read()
    model_stage.aws("s3").delete_object(Bucket="scones-ml", Key="model.tar.gz")
    reader = ChampionReader(stage, Aws())
    champion = reader.read().champion
    assert champion is not None
    assert champion.threshold is None
    assert f"the files of the model {champion.name} cannot be read: " in caplog.text
    model_stage.aws("s3").put_object(Bucket="scones-ml", Key="model.tar.gz", Body=found)
    champion = reader.read().champion
    assert champion is not None
    assert champion.threshold == 0.935


def watched(**changes: Any) -> DriftState:
    """Write and return what the watch knows about the champion."""
    compared = Comparison("brightness", 1.312, 0.276, 412, "production", "under 0.3: 20.0% before, 86.2% now", False)
    same = replace(compared, statistic="confidence", psi=0.011, change="under 0.9: 3.0% before, 3.3% now")
    look = Look(AT, "2026-11-27T10:00:00.000Z", 412, DRIFT, 0.519, (same, compared))
    drift = Drift(
        AT,
        AT,
        "2026-11-27T10:00:00.000Z",
        "2026-11-27T10:05:00.000Z",
        412,
        (compared,),
        required=100,
        labels=31,
        announced=True,
    )
    state = DriftState(model_stage.CHAMPION, 0.935, AT, AT, look=look, drift=drift)
    return DriftTable("models", model_stage.aws("dynamodb")).write(replace(state, **changes))


def drift_section(stage: Deployed) -> str:
    return page(stage).partition('id="drift-title"')[2].partition("</section>")[0]


def test_the_page_shows_the_drift_that_the_watch_has_found(stage: Deployed) -> None:
    model_stage.serve()
    watched()
    section = drift_section(stage)
    assert "Drift in brightness since 2026-11-26 10:00 UTC. 31 of its photos are labelled; at 100 a model" in section
    assert "412 photos from 2026-11-26 10:00 until 2026-11-27 10:00 UTC, 51.9% sent to a reviewer" in section
    rows = re.findall(r"<tr.*?</tr>", section)
    assert ["drifts" in row for row in rows[1:]] == [False, True]
    assert "under 0.3: 20.0% before, 86.2% now" in rows[2]
    assert "Not watched yet: confidence, vehicle" in section


def test_the_answers_of_reviewers_change_neither_drift_nor_review_rate(stage: Deployed) -> None:
    """The page measured how fast reviewers were: photos that wait were not among the compared ones."""
    model_stage.serve()
    watched(drift=None)
    before = drift_section(stage)
    for number in range(36):
        model_stage.labelled(number, 0.5)
    assert drift_section(stage) == before


def test_the_drift_of_another_model_is_not_shown_as_that_of_the_champion(stage: Deployed) -> None:
    model_stage.serve()
    watched(model_version="another")
    assert "has not looked at this model yet" in drift_section(stage)
    assert "brightness" not in drift_section(stage)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"look": None, "drift": None}, "No period of this model has ended yet"),
        ({"look": Look(AT, AT, 12, TOO_FEW, 0.5), "drift": None}, "Too few photos to compare. Last look: 12 photos"),
        ({"look": Look(AT, AT, 120, NO_DRIFT, 0.5), "drift": None}, "Nothing was compared yet."),
    ],
)
def test_no_result_is_not_shown_as_no_drift(stage: Deployed, changes: dict[str, Any], text: str) -> None:
    model_stage.serve()
    watched(**changes)
    assert text in drift_section(stage)
    assert "No drift" not in drift_section(stage)
