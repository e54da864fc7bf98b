"""The reference model of the gate: losses of several promotions do not add up."""

from typing import Any

import pytest

from functions.judge_challenger.gate import Gate, Verdict, judge
from functions.shared.checks import Check

PROMOTIONS = 20


def model(version: str, accuracy: float = 0.95, **metrics: Any) -> dict[str, Any]:
    recall = {"bicycle": accuracy, "motorcycle": accuracy}
    figures = {"accuracy": accuracy, "ece": 0.02, "auroc": 0.97, "recall": recall, "threshold": 0.9}
    return {"model_version": version, **figures, **metrics}


class Stage:
    """A stage that retrains on labels of an attacker: the challenger is always better on the labelled photos.

    The holdout is large: the intervals of the differences reach 0.0005 to each side.
    """

    def __init__(self, first: dict[str, Any]) -> None:
        self.champion = self.reference = first

    def offer(self, challenger: dict[str, Any], **options: Any) -> Verdict:
        """Judge a challenger, and make it champion and reference as the verdict says."""
        report = {
            "challenger": challenger,
            "champion": self.champion,
            "reference": {
                "model_version": self.reference["model_version"],
                "error": None,
                "metrics": self.reference,
                "differences": differences(challenger, self.reference),
            },
            "labels": {"distrusted": [], "left_out": {}},
            "holdout": {
                "photos_by_vehicle": {"bicycle": 1000, "motorcycle": 1000},
                "differences": differences(challenger, self.champion),
            },
            "labelled": {"photos": 100, "challenger_accuracy": 0.9, "champion_accuracy": 0.8},
        }
        verdict = judge(report, Gate(), **options)
        if verdict.promote:
            self.champion = challenger
            self.reference = challenger if verdict.new_reference else self.reference
        return verdict


