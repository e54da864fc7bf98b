"""The figures of the audit: the error with its interval, and the agreement of reviewers."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmarks.audit_interval import Period, Scenario, simulate
from functions.shared.audit import Agreement, AuditedPhoto, AuditFigures, Estimate, estimate
from functions.shared.intervals import clopper_pearson
from functions.shared.photo import Photo
from functions.shared.photo_record import REJECTED, ROUTED, PhotoRecord
from tests.support.examples import examples

RIGHT = AuditedPhoto("bicycle", "v1", 0.02, "bicycle")
WRONG = replace(RIGHT, answer="motorcycle")
OPEN = replace(RIGHT, answer=None)
UNUSABLE = replace(RIGHT, answer="unusable")
AMBIGUOUS = replace(RIGHT, answer="ambiguous")


@examples(100)
@given(number=st.integers(1, 5000), part=st.floats(0, 1))
def test_the_interval_is_that_of_clopper_and_pearson(number: int, part: float) -> None:
    errors = round(part * number)
    expected = stats.binomtest(errors, number).proportion_ci(method="exact")
    assert clopper_pearson(errors, number) == pytest.approx((expected.low, expected.high), abs=1e-9)


@examples(100)
@given(number=st.floats(0.1, 5000), part=st.floats(0, 1))
def test_the_interval_contains_the_share_also_for_fractions(number: float, part: float) -> None:
    lower, upper = clopper_pearson(part * number, number)
    assert 0 <= lower <= part + 1e-9
    assert part - 1e-9 <= upper <= 1


def test_the_error_is_the_share_of_the_usable_answers() -> None:
    found = estimate([*[RIGHT] * 97, *[WRONG] * 3, OPEN, UNUSABLE, AMBIGUOUS])
    assert (found.answered, found.wrong, found.open, found.unusable, found.error) == (100, 3, 1, 2, pytest.approx(0.03))
    assert (found.lower, found.upper) == pytest.approx(clopper_pearson(3, 100))


def test_without_answers_there_is_no_error() -> None:
    assert estimate([OPEN, UNUSABLE]) == Estimate(answered=0, wrong=0, unusable=1, open=1)


def test_a_photo_of_a_larger_sample_stands_for_fewer_decisions() -> None:
    rare, often = [RIGHT] * 90 + [WRONG] * 10, [replace(RIGHT, share=0.1)] * 500
    found = estimate([*rare, *often])
    # 100 / 0.02 decisions with an error of 10%, and 500 / 0.1 without errors.
    assert found.error == pytest.approx(0.05)
    assert found.lower is not None
    assert found.upper is not None
    assert found.lower < 0.05 < found.upper
    assert found.upper - found.lower > 2 * 1.9 * math.sqrt(0.05 * 0.95 / 600)


@pytest.mark.parametrize(
    "scenario",
    [
        Scenario("one share", (Period(30_000, 0.02, 0.005),)),
        Scenario("one vehicle", (Period(3_000, 0.02, 0.05),)),
        Scenario("drift", (Period(15_000, 0.02, 0.05), Period(15_000, 0.1, 0.01))),
    ],
    ids=lambda scenario: scenario.name,
)
def test_the_interval_covers_the_error_of_simulated_months(scenario: Scenario) -> None:
    assert simulate(scenario, months=400, seed=1).coverage["published"] >= 0.945


def record(number: int, **changes: Any) -> PhotoRecord:
    """Return the record of an audited photo that the model v1 decided about: a bicycle, as the reviewer says."""
    outcome = {"decided_by": "model", "vehicle": "bicycle", "model_version": "v1"}
    made = PhotoRecord(
        Photo("uploads", f"{number}.jpg", "abc"),
        ROUTED,
        "2026-11-28",
        f"2026-11-28T{number:02}",
        "arn",
        outcome=outcome,
        audit={"share": 0.02},
        label_answer={"vehicle": "bicycle", "reviewer": "ada", "answered_at": "any"},
    )
    return replace(made, **changes)


def test_the_figures_are_by_model_and_those_by_vehicle_are_of_the_last_one() -> None:
    motorcycle = {"decided_by": "model", "vehicle": "motorcycle", "model_version": "v2"}
    bicycle = {**motorcycle, "vehicle": "bicycle"}
    found = AuditFigures.of([record(1), record(2, outcome=motorcycle), record(3, outcome=bicycle)])
    assert found.model_version == "v2"
    assert {name: (one.answered, one.wrong) for name, one in found.by_model.items()} == {"v1": (1, 0), "v2": (2, 1)}
    assert {name: one.wrong for name, one in found.by_vehicle.items()} == {"bicycle": 0, "motorcycle": 1}
    assert found.current == found.by_model["v2"]


@pytest.mark.parametrize(
    "changes",
    [
        {"audit": None},
        {"status": REJECTED},
        {"outcome": {"decided_by": "reviewer", "vehicle": "bicycle", "model_version": "v1"}},
    ],
)
def test_a_photo_that_the_model_did_not_decide_about_alone_does_not_count(changes: dict[str, Any]) -> None:
    assert AuditFigures.of([record(1, **changes)]).by_model == {}


def test_the_agreement_of_reviewers_is_compared_with_that_of_chance() -> None:
    pairs = [("bicycle", "bicycle")] * 40 + [("bicycle", "motorcycle")] * 10 + [("motorcycle", "motorcycle")] * 50
    found = Agreement.of(pairs)
    # By chance: 0.5 x 0.4 + 0.5 x 0.6.
    assert (found.photos, found.agreement, found.kappa) == (100, 0.9, pytest.approx((0.9 - 0.5) / 0.5))


def test_two_reviewers_who_give_one_answer_only_have_no_kappa() -> None:
    assert Agreement.of([("bicycle", "bicycle")] * 3) == Agreement(3, 1.0, None)
    assert Agreement.of([]) == Agreement(0)
