"""The retrainings on the Model page, and the page of one: verdict, comparison, states."""

import re

import pytest
from botocore.exceptions import ClientError

from console.aws import Aws
from console.comparison import comparisons
from console.retrainings import Retrainings
from deploy.outputs import Deployed
from tests.unit import model_stage
from tests.unit.console.browser_client import BrowserClient
from tests.unit.console.retraining_runs import CHECKS, DIFFERENCES, METRICS, Executions, output, put_report


@pytest.fixture
def aws() -> Aws:
    return Aws()


@pytest.fixture
def executions(stage: Deployed, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Executions:
    return Executions(aws, monkeypatch)


def rows_of(text: str, table: str) -> list[list[str]]:
    """Return the texts of the cells of a table's body."""
    body = text.partition(f'<table class="{table}">')[2].partition("<tbody>")[2].partition("</tbody>")[0]
    rows = re.findall(r"<tr.*?</tr>", body, re.DOTALL)
    return [
        [" ".join(re.sub(r"<[^>]+>", " ", cell).split()) for cell in re.findall(r"<t[dh].*?</t[dh]>", row, re.DOTALL)]
        for row in rows
    ]


def test_every_run_is_listed_also_those_that_promoted_nothing(
    stage: Deployed, aws: Aws, executions: Executions
) -> None:
    executions.add("first", output("m1", outcome="promoted", reason=None, checks=CHECKS[:1], verdict="better"))
    executions.add("few", output("m2", reason="TooFewLabels", checks=[], verdict="3 new labels, 20 are needed"))
    executions.add("broken", None, "FAILED", error="TrainingFailed", cause="out of memory")
    executions.add("worse", output("m4"))
    executions.add("trial", output("m5", reason="DryRun", verdict="dry run: the challenger would be promoted"))
    executions.add("now", None, "RUNNING")
    with BrowserClient(stage, aws) as browser:
        text = browser.get("/model").text
    section = text.partition('id="runs-title"')[2].partition("</section>")[0]
    assert re.findall(r'/model/runs/([a-z]+)"', section) == ["now", "trial", "worse", "broken", "few", "first"]
    assert re.findall(r'<span class="tag tag-\w+">([^<]+)', section) == [
        "running",
        "dry run",
        "rejected",
        "failed",
        "rejected",
        "promoted",
    ]
    for said in ("TrainingFailed: out of memory", "3 new labels, 20 are needed", "1 of 2 passed", "1 of 1 passed"):
        assert said in section
    assert rows_of(section, "checks")[0] == ["possible loss in accuracy", "0.031", "at most 0.020", "✗ fail"]


def test_an_ended_run_is_read_once(stage: Deployed, aws: Aws, executions: Executions) -> None:
    ended, running = executions.add("a", output("m1")), executions.add("b", None, "RUNNING")
    reader = Retrainings(stage, aws)
    for _ in range(3):
        reader.list_newest()
    assert (executions.described.count(ended), executions.described.count(running)) == (1, 3)


def test_an_error_of_aws_leaves_the_rest_of_the_page(
    stage: Deployed, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_stage.serve()

    def deny(**_: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "ListExecutions")

    monkeypatch.setattr(aws.stepfunctions, "list_executions", deny)
    with BrowserClient(stage, aws) as browser:
        text = browser.get("/model").text
    assert "AWS denied a request of the console (AccessDeniedException)" in text
    assert "There was no retraining" not in text
    assert 'id="tradeoff-title"' in text


def test_the_page_of_a_run_compares_both_models_with_paired_intervals(
    stage: Deployed, aws: Aws, executions: Executions
) -> None:
    executions.add("worse", output("m4"))
    put_report("m4")
    with BrowserClient(stage, aws) as browser:
        text = browser.get("/model/runs/worse").text
        assert browser.get("/model/runs/other").status_code == 404
        assert browser.get("/model/runs/a%20b").status_code == 404
    assert "Verdict: 1 of 2 checks passed" in text
    assert "150 vehicles (80 bicycle, 70 motorcycle) and 40 others" in text
    found = {row[0]: row[1:] for row in rows_of(text, "compared")}
    assert found["Accuracy, two classes"] == ["96.0%", "95.0%", "+1.0 (+0.2 to +2.0) points", "better"]
    assert found["Calibration error (ECE)"] == ["0.020", "0.020", "+0.010 (+0.004 to +0.020)", "worse"]
    assert found["AUROC, vehicles against non-vehicles"][-1] == "no clear difference"
    assert found["Recall of bicycle"] == ["97.0%", "95.0%", "–", "–"]


def test_a_run_whose_report_is_gone_is_compared_without_intervals(
    stage: Deployed, aws: Aws, executions: Executions
) -> None:
    executions.add("worse", output("m4"))
    executions.add("elsewhere", output("m5", evaluation="s3://another-bucket/retraining/m5/evaluation.json"))
    with BrowserClient(stage, aws) as browser:
        text, elsewhere = (browser.get(f"/model/runs/{name}").text for name in ("worse", "elsewhere"))
    assert rows_of(text, "compared")[0] == ["Accuracy, two classes", "96.0%", "95.0%", "–", "–"]
    assert "The evaluation report cannot be read." in text
    assert "The evaluation report is not in the ML bucket of this stage." in elsewhere


def test_a_reference_model_and_labelled_photos_are_compared_too() -> None:
    interval = {"mean": 0.1, "low": 0.02, "high": 0.2}
    labelled = {"photos": 40, "challenger_accuracy": 0.9, "champion_accuracy": 0.8, "difference": interval}
    reference = {"model_version": "m0", "metrics": {**METRICS, "accuracy": 0.94}, "differences": DIFFERENCES}
    found = comparisons(output("m4", reference=reference), {"labelled": labelled})
    assert [(one.role, one.other) for one in found] == [
        ("champion", model_stage.CHAMPION),
        ("reference", "m0"),
        ("champion", model_stage.CHAMPION),
    ]
    assert found[1].lines[0].difference is not None
    assert (found[2].photos[:9], found[2].lines[0].difference) == ("40 photos", found[2].lines[0].difference)
    assert found[2].lines[0].difference is not None
    assert found[2].lines[0].difference.means == "better"


def test_a_first_model_is_shown_alone(stage: Deployed, aws: Aws, executions: Executions) -> None:
    executions.add("first", output("m1", compared_with=None, checks=CHECKS[:1]))
    put_report("m1")
    with BrowserClient(stage, aws) as browser:
        text = browser.get("/model/runs/first").text
    assert "The challenger on the holdout" in text
    assert rows_of(text, "compared")[0] == ["Accuracy, two classes", "96.0%"]


def test_the_four_measurements_are_named_for_what_they_are(stage: Deployed, aws: Aws, executions: Executions) -> None:
    executions.add("run", output(model_stage.CHAMPION, outcome="promoted", reason=None, challenger={"accuracy": 0.93}))
    model_stage.serve(
        {
            "data": "cross-fitted predictions",
            "accuracy": 0.971,
            "intervals": {"accuracy": [0.955, 0.985]},
            "vehicles": 900,
            "others": 300,
        }
    )
    for number in range(4):
        model_stage.labelled(number, 0.6, vehicle="bicycle" if number else "motorcycle")
    with BrowserClient(stage, aws) as browser:
        rows = rows_of(browser.get("/model").text, "measurements")
    assert [row[0] for row in rows] == [
        "Validation, after training",
        "Holdout, before the promotion",
        "Audit, in production",
        "Reviews, in production",
    ]
    assert rows[0][1:3] == ["900 vehicles, 300 others", "97.1% (95.5% to 98.5%)"]
    assert "cross-fitting" in rows[0][4]
    assert rows[1][2] == "93.0%"
    assert rows[2][1:] == ["none answered", "–", "–", "No audited decision of it has an answer."]
    assert rows[3][1:3] == ["4 answers in 30 days", "75.0% (19.4% to 99.4%)"]
