"""The rule of the gate."""

from typing import Any

import pytest

from functions.judge_challenger.gate import Gate, judge
from functions.shared.checks import AT_MOST, Check

PHOTOS = {"bicycle": 75, "motorcycle": 75}


def model(accuracy: float = 0.95, **metrics: Any) -> dict[str, Any]:
    recall = {"bicycle": accuracy, "motorcycle": accuracy}
    figures = {"accuracy": accuracy, "ece": 0.02, "auroc": 0.97, "recall": recall, "threshold": 0.9}
    return {"model_version": "v1", **figures, **metrics}


def report(challenger: dict[str, Any], champion: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    gaps = (
        {metric: challenger[metric] - champion[metric] for metric in ("accuracy", "ece", "auroc")} if champion else {}
    )
    differences = {metric: {"mean": gap, "low": gap - 0.01, "high": gap + 0.01} for metric, gap in gaps.items()}
    reference = {"model_version": "v1", "error": None, "metrics": champion, "differences": differences}
    return {
        "challenger": challenger,
        "champion": champion,
        "reference": reference if champion else None,
        "labels": {"distrusted": [], "left_out": {}},
        "holdout": {"photos_by_vehicle": PHOTOS, "differences": differences},
        **more,
    }


def labels(challenger: float, champion: float, photos: int = 20) -> dict[str, Any]:
    return {"photos": photos, "challenger_accuracy": challenger, "champion_accuracy": champion}


VERDICTS: dict[str, tuple[dict[str, Any], str | None]] = {
    "the first model, good enough": (report(model(0.90)), None),
    "the first model, too weak": (report(model(0.80)), "BelowMinimum"),
    "the first model, badly calibrated": (report(model(ece=0.3)), "BelowMinimum"),
    "the first model, without outlier rejection": (report(model(auroc=0.5)), "BelowMinimum"),
    "the first model, without an outlier AUROC": (report(model(auroc=None)), "BelowMinimum"),
    "the first model, without any metric": (report({"accuracy": None}), "BelowMinimum"),
    "better, without intervals of the differences": (
        report(model(0.97), model(0.95), holdout={"photos_by_vehicle": PHOTOS, "differences": {"accuracy": None}}),
        "WorseThanChampion",
    ),
    "better, but with an unknown recall of a class": (
        report(model(0.97, recall={"bicycle": 1.0, "motorcycle": None}), model(0.95)),
        "BlindToAClass",
    ),
    "better, but with an unknown recall of a class of the champion": (
        report(model(0.97), model(0.95, recall={"bicycle": 0.95, "motorcycle": None})),
        "BlindToAClass",
    ),
    "at the limit of the tolerance, and better on labels": (
        report(model(0.95, ece=0.04), model(0.95, ece=0.02), labelled=labels(0.85, 0.8)),
        None,
    ),
    "better on the holdout": (report(model(0.97), model(0.95)), None),
    "equal": (report(model(), model()), "NotBetter"),
    "better by less than the margin": (report(model(0.953), model(0.95)), "NotBetter"),
    "worse": (report(model(0.92), model(0.95)), "WorseThanChampion"),
    "possibly worse, within the tolerance, better on labels": (
        report(model(0.945), model(0.95), labelled=labels(0.9, 0.8)),
        None,
    ),
    "better, but worse calibrated": (report(model(0.97, ece=0.06), model(0.95)), "WorseThanChampion"),
    "better, but worse with outliers": (report(model(0.97, auroc=0.93), model(0.95)), "WorseThanChampion"),
    "as accurate, far better calibrated": (report(model(ece=0.02), model(ece=0.08)), None),
    "better, but with a recall regression": (
        report(model(0.97, recall={"bicycle": 1.0, "motorcycle": 0.7}), model(0.95)),
        "BlindToAClass",
    ),
    "better, but without a class of the champion": (
        report(model(0.97, recall={"bicycle": 1.0}), model(0.95)),
        "BlindToAClass",
    ),
    "better on the holdout, not on labels, as when a reviewer confirms whatever the champion answers": (
        report(model(0.97), model(0.95), labelled=labels(0.8, 1.0)),
        None,
    ),
    "better on neither": (report(model(0.953), model(0.95), labelled=labels(0.8, 0.8)), "NotBetter"),
    "better on labels, worse on the holdout": (
        report(model(0.92), model(0.95), labelled=labels(1.0, 0.8)),
        "WorseThanChampion",
    ),
    "better on the holdout, with too few labels to decide": (
        report(model(0.97), model(0.95), labelled=labels(0.0, 1.0, photos=3)),
        None,
    ),
}


@pytest.mark.parametrize("case", VERDICTS)
def test_the_gate_decides_each_case(case: str) -> None:
    given, reason = VERDICTS[case]
    verdict = judge(given, Gate())
    assert (verdict.promote, verdict.reason) == (reason is None, reason), verdict.explanation
    assert verdict.explanation


def test_a_promotion_by_the_holdout_states_the_loss_on_labelled_photos() -> None:
    verdict = judge(report(model(0.97), model(0.95), labelled=labels(0.8, 1.0)), Gate())
    assert "gain in accuracy on the holdout (-0.200 in accuracy on labelled photos) is 0.020" in verdict.explanation
    verdict = judge(report(model(0.95), model(0.95), labelled=labels(0.8, 1.0)), Gate())
    assert "gain in accuracy on 20 labelled photos that neither model was trained on is -0.200" in verdict.explanation


def test_force_ignores_every_group_except_the_minimum() -> None:
    assert judge(report(model(0.90), model(0.95)), Gate(), force=True).promote
    assert judge(report(model(0.5), model(0.95)), Gate(), force=True).reason == "BelowMinimum"


@pytest.mark.parametrize("case", VERDICTS)
def test_a_verdict_follows_from_its_checks(case: str) -> None:
    given, reason = VERDICTS[case]
    verdict = judge(given, Gate())
    assert all(check.passed for check in verdict.checks) == (reason is None)
    for row in (check.as_state() for check in verdict.checks):
        assert Check.from_state(row).as_state() == row
        if row["passed"]:
            assert row["value"] is not None
    for check in verdict.checks:
        assert check.passed or reason is not None
        if reason is not None and str(check) in verdict.explanation:
            assert not check.passed


def test_a_failed_check_shows_enough_digits() -> None:
    """With three digits, 0.0304 against a limit of 0.030 would be shown as 0.030 against 0.030."""
    verdict = judge(report(model(0.97, ece=0.0504), model(0.95, ece=0.03)), Gate())
    assert "possible loss in calibration error is 0.0304, at most 0.0300 is allowed" in verdict.explanation
    for value in (0.03 + 1e-4, 0.03 + 1e-6, 0.03 + 1e-8, 0.0299, 0.03):
        check = Check("loss", value, 0.03, AT_MOST)
        shown, limit = check.numbers
        assert check.passed == (float(shown) <= float(limit))


def test_rounding_errors_do_not_fail_a_check() -> None:
    assert Check("gain", 0.95 - 0.92, 0.03).passed
    assert Check("loss", 0.1 + 0.2, 0.3, AT_MOST).passed
    assert Check("loss", -1e-7, 0.03, AT_MOST).numbers == ("0.000", "0.030")


def test_force_accepts_a_metric_that_cannot_be_computed_and_names_it() -> None:
    verdict = judge(report(model(auroc=None)), Gate(), force=True)
    assert verdict.promote
    assert "outlier AUROC could not be computed" in verdict.explanation
    assert [check.check for check in verdict.checks if not check.passed] == ["outlier AUROC"]
    assert judge(report({"accuracy": None}), Gate(), force=True).reason == "BelowMinimum"


def test_a_challenger_from_drawn_pictures_is_never_called_better() -> None:
    for given in (report(model()), report(model(0.97), model(0.95))):
        verdict = judge(given, Gate(), drawn=True)
        assert verdict.promote
        assert verdict.explanation.startswith("trained and judged on drawn pictures")
        assert "better" not in verdict.explanation
    assert judge(report(model(0.9), model(0.95)), Gate(), drawn=True).reason == "WorseThanChampion"


def test_a_dry_run_never_promotes_even_when_forced() -> None:
    verdict = judge(report(model(0.97), model(0.95)), Gate(), force=True, dry_run=True)
    assert (verdict.promote, verdict.reason) == (False, "DryRun")
    assert "would be promoted" in verdict.explanation


def test_the_limits_of_the_gate_can_be_changed() -> None:
    assert judge(report(model(0.98)), Gate(accuracy_minimum=0.99)).reason == "BelowMinimum"


def test_a_holdout_with_few_photos_of_a_vehicle_is_no_evidence() -> None:
    """Models that agree on four photos have a difference of 0, with an interval of no width."""
    zero = {"mean": 0.0, "low": 0.0, "high": 0.0}
    few = {
        "photos_by_vehicle": {"bicycle": 75, "motorcycle": 2},
        "differences": dict.fromkeys(("accuracy", "ece", "auroc"), zero),
    }
    given = report(model(1.0), model(1.0), labelled=labels(0.9, 0.8), holdout=few)
    verdict = judge(given, Gate())
    assert (verdict.promote, verdict.reason) == (False, "BelowMinimum")
    assert "photos of motorcycle on the holdout is 2, at least 15 is required" in verdict.explanation
    assert judge(given, Gate(photos_minimum=2)).promote
    assert judge(given, Gate(), force=True).promote
    few["photos_by_vehicle"] = {"bicycle": 75, "motorcycle": 15}
    assert judge(given, Gate()).promote


def test_the_verdict_names_reviewers_whose_labels_contradict_the_model() -> None:
    """Nobody would see it on the model card of a challenger that is rejected."""
    named = [{"reviewer": "AIDABO", "suspected": 9, "labels": 31}]
    expected = "Labels of reviewer AIDABO contradict the model: 9 of 31; none of them was trained on"
    for challenger, promote in ((model(0.97), True), (model(0.90), False)):
        verdict = judge(report(challenger, model(0.95), labels={"distrusted": named}), Gate())
        assert verdict.promote == promote
        assert expected in verdict.explanation
    assert (
        expected
        in judge(report(model(0.97), model(0.95), labels={"distrusted": named}), Gate(), dry_run=True).explanation
    )