def differences(challenger: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    gaps = {metric: challenger[metric] - other[metric] for metric in ("accuracy", "ece", "auroc")}
    return {metric: {"mean": gap, "low": gap - 0.0005, "high": gap + 0.0005} for metric, gap in gaps.items()}


def test_twenty_promotions_each_within_the_tolerance_lose_no_more_than_one_tolerance() -> None:
    stage = Stage(model("v0", 0.999))
    reasons = {
        stage.offer(model(f"v{number}", stage.champion["accuracy"] - 0.019)).reason
        for number in range(1, PROMOTIONS + 1)
    }
    assert stage.champion["accuracy"] >= 0.999 - Gate().accuracy_tolerance
    assert reasons == {None, "WorseThanReference"}


@pytest.mark.parametrize(("metric", "first", "step"), [("ece", 0.0, 0.029), ("auroc", 0.999, -0.029)])
def test_losses_in_calibration_and_outlier_rejection_do_not_add_up_either(
    metric: str, first: float, step: float
) -> None:
    stage = Stage(model("v0", **{metric: first}))
    for number in range(1, PROMOTIONS + 1):
        stage.offer(model(f"v{number}", **{metric: stage.champion[metric] + step}))
    assert abs(stage.champion[metric] - first) <= 0.03


def test_losses_in_the_recall_of_a_class_do_not_add_up_either() -> None:
    """The other class gains as much, so the accuracy stays."""
    stage = Stage(model("v0", 0.75 + 0.2, recall={"bicycle": 0.95, "motorcycle": 0.95}))
    for number in range(1, PROMOTIONS + 1):
        recall = stage.champion["recall"]
        stage.offer(model(f"v{number}", recall={"bicycle": recall["bicycle"] - 0.049, "motorcycle": 1.0}))
    assert stage.champion["recall"]["bicycle"] >= 0.95 - Gate().class_tolerance


def test_small_gains_in_accuracy_hide_no_losses_in_other_metrics() -> None:
    """If accuracy alone decided, each promotion would replace the reference, and its AUROC would fall."""
    stage = Stage(model("v0", 0.90, auroc=0.999))
    for number in range(1, PROMOTIONS + 1):
        champion = stage.champion
        stage.offer(model(f"v{number}", champion["accuracy"] + 0.002, auroc=champion["auroc"] - 0.029))
    assert stage.reference["model_version"] == "v0"
    assert stage.champion["auroc"] >= 0.999 - 0.03


def test_a_model_that_is_better_in_every_metric_becomes_the_reference() -> None:
    stage = Stage(model("v0", 0.95))
    verdict = stage.offer(model("v1", 0.96))
    assert (stage.champion["model_version"], stage.reference["model_version"]) == ("v1", "v1")
    assert "replaces the less accurate reference model v0" in verdict.explanation
    # From now on, losses are measured from the new reference.
    assert stage.offer(model("v2", 0.945)).promote
    assert stage.offer(model("v3", 0.938)).reason == "WorseThanReference"


@pytest.mark.parametrize(
    "challenger",
    [
        model("v1", 0.9504),  # the worse end of the interval is below 0
        model("v1", 0.96, ece=0.021),
        model("v1", 0.96, auroc=0.969),
        model("v1", 0.96, recall={"bicycle": 0.94, "motorcycle": 0.98}),
        model("v1", 0.96, recall={"bicycle": 0.96, "motorcycle": 0.94}),
    ],
)
def test_a_model_that_is_worse_in_any_metric_does_not_become_the_reference(challenger: dict[str, Any]) -> None:
    stage = Stage(model("v0", 0.95))
    assert stage.offer(challenger).promote
    assert stage.reference["model_version"] == "v0"


def test_a_forced_promotion_lowers_nothing() -> None:
    stage = Stage(model("v0", 0.95))
    assert stage.offer(model("v1", 0.90), force=True).promote
    assert stage.reference["model_version"] == "v0"
    verdict = stage.offer(model("v2", 0.91))
    assert verdict.reason == "WorseThanReference"
    assert "The losses are those since v0 became the reference" in verdict.explanation
    assert "MODEL=" not in verdict.explanation
    forced = stage.offer(model("v3", 0.91), force=True)
    assert "possible loss in accuracy, against the reference is" in forced.explanation


def test_neither_a_dry_run_nor_drawn_pictures_replace_the_reference() -> None:
    stage = Stage(model("v0", 0.95))
    dry = stage.offer(model("v1", 0.97), dry_run=True)
    assert (dry.promote, dry.new_reference) == (False, False)
    drawn = stage.offer(model("v2", 0.97), drawn=True)
    assert (drawn.promote, drawn.new_reference) == (True, False)


def test_a_challenger_without_a_vehicle_of_the_reference_is_rejected() -> None:
    stage = Stage(model("v0", 0.95))
    stage.champion = model("v1", 0.95, recall={"bicycle": 0.95})
    verdict = stage.offer(model("v2", 0.96, recall={"bicycle": 0.96}))
    assert verdict.reason == "WorseThanReference"
    assert "recall of motorcycle, against the reference is 0.000" in verdict.explanation


def test_a_vehicle_that_the_reference_does_not_know_is_not_compared() -> None:
    stage = Stage(model("v0", 0.95))
    stage.champion = model("v1", 0.95, recall={"bicycle": 0.95, "motorcycle": 0.95, "bus": 0.9})
    verdict = stage.offer(model("v2", 0.96, recall={"bicycle": 0.96, "motorcycle": 0.96, "bus": 0.9}))
    assert verdict.promote
    assert not [check for check in verdict.checks if check.check == "recall of bus, against the reference"]


def test_the_checks_against_the_reference_are_left_out_while_it_is_the_champion() -> None:
    def against_reference(verdict: Verdict) -> list[Check]:
        return [check for check in verdict.checks if "against the reference" in check.check]

    stage = Stage(model("v0", 0.95))
    assert against_reference(stage.offer(model("v1", 0.945))) == []
    assert len(against_reference(stage.offer(model("v2", 0.944)))) == 5
