"""The evaluation report, as events/contracts/evaluation_report.json describes it."""

from typing import Any

from functions.shared.s3 import check_document
from functions.shared.shapes import (
    all_of,
    count,
    fraction,
    list_of,
    number,
    object_with,
    one_of,
    optional,
    text,
    values,
)

_METRIC = optional(fraction)
_MODEL = object_with(
    {},
    {
        "model_version": text,
        **dict.fromkeys(("accuracy", "ece", "auroc", "coverage", "error_accepted", "other_accepted"), _METRIC),
        "threshold": optional(fraction),
        **dict.fromkeys(("latency_ms", "size_mb"), optional(number(0))),
        "recall": optional(values(_METRIC)),
    },
)
_INTERVAL = optional(object_with({"low": number(), "high": number()}))
_DIFFERENCES = object_with({"differences": object_with({}, dict.fromkeys(("accuracy", "ece", "auroc"), _INTERVAL))})
_LABELLED = object_with({"photos": count, "challenger_accuracy": fraction, "champion_accuracy": fraction})
# A promoted challenger serves with its threshold.
_CHALLENGER = all_of(_MODEL, object_with({"threshold": fraction}))
_HOLDOUT = object_with({"photos_by_vehicle": values(count)})
_NAMED = list_of(object_with({"reviewer": text, "suspected": count, "labels": count}))
_REPORT = object_with(
    {"challenger": _CHALLENGER, "holdout": _HOLDOUT, "labels": object_with({"distrusted": _NAMED})},
    {"champion": optional(_MODEL), "labelled": optional(_LABELLED)},
)


def check_report(report: Any, uri: str, reference: str) -> None:
    """Raise InvalidDocument when the gate cannot judge the report at an address.

    A report on a champion must compare the challenger with the model version `reference`, too: a job with older code
    would leave that comparison out.
    """
    check_document(_REPORT, report, uri)
    if report.get("champion") is None:
        return
    compared = all_of(
        object_with({"model_version": one_of(reference), "error": optional(text), "metrics": optional(_MODEL)}),
        _DIFFERENCES,
    )
    check_document(
        object_with({"champion": object_with({"model_version": text}), "holdout": _DIFFERENCES, "reference": compared}),
        report,
        uri,
    )
