"""The gate: whether a challenger becomes champion.

The first model must reach the minimum. After that a challenger must pass, in this order:

1. the minimum;
2. not worse than the champion on the frozen holdout: for accuracy, calibration error and outlier rejection (AUROC), the
   worse end of the paired bootstrap interval of the difference stays within the tolerance;
3. for no class more recall lost than the class tolerance, so that a good average hides nothing;
4. better: on the newly labelled photos when there are enough of them that no model learned; otherwise on the holdout,
   in accuracy by more than the margin, or in calibration or outlier rejection by more than the tolerance with accuracy
   no worse at all.

A forced retraining passes 2 to 4, never 1. A dry run never passes, and says what would have happened.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from functions.shared.errors import InvalidSettings

# In each figure's own unit; for calibration error less is better.
HIGHER_IS_BETTER = {"accuracy": True, "ece": False, "auroc": True}
WORDS = {"accuracy": "accuracy", "ece": "calibration error", "auroc": "outlier AUROC"}


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
    """The gate's word: `reason` is None for a promotion, otherwise the check that said no."""

    promote: bool
    reason: str | None
    words: str


def judge(report: Mapping[str, Any], gate: Gate, *, force: bool = False, dry_run: bool = False) -> Verdict:
    """Apply the rule to an evaluation report."""
    verdict = _judge(report, gate, force)
    if not dry_run:
        return verdict
    outcome = "would be promoted" if verdict.promote else f"would be rejected ({verdict.reason})"
    return Verdict(False, "DryRun", f"dry run: the challenger {outcome}: {verdict.words}")


def _judge(report: Mapping[str, Any], gate: Gate, force: bool) -> Verdict:
    challenger, champion = report["challenger"], report.get("champion")
    if short := _below_minimum(challenger, gate):
        return Verdict(False, "BelowMinimum", f"the challenger is below the minimum: {'; '.join(short)}")
    if champion is None:
        return Verdict(True, None, f"the first model: {_figures(challenger)}; the minimum is reached")
    if force:
        return Verdict(True, None, f"forced: {_figures(challenger)}; the champion has {_figures(champion)}")
    holdout = report["holdout"]
    if worse := _worse(challenger, champion, holdout["differences"], gate):
        return Verdict(False, "WorseThanChampion", f"worse than the champion on the holdout: {'; '.join(worse)}")
    if blind := _blind(challenger, champion, gate):
        return Verdict(False, "BlindToAClass", f"good on average, but {'; '.join(blind)}")
    labelled = report.get("labelled")
    if labelled and labelled["photos"] >= gate.enough_labelled:
        return _better_on_labels(labelled)
    return _better_on_holdout(challenger, champion, gate)


def _below_minimum(challenger: Mapping[str, Any], gate: Gate) -> list[str]:
    limits = {
        "accuracy": (gate.accuracy_minimum, True),
        "ece": (gate.ece_maximum, False),
        "auroc": (gate.auroc_minimum, True),
    }
    short = []
    for figure, (limit, at_least) in limits.items():
        value = challenger.get(figure)
        # A data set without photos of other things has no outlier AUROC.
        if value is None and figure != "accuracy":
            continue
        if value is None or (value < limit if at_least else value > limit):
            short.append(
                f"{WORDS[figure]} {_number(value)}, {'at least' if at_least else 'at most'} {limit:.3f} is asked"
            )
    return short


def _worse(
    challenger: Mapping[str, Any], champion: Mapping[str, Any], differences: Mapping[str, Any], gate: Gate
) -> list[str]:
    worse = []
    for figure, higher in HIGHER_IS_BETTER.items():
        difference = differences.get(figure)
        if not difference:
            continue
        loss = -difference["low"] if higher else difference["high"]
        if loss > gate.tolerance(figure):
            worse.append(
                f"{WORDS[figure]} {_number(challenger.get(figure))} against {_number(champion.get(figure))}, "
                f"perhaps worse by {loss:.3f}, tolerated {gate.tolerance(figure):.3f}"
            )
    return worse


def _blind(challenger: Mapping[str, Any], champion: Mapping[str, Any], gate: Gate) -> list[str]:
    seen = challenger.get("recall") or {}
    return [
        f"{name} is recognised in {seen.get(name, 0.0):.3f} of its photos, by the champion in {before:.3f}"
        for name, before in (champion.get("recall") or {}).items()
        if before is not None and (seen.get(name) or 0.0) < before - gate.class_tolerance
    ]


def _better_on_labels(labelled: Mapping[str, Any]) -> Verdict:
    ours, theirs = labelled["challenger_accuracy"], labelled["champion_accuracy"]
    words = f"{ours:.3f} against {theirs:.3f} on {labelled['photos']} labelled photos that neither learned"
    if ours > theirs:
        return Verdict(True, None, f"not worse on the holdout, better on labels: {words}")
    return Verdict(False, "NotBetter", f"not better on labels: {words}")


def _better_on_holdout(challenger: Mapping[str, Any], champion: Mapping[str, Any], gate: Gate) -> Verdict:
    words = f"{_figures(challenger)}; the champion has {_figures(champion)}"
    gains = {
        figure: (challenger[figure] - champion[figure]) * (1 if higher else -1)
        for figure, higher in HIGHER_IS_BETTER.items()
        if challenger.get(figure) is not None and champion.get(figure) is not None
    }
    better = gains["accuracy"] > gate.margin or (
        gains["accuracy"] >= 0
        and any(gain > gate.tolerance(figure) for figure, gain in gains.items() if figure != "accuracy")
    )
    if better:
        return Verdict(True, None, f"better on the holdout: {words}")
    return Verdict(False, "NotBetter", f"not better on the holdout by enough to matter: {words}")


def _figures(model: Mapping[str, Any]) -> str:
    return ", ".join(f"{word} {_number(model.get(figure))}" for figure, word in WORDS.items())


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"
