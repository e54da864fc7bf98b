"""The gate: whether a challenger becomes champion.

The rule is a list of checks; each is a figure with a limit, and all of them are part of the verdict:

1. the minimum: accuracy, calibration error and outlier rejection (AUROC) reach their limits;
2. not worse than the champion on the frozen holdout: for each of these figures, the worse end of the 90% interval of
   the difference (paired bootstrap) stays within the tolerance;
3. no class lost: the recall of every class is at most the class tolerance below the champion's;
4. better: on the newly labelled photos when there are enough of them that no model learned, by at least one photo;
   otherwise on the holdout, in accuracy by the margin, or, with accuracy no lower at all, in calibration or outlier
   rejection by its tolerance. The figure that gained most, measured by what it has to gain, is the one in the verdict.

A first model, which has no champion to be compared with, has to pass 1 alone. A champion that is an initial model was
compared with nothing itself: a challenger that passes 1 to 3 replaces it, so that a model with a verdict serves. A
figure that cannot be computed never passes. The reason of a rejection is the first group with a check that failed.

A forced retraining is promoted in spite of checks that failed, but for a figure of 1 that was computed and is short,
and for an accuracy that is not known. A dry run never promotes, and says what would have happened.

A challenger that was trained on drawn pictures is judged by the same rule, on drawn pictures; its verdict says so and
does not call it better. BuildDataset refuses such data where the stage does not allow it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from functions.shared.checks import AT_LEAST, AT_MOST, Check
from functions.shared.errors import InvalidSettings

# In each figure's own unit; for calibration error less is better.
HIGHER_IS_BETTER = {"accuracy": True, "ece": False, "auroc": True}
WORDS = {"accuracy": "accuracy", "ece": "calibration error", "auroc": "outlier AUROC"}
HEADLINES = {
    "BelowMinimum": "the challenger is below the minimum",
    "WorseThanChampion": "perhaps worse than the champion on the holdout",
    "BlindToAClass": "a class is lost",
    "NotBetter": "not better than the champion",
}


@dataclass(frozen=True)
class Gate:
    """The numbers, fractions all of them; a tolerance is how much worse the bad end of an interval may be."""

    accuracy_minimum: float = 0.85
    ece_maximum: float = 0.15
    auroc_minimum: float = 0.70
    accuracy_tolerance: float = 0.02
    ece_tolerance: float = 0.03
    auroc_tolerance: float = 0.03
    class_tolerance: float = 0.05
    margin: float = 0.005
    enough_labelled: int = 10

    @classmethod
    def from_settings(cls, text: str) -> "Gate":
        """Read the numbers that differ from the usual ones, from a JSON object. Raises InvalidSettings.

        >>> Gate.from_settings('{"margin": 0.01}').margin
        0.01
        """
        try:
            given: dict[str, float] = json.loads(text)
        except ValueError as error:
            raise InvalidSettings(f"GATE is {text!r}; pass a JSON object such as {{}}") from error
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(given) - known):
            raise InvalidSettings(f"GATE names {', '.join(unknown)}; it knows {', '.join(sorted(known))}")
        return cls(**given)  # type: ignore[arg-type]  # enough_labelled is written as a whole number

    def tolerance(self, figure: str) -> float:
        """How much worse the challenger may be in one figure."""
        return float(getattr(self, f"{figure}_tolerance"))


@dataclass(frozen=True)
class Verdict:
    """What the gate found: `reason` is None for a promotion, otherwise the name of the group that failed."""

    promote: bool
    reason: str | None
    words: str
    checks: tuple[Check, ...]


def judge(
    report: Mapping[str, Any],
    gate: Gate,
    *,
    force: bool = False,
    dry_run: bool = False,
    drawn: bool = False,
    initial: bool = False,
) -> Verdict:
    """Apply the rule to an evaluation report.

    `drawn` says that the challenger was trained on drawn pictures, `initial` that the champion is an initial model.
    """
    challenger, champion = report["challenger"], report.get("champion")
    groups = {"BelowMinimum": _minimum(challenger, gate)}
    if champion is not None:
        groups["WorseThanChampion"] = _not_worse(report["holdout"]["differences"], gate)
        groups["BlindToAClass"] = _no_class_lost(challenger, champion, gate)
        if not initial:
            groups["NotBetter"] = [_better(report, gate)]
    checks = tuple(check for group in groups.values() for check in group)
    reason = _reason(groups, force)
    if reason is None:
        words = _promotion(checks, champion is None, force, drawn, initial)
    else:
        words = _rejection(groups, reason)
    if not dry_run:
        return Verdict(reason is None, reason, words, checks)
    outcome = "would be promoted" if reason is None else f"would be rejected ({reason})"
    return Verdict(False, "DryRun", f"dry run: the challenger {outcome}: {words}", checks)


def _reason(groups: Mapping[str, list[Check]], force: bool) -> str | None:
    if force:
        short = [check for check in groups["BelowMinimum"] if not check.passed]
        binding = [check for check in short if check.value is not None or check.check == WORDS["accuracy"]]
        return "BelowMinimum" if binding else None
    return next((name for name, group in groups.items() if not all(check.passed for check in group)), None)


def _minimum(challenger: Mapping[str, Any], gate: Gate) -> list[Check]:
    return [
        Check(WORDS["accuracy"], challenger.get("accuracy"), gate.accuracy_minimum),
        Check(WORDS["ece"], challenger.get("ece"), gate.ece_maximum, AT_MOST),
        Check(WORDS["auroc"], challenger.get("auroc"), gate.auroc_minimum),
    ]


def _not_worse(differences: Mapping[str, Any], gate: Gate) -> list[Check]:
    checks = []
    for figure, higher in HIGHER_IS_BETTER.items():
        interval = differences.get(figure)
        loss = None if not interval else -interval["low"] if higher else interval["high"]
        checks.append(Check(f"possible loss in {WORDS[figure]}", loss, gate.tolerance(figure), AT_MOST))
    return checks


def _no_class_lost(challenger: Mapping[str, Any], champion: Mapping[str, Any], gate: Gate) -> list[Check]:
    seen = challenger.get("recall") or {}
    return [
        # A class that the challenger does not have is recognised in none of its photos.
        Check(
            f"recall of {name}",
            seen.get(name, 0.0),
            None if before is None else max(0.0, before - gate.class_tolerance),
        )
        for name, before in (champion.get("recall") or {}).items()
    ]


def _better(report: Mapping[str, Any], gate: Gate) -> Check:
    labelled = report.get("labelled")
    if labelled and labelled["photos"] >= gate.enough_labelled:
        return Check(
            f"gain in accuracy on {labelled['photos']} labelled photos that neither model learned",
            labelled["challenger_accuracy"] - labelled["champion_accuracy"],
            1 / labelled["photos"],
        )
    challenger, champion = report["challenger"], report["champion"]
    gains = {
        figure: (challenger[figure] - champion[figure]) * (1 if higher else -1)
        for figure, higher in HIGHER_IS_BETTER.items()
        if challenger.get(figure) is not None and champion.get(figure) is not None
    }
    wanted = {figure: gate.margin if figure == "accuracy" else gate.tolerance(figure) for figure in gains}
    checks = {
        figure: Check(f"gain in {WORDS[figure]} on the holdout", gains[figure], wanted[figure], AT_LEAST)
        for figure in gains
        if figure == "accuracy" or gains.get("accuracy", -1.0) >= 0
    }
    if not checks:
        return Check(f"gain in {WORDS['accuracy']} on the holdout", None, gate.margin)
    return max(checks.values(), key=lambda check: (check.passed, (check.value or 0.0) / (check.limit or 1e-9)))


def _promotion(checks: tuple[Check, ...], first: bool, force: bool, drawn: bool, initial: bool) -> str:
    failed = [str(check) for check in checks if not check.passed]
    if failed:
        words = f"forced in spite of {len(failed)} of {len(checks)} checks: {'; '.join(failed)}"
    elif force:
        words = f"forced; all {len(checks)} checks are passed"
    elif first:
        words = f"the first model passes all {len(checks)} checks: {'; '.join(map(str, checks))}"
    elif drawn:
        words = f"all {len(checks)} checks are passed"
    elif initial:
        words = f"replaces the initial model, which was compared with nothing; all {len(checks)} checks are passed"
    else:
        words = f"better than the champion: {checks[-1]}"
    return f"trained and judged on drawn pictures, which says nothing about photos: {words}" if drawn else words


def _rejection(groups: Mapping[str, list[Check]], reason: str) -> str:
    failed = "; ".join(str(check) for check in groups[reason] if not check.passed)
    return f"{HEADLINES[reason]}: {failed}"
