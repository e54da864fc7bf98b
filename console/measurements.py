"""How good the champion is, measured in four ways. Each is about other photos, so the figures differ.

After training: the report of the training job. Holdout: the comparison before the promotion. Audit: a random sample of
the decisions in production. Reviews: the photos in production of which the model was unsure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from console.champion import Model
from console.monitoring import Point
from console.retrainings import Run
from functions.shared.audit import AuditFigures
from functions.shared.intervals import clopper_pearson

Interval = tuple[float, float]

HOLDOUT_CAVEAT = "The verdict of the retraining uses these figures."


@dataclass(frozen=True)
class Figure:
    """A share in [0, 1], None where unknown, and its 95% interval, None where none was computed."""

    value: float | None = None
    interval: Interval | None = None


@dataclass(frozen=True)
class Measurement:
    """One way of measuring. `photos` says which ones, `note` what the figures do and do not say.

    `accuracy`: of the photos, those classified correctly. `error`: of the automatic decisions, those that were wrong.
    """

    name: str
    photos: str
    accuracy: Figure
    error: Figure
    note: str


def measurements(
    model: Model, runs: Sequence[Run], audit: AuditFigures, seen: Sequence[Point], days: int
) -> list[Measurement]:
    """Return the measurements of a model; `seen` are the photos of the last `days` days."""
    own = [point for point in seen if point.model_version == model.version]
    return [_after_training(model), _holdout(model, runs), _audit(model, audit), _reviews(own, days)]


def _after_training(model: Model) -> Measurement:
    report = model.report
    cross_fitted = str(report.get("data", "")).startswith("cross-fitted")
    photos = f"{report['vehicles']} vehicles, {report['others']} others" if "vehicles" in report else "unknown"
    note = "Photos of the training set, each predicted without it (cross-fitting)." if cross_fitted else ""
    note = note or ("Photos of the test channel, which no training used." if report.get("data") else "")
    return Measurement(
        "Validation, after training", photos, _figure(model, "accuracy"), _figure(model, "error_accepted"), note
    )


def _holdout(model: Model, runs: Sequence[Run]) -> Measurement:
    name = "Holdout, before the promotion"
    run = next((one for one in runs if one.model_version == model.version and one.outcome == "promoted"), None)
    measured: Mapping[str, Any] = (run.output.get("challenger") or {}) if run else {}
    if not measured:
        note = "No retraining of the last 90 days compared and promoted this model."
        return Measurement(name, "–", Figure(), Figure(), note)
    accuracy, error = Figure(measured.get("accuracy")), Figure(measured.get("error_accepted"))
    return Measurement(name, "the same for all models", accuracy, error, HOLDOUT_CAVEAT)


def _audit(model: Model, audit: AuditFigures) -> Measurement:
    found = audit.by_model.get(model.version)
    if found is None or not found.answered:
        return Measurement(
            "Audit, in production", "none answered", Figure(), Figure(), "No audited decision of it has an answer."
        )
    interval = None if found.lower is None or found.upper is None else (found.lower, found.upper)
    note = "A random sample of the automatic decisions, answered without seeing them: the error that drivers meet."
    return Measurement(
        "Audit, in production", f"{found.answered} decisions", Figure(), Figure(found.error, interval), note
    )


def _reviews(seen: Sequence[Point], days: int) -> Measurement:
    answers = [point.agrees for point in seen if point.reviewed and point.agrees is not None]
    name, photos = "Reviews, in production", f"{len(answers)} answers in {days} days"
    if not answers:
        return Measurement(name, photos, Figure(), Figure(), "No reviewer has answered about its photos yet.")
    note = "Only photos of which the model was unsure, so this is lower than its accuracy on all photos."
    right = sum(answers)
    return Measurement(name, photos, Figure(right / len(answers), clopper_pearson(right, len(answers))), Figure(), note)


def _figure(model: Model, name: str) -> Figure:
    return Figure(model.figure(name), model.interval(name))
