"""What the Review page says while the photos of the champion drift."""

from dataclasses import replace
from typing import Any

from deploy.outputs import Deployed
from functions.shared.drift import Comparison
from functions.shared.drift_state import Drift, DriftState, DriftTable
from tests.unit import model_stage
from tests.unit.console.browser_client import TAB, BrowserClient
from tests.unit.console.review_requests import FakeAws

AT = "2026-11-26T10:00:00.000Z"
COMPARED = Comparison("brightness", 1.312, 0.276, 412, "production", "under 0.3: 20.0% before, 86.2% now", False)
DRIFT = Drift(AT, AT, AT, AT, 412, (COMPARED,), required=100, labels=31, share="0.2", share_before="setting")


def attention(stage: Deployed, version: str = model_stage.CHAMPION, **changes: Any) -> str | None:
    """Return what a new console says about a drift of a model."""
    model_stage.serve()
    table = DriftTable("models", model_stage.aws("dynamodb"))
    found = table.read()
    state = DriftState(version, 0.935, AT, AT, drift=replace(DRIFT, **changes), revision=found.revision if found else 0)
    table.write(state)
    with BrowserClient(stage, FakeAws()) as browser:
        text: str | None = browser.post("/api/take", tab=TAB).json()["attention"]
    return text


def test_reviewers_are_told_of_a_drift_and_of_the_labels_that_a_retraining_lacks(stage: Deployed) -> None:
    assert attention(stage) == (
        "The photos have changed since 2026-11-26 10:00 UTC (brightness). 20% of the model's decisions are audited "
        "until it ends. 31 of 100 labels for a retraining: please answer the audits, too."
    )
    assert "A retraining was requested" in (attention(stage, retraining_at=AT) or "")


def test_a_drift_of_an_earlier_model_and_a_stage_without_drift_need_no_attention(stage: Deployed) -> None:
    with BrowserClient(stage, FakeAws()) as browser:
        assert browser.post("/api/take", tab=TAB).json()["attention"] is None
    assert attention(stage, version="an-earlier-model") is None
