"""The gate: whether a challenger becomes champion.

The rule is a list of checks. Each compares a metric with a limit, and the verdict contains all of them:

1. minimum: accuracy, calibration error (ECE) and outlier rejection (AUROC) satisfy their limits, and the holdout shows
   enough photos of each vehicle: two models that agree on a few photos have a difference of exactly 0;
2. not worse than the champion on the holdout: for each of these metrics, the worse end of the 90% interval of the
   difference (paired bootstrap) is within the tolerance;
3. no recall regression: the recall of every class is at most the class tolerance below the champion's;
4. not worse than the reference model: 2 and 3 again, against a model that stays the same over many promotions, so that
   the losses of several promotions cannot add up to more than one tolerance;
5. better: when enough newly labelled photos are unknown to both models, by at least one of these photos; or on the
   holdout, in accuracy by the margin, or, if accuracy is not lower, in calibration error or outlier rejection by its
   tolerance. Labelled photos alone do not decide: on the photos of a reviewer who confirms whatever the champion
   answers, no challenger can gain, and no label contradicts the champion, so the reviewer is not found. Nor does the
   holdout alone: on photos like those of the drivers a gain shows there first. That one of the two is enough cannot
   make a model worse, because 2 to 4 limit the losses on the holdout, whose labels no reviewer gave. The verdict
   contains the gain on labelled photos if it is enough, otherwise the metric of the holdout with the largest gain
   relative to its limit; the gain on labelled photos if neither is enough.

A first model, without a champion to compare with, must pass 1 only. A champion that is an initial model has no verdict:
a challenger that passes 1 to 4 replaces it. While the champion is the reference, 4 is the same as 2 and 3 and left out.
A metric that cannot be computed fails its check. The reason of a rejection is the first group with a failed check. The
verdict names the reviewers whose labels contradict the challenger (training/label_errors.py), which decides nothing.

The first champion is the reference. A challenger that is promoted becomes the reference only when it passes all checks,
the worse end of the interval of its gain in accuracy over the reference is above 0, and no other metric and no recall
of a class is lower than the reference's: on the same holdout, no metric of the reference ever gets worse. A challenger
from drawn pictures never becomes the reference. Otherwise only a person replaces it, with `make reference`.

A tolerance is a bound on the loss, so chance rejects many equal models. If two equally good models disagree on 2, 3 or
5% of 150 vehicle photos, one passes the accuracy check of 2 against the other with a probability of .65, .54 or .40
(simulated); a rejection therefore does not mean that a challenger is worse. More photos on the holdout raise it.

A forced retraining is promoted in spite of failed checks, unless a metric of 1 was computed and fails, or the accuracy
is unknown. A dry run never promotes; its verdict states the result without the dry run.

A challenger that was trained on drawn pictures is judged by the same rule, on drawn pictures; its verdict states that
and does not call it better. BuildDataset refuses such data unless the stage allows it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from functions.shared.checks import AT_LEAST, AT_MOST, Check

HIGHER_IS_BETTER = {"accuracy": True, "ece": False, "auroc": True}
METRICS = {"accuracy": "accuracy", "ece": "calibration error", "auroc": "outlier AUROC"}
SUMMARIES = {
    "BelowMinimum": "the challenger is below the minimum",
    "WorseThanChampion": "possibly worse than the champion on the holdout",
    "BlindToAClass": "the recall of a class is too low",
    "WorseThanReference": "possibly worse than the reference model on the holdout",
    "NotBetter": "not better than the champion",
}


@dataclass(frozen=True)
class Gate:
    """The limits, all fractions but `photos_minimum` and `enough_labelled`, which are numbers of photos.

    A tolerance is the largest loss at the worse end of an interval. `photos_minimum` holds for each vehicle.
    """

    accuracy_minimum: float = 0.85
    ece_maximum: float = 0.15
    auroc_minimum: float = 0.70
    photos_minimum: int = 15
    accuracy_tolerance: float = 0.02
    ece_tolerance: float = 0.03
    auroc_tolerance: float = 0.03
    class_tolerance: float = 0.05
    margin: float = 0.005
    enough_labelled: int = 10

    def tolerance(self, metric: str) -> float:
        """Return the tolerance of a metric."""
        return float(getattr(self, f"{metric}_tolerance"))


@dataclass(frozen=True)
class Verdict:
    """The verdict. `reason` is None for a promotion, otherwise the name of the group that failed.

    `new_reference`: the challenger becomes the reference model when it is promoted.
    """

    promote: bool
    reason: str | None
    explanation: str
    checks: tuple[Check, ...]
    new_reference: bool = False


def judge(
    report: Mapping[str, Any],
    gate: Gate,
    *,
    force: bool = False,
    dry_run: bool = False,
    drawn: bool = False,
    initial: bool = False,
) -> Verdict:
    """Apply the rule to an evaluation report, as events/contracts/evaluation_report.json describes it.

    `drawn`: the challenger was trained on drawn pictures; `initial`: the champion is an initial model.
    """
    challenger, champion = report["challenger"], report.get("champion")
    reference = report.get("reference") if champion is not None else None
    groups = {"BelowMinimum": _check_minimum(challenger, gate) + _check_photos(report["holdout"], gate)}
    if champion is not None:
        groups["WorseThanChampion"] = _check_losses(report["holdout"]["differences"], gate)
        groups["BlindToAClass"] = _recall_regressions(challenger, champion, gate)
        if reference is None or reference["model_version"] != champion["model_version"]:
            groups["WorseThanReference"] = _compare_with_reference(challenger, reference or {}, gate)
        if not initial:
            groups["NotBetter"] = [_check_gain(report, gate)]
    checks = tuple(check for group in groups.values() for check in group)
    reason = _find_reason(groups, force)
    if reason is None:
        explanation = _describe_promotion(checks, champion is None, force, drawn, initial)
    else:
        explanation = _describe_rejection(groups, reason, reference)
    if named := report["labels"]["distrusted"]:
        explanation += f". {'; '.join(_describe_reviewer(reviewer) for reviewer in named)}"
    passed = reason is None and all(check.passed for check in checks)
    new_reference = False
    if reference is not None and passed and not drawn and _is_better(challenger, reference):
        new_reference = True
        explanation += f". It replaces the less accurate reference model {reference['model_version']}"
    if not dry_run:
        return Verdict(reason is None, reason, explanation, checks, new_reference)
    outcome = "would be promoted" if reason is None else f"would be rejected ({reason})"
    return Verdict(False, "DryRun", f"dry run: the challenger {outcome}: {explanation}", checks)


def _describe_reviewer(named: Mapping[str, Any]) -> str:
    counts = f"{named['suspected']} of {named['labels']}"
    return f"Labels of reviewer {named['reviewer']} contradict the model: {counts}; none of them was trained on"


def _find_reason(groups: Mapping[str, list[Check]], force: bool) -> str | None:
    if force:
        short = [check for check in groups["BelowMinimum"] if not check.passed]
        computed = [check for check in short if check.value is not None and check.check in METRICS.values()]
        binding = computed or [check for check in short if check.check == METRICS["accuracy"]]
        return "BelowMinimum" if binding else None
    return next((name for name, group in groups.items() if not all(check.passed for check in group)), None)


def _check_minimum(challenger: Mapping[str, Any], gate: Gate) -> list[Check]:
    return [
        Check(METRICS["accuracy"], challenger.get("accuracy"), gate.accuracy_minimum),
        Check(METRICS["ece"], challenger.get("ece"), gate.ece_maximum, AT_MOST),
        Check(METRICS["auroc"], challenger.get("auroc"), gate.auroc_minimum),
    ]


def _check_photos(holdout: Mapping[str, Any], gate: Gate) -> list[Check]:
    counts = holdout["photos_by_vehicle"]
    return [Check(f"photos of {name} on the holdout", count, gate.photos_minimum) for name, count in counts.items()]


def _check_losses(differences: Mapping[str, Any], gate: Gate, suffix: str = "") -> list[Check]:
    checks = []
    for metric, higher in HIGHER_IS_BETTER.items():
        interval = differences.get(metric)
        loss = None if not interval else -interval["low"] if higher else interval["high"]
        checks.append(Check(f"possible loss in {METRICS[metric]}{suffix}", loss, gate.tolerance(metric), AT_MOST))
    return checks


def _recall_regressions(
    challenger: Mapping[str, Any], other: Mapping[str, Any], gate: Gate, suffix: str = ""
) -> list[Check]:
    recalls = challenger.get("recall") or {}
    return [
        # A class that the challenger does not have has a recall of 0.
        Check(
            f"recall of {name}{suffix}",
            recalls.get(name, 0.0),
            None if before is None else max(0.0, before - gate.class_tolerance),
        )
        for name, before in (other.get("recall") or {}).items()
    ]


def _compare_with_reference(challenger: Mapping[str, Any], reference: Mapping[str, Any], gate: Gate) -> list[Check]:
    """Return the checks against the reference; those against one that could not be read fail."""
    metrics = reference.get("metrics")
    losses = _check_losses(reference["differences"] if metrics else {}, gate, ", against the reference")
    return losses + _recall_regressions(challenger, metrics or {}, gate, ", against the reference")


def _is_better(challenger: Mapping[str, Any], reference: Mapping[str, Any]) -> bool:
    gains = reference["differences"]
    if reference["metrics"] is None or not all(gains.get(metric) for metric in METRICS):
        return False
    recalls = challenger.get("recall") or {}
    return (
        gains["accuracy"]["low"] > 0
        and all(gains[name]["mean"] * (1 if higher else -1) >= 0 for name, higher in HIGHER_IS_BETTER.items())
        and all(
            before is None or (recalls.get(name) or 0.0) >= before
            for name, before in (reference["metrics"].get("recall") or {}).items()
        )
    )


def _check_gain(report: Mapping[str, Any], gate: Gate) -> Check:
    """Return the check of 5: on labelled photos, or on the holdout when only that is passed or labels are too few."""
    on_holdout = _check_gain_on_holdout(report, gate)
    labelled = report.get("labelled")
    if not labelled or labelled["photos"] < gate.enough_labelled:
        return on_holdout
    gain = labelled["challenger_accuracy"] - labelled["champion_accuracy"]
    on_labelled = Check(
        f"gain in accuracy on {labelled['photos']} labelled photos that neither model was trained on",
        gain,
        1 / labelled["photos"],
    )
    if on_labelled.passed or not on_holdout.passed:
        return on_labelled
    return replace(on_holdout, check=f"{on_holdout.check} ({gain:+.3f} in accuracy on labelled photos)")


def _check_gain_on_holdout(report: Mapping[str, Any], gate: Gate) -> Check:
    challenger, champion = report["challenger"], report["champion"]
    gains = {
        metric: (challenger[metric] - champion[metric]) * (1 if higher else -1)
        for metric, higher in HIGHER_IS_BETTER.items()
        if challenger.get(metric) is not None and champion.get(metric) is not None
    }
    limits = {metric: gate.margin if metric == "accuracy" else gate.tolerance(metric) for metric in gains}
    checks = {
        metric: Check(f"gain in {METRICS[metric]} on the holdout", gains[metric], limits[metric], AT_LEAST)
        for metric in gains
        if metric == "accuracy" or gains.get("accuracy", -1.0) >= 0
    }
    if not checks:
        return Check(f"gain in {METRICS['accuracy']} on the holdout", None, gate.margin)
    return max(checks.values(), key=lambda check: (check.passed, (check.value or 0.0) / (check.limit or 1e-9)))


def _describe_promotion(checks: tuple[Check, ...], first: bool, force: bool, drawn: bool, initial: bool) -> str:
    failed = [str(check) for check in checks if not check.passed]
    if failed:
        text = f"forced in spite of {len(failed)} of {len(checks)} checks: {'; '.join(failed)}"
    elif force:
        text = f"forced; all {len(checks)} checks are passed"
    elif first:
        text = f"the first model passes all {len(checks)} checks: {'; '.join(map(str, checks))}"
    elif drawn:
        text = f"all {len(checks)} checks are passed"
    elif initial:
        text = f"replaces the initial model, which was compared with nothing; all {len(checks)} checks are passed"
    else:
        text = f"better than the champion: {checks[-1]}"
    return f"trained and judged on drawn pictures, so the accuracy on photos is unknown: {text}" if drawn else text


def _describe_rejection(groups: Mapping[str, list[Check]], reason: str, reference: Mapping[str, Any] | None) -> str:
    failed = "; ".join(str(check) for check in groups[reason] if not check.passed)
    if reason != "WorseThanReference" or reference is None:
        return f"{SUMMARIES[reason]}: {failed}"
    version = reference["model_version"]
    if reference["error"]:
        return (
            f"the reference model {version} cannot be read ({reference['error']}): {failed}. To compare later models "
            "with the champion instead: make reference MODEL=champion"
        )
    # Replacing the reference would accept the loss, which is what the reference prevents.
    return (
        f"{SUMMARIES[reason]}: {failed}. The losses are those since {version} became the reference; make reference "
        "shows when and why"
    )
