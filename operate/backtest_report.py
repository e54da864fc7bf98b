"""A backtest as figures: what a model answers about past photos, beside the decisions and the reviewers' answers."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from functions.shared.decision import MODEL, REVIEWER
from functions.shared.intervals import clopper_pearson
from functions.shared.label import NOT_LEARNT
from functions.shared.photo_record import PhotoRecord

OTHER = "other"
# How a decision would have been another one.
OTHER_BAY, TO_REVIEW, FROM_REVIEW, SAME = "other bay", "to a reviewer", "without a reviewer", "same"
AUDITED, REVIEWED = "audited", "reviewed"


@dataclass(frozen=True)
class PastPhoto:
    """A photo that was decided: the `vehicle` of the decision, and whether the model decided `alone`.

    `answer` is the usable answer of a reviewer, None without one. `sample` is AUDITED for a photo of the random sample
    of the decisions of the model, REVIEWED for one that a reviewer saw for another reason, None without an answer.
    `model_vehicle` is what the model of that time answered, None when it did not.
    """

    photo_id: str
    vehicle: str
    alone: bool
    answer: str | None
    sample: str | None
    model_vehicle: str | None

    @classmethod
    def of(cls, record: PhotoRecord) -> "PastPhoto":
        """Read the record of a photo with a decision."""
        outcome = record.outcome or {}
        answer = outcome["vehicle"] if outcome["decided_by"] == REVIEWER else None
        if record.label_answer:
            answer = record.label_answer["vehicle"]
        if answer in NOT_LEARNT:
            answer = None
        return cls(
            record.photo.photo_id,
            outcome["vehicle"],
            outcome["decided_by"] == MODEL,
            answer,
            (AUDITED if record.audit else REVIEWED) if answer else None,
            (record.classification or {}).get("vehicle"),
        )


@dataclass(frozen=True)
class Compared:
    """A past photo, and the answer of the model under test: `would_decide` is whether it would have decided alone."""

    past: PastPhoto
    vehicle: str
    confidence: float
    would_decide: bool

    @property
    def change(self) -> str:
        """How the decision would have been another one, SAME if not.

        A photo that was reviewed and that the model would decide alone counts as without a reviewer.
        """
        if not self.would_decide:
            return TO_REVIEW if self.past.alone else SAME
        if not self.past.alone:
            return FROM_REVIEW
        return SAME if self.vehicle == self.past.vehicle else OTHER_BAY

    def as_line(self) -> dict[str, Any]:
        """Return the line of the report: neither key nor driver, only the photo id."""
        line = asdict(self)
        return {**line.pop("past"), "decided_vehicle": self.past.vehicle, "change": self.change, **line}


def compare(past: Sequence[PastPhoto], predicted: Mapping[str, Mapping[str, Any]], threshold: float) -> list[Compared]:
    """Return the photos that both know, ordered by id; `predicted` are lines of the prediction job by photo id.

    As in production, a vehicle is decided alone at the threshold and above, and `other` never is.
    """
    found = []
    for photo in sorted(past, key=lambda one: one.photo_id):
        answer = predicted.get(photo.photo_id)
        if answer and "error" not in answer:
            confidence = float(answer["confidence"])
            decides = answer["vehicle"] != OTHER and confidence >= threshold
            found.append(Compared(photo, str(answer["vehicle"]), confidence, decides))
    return found


def summarize(compared: Sequence[Compared]) -> dict[str, Any]:
    """Return the figures: shares in [0, 1] with intervals of 95% (Clopper and Pearson), None without photos.

    `agreement` is between the model's answers and the vehicles of the decisions. `errors` are on the photos with a
    reviewer's answer, of which those audited are a random sample of the decisions of the model; those reviewed are
    photos that were hard for it.
    """
    changes = Counter(one.change for one in compared)
    return {
        "photos": len(compared),
        "agreement": share(one.vehicle == one.past.vehicle for one in compared),
        "decided_alone": {
            "then": share(one.past.alone for one in compared),
            "now": share(one.would_decide for one in compared),
        },
        "changes": {name: changes[name] for name in (OTHER_BAY, TO_REVIEW, FROM_REVIEW, SAME)},
        "errors": {name: _errors([one for one in compared if one.past.sample == name]) for name in (AUDITED, REVIEWED)},
    }


def _errors(labelled: Sequence[Compared]) -> dict[str, Any]:
    return {
        "now": share(one.vehicle != one.past.answer for one in labelled),
        "then": share(one.past.model_vehicle != one.past.answer for one in labelled if one.past.model_vehicle),
        "now_alone": share(one.vehicle != one.past.answer for one in labelled if one.would_decide),
    }


def share(values: Iterable[bool]) -> dict[str, Any]:
    """Return the `count` of true values, their `number`, the share and its interval.

    >>> share([True, False])
    {'count': 1, 'number': 2, 'share': 0.5, 'low': 0.0126, 'high': 0.9874}
    >>> share([])
    {'count': 0, 'number': 0, 'share': None, 'low': None, 'high': None}
    """
    found = list(values)
    count, number = sum(found), len(found)
    if not number:
        return {"count": 0, "number": 0, "share": None, "low": None, "high": None}
    low, high = clopper_pearson(count, number)
    return {"count": count, "number": number, "share": count / number, "low": round(low, 4), "high": round(high, 4)}


def tables(report: Mapping[str, Any]) -> Iterator[Table]:
    """Yield the report as tables."""
    grid = Table(title=f"{report['photos']:,} past photos, model {report['model_version']}", title_justify="left")
    for title in ("", "then", f"at threshold {report['threshold']:.3f}", "95%"):
        grid.add_column(title, justify="left" if not title else "right")
    decided, errors = report["decided_alone"], report["errors"]
    grid.add_row("answer as the decision", "", *_cells(report["agreement"]))
    grid.add_row("decided alone", _cells(decided["then"])[0], *_cells(decided["now"]))
    for name in (AUDITED, REVIEWED):
        found = errors[name]
        grid.add_row(f"wrong, {name} ({found['now']['number']})", _cells(found["then"])[0], *_cells(found["now"]))
        grid.add_row(f"  of those decided alone ({found['now_alone']['number']})", "", *_cells(found["now_alone"]))
    yield grid
    changes = Table(title="The decision would be", title_justify="left")
    changes.add_column("")
    changes.add_column("photos", justify="right")
    for name, count in report["changes"].items():
        changes.add_row(name, f"{count:,}")
    yield changes


def _cells(found: Mapping[str, Any]) -> tuple[str, str]:
    if found["share"] is None:
        return "–", ""
    return f"{found['share']:.1%}", f"{found['low']:.1%} to {found['high']:.1%}"
