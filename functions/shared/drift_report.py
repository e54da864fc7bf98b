"""The drift of the champion in words, for the console and `make status`."""

from collections.abc import Sequence
from dataclasses import dataclass

from functions.shared.drift import STATISTICS, Comparison
from functions.shared.drift_state import TOO_FEW, Drift, DriftState, Look


@dataclass(frozen=True)
class DriftReport:
    """The last look in words: a `summary`, the comparisons, and `notes` about the references."""

    summary: str
    is_drifting: bool = False
    rows: Sequence[Comparison] = ()
    notes: Sequence[str] = ()


def describe_drift(state: DriftState | None, model_version: str | None) -> DriftReport:
    """Return the report on the champion `model_version`; `state` is what the watch has written, None before it ran."""
    if state is None or state.model_version != model_version:
        return DriftReport("The drift watch has not looked at this model yet. It runs every hour.")
    look, drift = state.look, state.drift
    if drift:
        return DriftReport(_describe_drift(drift, look), True, look.comparisons if look else (), _notes(state))
    if look is None:
        return DriftReport(
            "No period of this model has ended yet, so there is nothing to compare.", notes=_notes(state)
        )
    return DriftReport(f"{_describe_result(look)} {_describe_window(look)}", False, look.comparisons, _notes(state))


def _describe_drift(drift: Drift, look: Look | None) -> str:
    names = ", ".join(one.statistic for one in drift.statistics)
    text = f"Drift in {names} since {_minute(drift.since)} UTC."
    if drift.retraining_at:
        text += f" {drift.labels} of its photos were labelled; a retraining was requested at"
        text += f" {_minute(drift.retraining_at)} UTC."
    else:
        text += f" {drift.labels} of its photos are labelled; at {drift.required} a model is retrained."
    return f"{text} {_describe_window(look)}" if look else text


def _describe_result(look: Look) -> str:
    if look.result == TOO_FEW:
        return "Too few photos to compare."
    return "No drift." if look.comparisons else "Nothing was compared yet."


def _describe_window(look: Look) -> str:
    rate = "" if look.review_rate is None else f", {look.review_rate:.1%} sent to a reviewer"
    return f"Last look: {look.photos} photos from {_minute(look.since)} until {_minute(look.until)} UTC{rate}."


def _notes(state: DriftState) -> list[str]:
    notes = []
    if missing := [name for name in STATISTICS if name not in state.references]:
        notes.append(
            f"Not watched yet: {', '.join(missing)}. The first periods of this model become what later ones are"
            " compared with."
        )
    if unlike := [f"{one.statistic} ({one.psi:.2f})" for one in state.unlike_validation]:
        notes.append(
            f"The photos of this stage differ from the validation photos of the model in {', '.join(unlike)}: the"
            " figures on its card are about other photos."
        )
    return notes


def _minute(at: str) -> str:
    return at[:16].replace("T", " ")
