"""Two models side by side, as one run of retrain-model measured them on the same photos."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SHARE, PLAIN = "share", "plain"
"""How a figure is shown: as a percentage, or as a number."""

_METRICS = (
    ("accuracy", "Accuracy, two classes", SHARE, True),
    ("ece", "Calibration error (ECE)", PLAIN, False),
    ("auroc", "AUROC, vehicles against non-vehicles", PLAIN, True),
    ("coverage", "Vehicles decided automatically", SHARE, True),
    ("error_accepted", "Errors among automatic decisions", SHARE, False),
    ("other_accepted", "Non-vehicles let through", SHARE, False),
    ("threshold", "Threshold", PLAIN, None),
    ("latency_ms", "Latency (ms)", PLAIN, False),
    ("size_mb", "Size (MB)", PLAIN, False),
)
"""Name, title, form, and whether a higher value is better, None where neither is."""


@dataclass(frozen=True)
class Difference:
    """The challenger's figure minus the other model's: the observed `value`, and the 90% interval (paired bootstrap).

    `means` is what the interval shows: `better`, `worse` or `no clear difference`.
    """

    value: float
    low: float
    high: float
    means: str


@dataclass(frozen=True)
class Line:
    """A figure of both models, None where unknown; `difference` is None where the run measured none."""

    title: str
    form: str
    challenger: float | None
    other: float | None
    difference: Difference | None = None


@dataclass(frozen=True)
class Comparison:
    """A challenger beside another model: `role` is `champion` or `reference`. `photos` says which photos they saw."""

    role: str
    challenger: str
    other: str
    photos: str
    lines: list[Line]


def comparisons(output: Mapping[str, Any], report: Mapping[str, Any]) -> list[Comparison]:
    """Return the comparisons of a run: with the champion, with the reference, and on labelled photos.

    `output` is that of the execution, `report` its evaluation report, which may be empty: then there are no intervals.
    """
    challenger = output.get("challenger")
    if not isinstance(challenger, Mapping):
        return []
    name = str(output.get("model_version") or challenger.get("model_version"))
    holdout = report.get("holdout") or {}
    photos = _describe_holdout(holdout)
    found = []
    champion, reference = output.get("compared_with"), output.get("reference") or {}
    if isinstance(champion, Mapping):
        lines = _lines(challenger, champion, holdout.get("differences") or {})
        found.append(Comparison("champion", name, str(champion.get("model_version")), photos, lines))
    else:
        found.append(Comparison("", name, "", photos, _lines(challenger, {}, {})))
    metrics = reference.get("metrics")
    if isinstance(metrics, Mapping) and isinstance(champion, Mapping):
        version = str(reference.get("model_version"))
        if version != champion.get("model_version"):
            differences = reference.get("differences") or {}
            found.append(Comparison("reference", name, version, photos, _lines(challenger, metrics, differences)))
    if (labelled := report.get("labelled")) and isinstance(champion, Mapping):
        text = f"{labelled['photos']} photos of drivers that reviewers labelled and neither model was trained on"
        accuracies = labelled["challenger_accuracy"], labelled["champion_accuracy"]
        line = Line("Accuracy, three classes", SHARE, *accuracies, _difference(labelled.get("difference"), True))
        found.append(Comparison("champion", name, str(champion.get("model_version")), text, [line]))
    return found


def _describe_holdout(holdout: Mapping[str, Any]) -> str:
    """Return which photos the holdout has.

    >>> _describe_holdout({"photos": 150, "others": 40, "photos_by_vehicle": {"bicycle": 80, "motorcycle": 70}})
    'the holdout, the same for all models: 150 vehicles (80 bicycle, 70 motorcycle) and 40 others'
    >>> _describe_holdout({})
    'the holdout, the same for all models'
    """
    if not holdout.get("photos"):
        return "the holdout, the same for all models"
    by_vehicle = ", ".join(f"{count} {name}" for name, count in (holdout.get("photos_by_vehicle") or {}).items())
    vehicles = f"{holdout['photos']} vehicles ({by_vehicle})"
    return f"the holdout, the same for all models: {vehicles} and {holdout.get('others') or 0} others"


def _lines(challenger: Mapping[str, Any], other: Mapping[str, Any], differences: Mapping[str, Any]) -> list[Line]:
    lines = [
        Line(
            title,
            form,
            _number(challenger.get(name)),
            _number(other.get(name)),
            _difference(differences.get(name), higher),
        )
        for name, title, form, higher in _METRICS
    ]
    recalls, others = challenger.get("recall") or {}, other.get("recall") or {}
    for vehicle in dict.fromkeys((*recalls, *others)):
        lines.append(Line(f"Recall of {vehicle}", SHARE, _number(recalls.get(vehicle)), _number(others.get(vehicle))))
    return [line for line in lines if (line.challenger, line.other) != (None, None)]


def _difference(interval: Mapping[str, Any] | None, higher_is_better: bool | None) -> Difference | None:
    """Return a difference of a report, or None.

    >>> _difference({"mean": 0.02, "low": 0.01, "high": 0.03}, False)
    Difference(value=0.02, low=0.01, high=0.03, means='worse')
    >>> _difference({"mean": 0.0, "low": -0.01, "high": 0.03}, True).means
    'no clear difference'
    """
    if not interval or None in (values := [_number(interval.get(name)) for name in ("mean", "low", "high")]):
        return None
    value, low, high = (float(one or 0.0) for one in values)
    if low <= 0 <= high or higher_is_better is None:
        return Difference(value, low, high, "no clear difference")
    return Difference(value, low, high, "better" if (low > 0) == higher_is_better else "worse")


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
