"""The sample of photos that reviewers classify although the model decided about them."""

import math

import pytest

from functions.shared.aws import client
from functions.shared.sampling import AUDIT, SECOND_OPINION, in_sample, parse_share
from functions.watch_quality.audit_share import AuditShareParameter
from tests.unit.functions.stack import (
    ANOTHER_EXECUTION,
    AUDIT_SHARE,
    JPEG,
    CallFailer,
    Function,
    ModelServer,
    Stack,
)

IDS = [f"{number:032x}" for number in range(20_000)]


def within_five_errors(found: float, share: float, number: int) -> bool:
    return abs(found - share) < 5 * math.sqrt(share * (1 - share) / number)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5])
def test_a_sample_has_its_share_of_the_photos(share: float) -> None:
    found = sum(in_sample(photo_id, share, AUDIT) for photo_id in IDS) / len(IDS)
    assert within_five_errors(found, share, len(IDS))


def test_a_larger_share_contains_the_smaller_sample() -> None:
    assert all(in_sample(photo_id, 0.2, AUDIT) for photo_id in IDS if in_sample(photo_id, 0.02, AUDIT))


def test_the_samples_for_two_purposes_are_independent() -> None:
    audited = [photo_id for photo_id in IDS if in_sample(photo_id, 0.1, AUDIT)]
    both = sum(in_sample(photo_id, 0.1, SECOND_OPINION) for photo_id in audited)
    assert within_five_errors(both / len(audited), 0.1, len(audited))


@pytest.mark.parametrize("value", ["setting", "", None, "7", "-0.1", "nan", "inf"])
def test_a_value_that_is_no_share_stands_for_the_setting(value: str | None) -> None:
    assert parse_share(value, 0.02) == 0.02


def test_the_drift_watch_raises_a_share_that_classify_photo_does_not_accept(stack: Stack) -> None:
    stack.set_audit_share("7")
    parameter = AuditShareParameter(AUDIT_SHARE, 0.02, client("ssm"))
    assert parameter.find_lower(0.2) == "7"


def test_a_photo_in_the_sample_is_marked_with_its_decision(stack: Stack, classify: Function) -> None:
    stack.set_audit_share("1")
    photo = stack.upload()
    classify(photo=photo.as_state())
    record = stack.record(photo)
    assert (record.status, record.audit) == ("routed", {"share": 1})
    assert [found.photo.photo_id for found in stack.label_wanted()] == [photo.photo_id]


def test_a_photo_outside_of_the_sample_is_not_marked(stack: Stack, classify: Function) -> None:
    stack.set_audit_share("0")
    photo = stack.upload()
    classify(photo=photo.as_state())
    assert stack.record(photo).audit is None
    assert stack.label_wanted() == []


def test_a_photo_that_goes_to_review_is_not_audited(stack: Stack, classify: Function, model: ModelServer) -> None:
    stack.set_audit_share("1")
    model.set_probabilities(bicycle=0.55, motorcycle=0.40, other=0.05)
    photo = stack.upload()
    classify(photo=photo.as_state())
    assert stack.record(photo).audit is None


def test_a_photo_that_nobody_reviewed_in_time_wants_a_label(
    stack: Stack, classify: Function, assign_bay: Function, model: ModelServer
) -> None:
    model.set_probabilities(bicycle=0.55, motorcycle=0.40, other=0.05)
    reviewed, late = stack.upload(), stack.upload(key="uploads/driver-17/late.jpg")
    for photo, decided_by, vehicle in ((reviewed, "reviewer", "bicycle"), (late, "fallback", None)):
        classify(photo=photo.as_state())
        assign_bay(
            photo=photo.as_state(), decided_by=decided_by, vehicle=vehicle, confidence=None, model_version="model-1"
        )
    assert [found.photo.photo_id for found in stack.label_wanted()] == [late.photo_id]


@pytest.mark.parametrize("value", ["setting", "2", "-1", "nan", "much", None])
def test_the_setting_of_the_stage_is_the_share_without_another_one(
    stack: Stack, function: object, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.setenv("AUDIT_SHARE", "1")
    if value is not None:
        stack.set_audit_share(value)
    photo = stack.upload()
    function("classify_photo")(photo=photo.as_state())  # type: ignore[operator]
    assert stack.record(photo).audit == {"share": 1}


def test_the_share_is_read_in_the_same_call_as_the_threshold(
    stack: Stack, classify: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.set_audit_share("1")
    called, real = [], client("ssm").get_parameters
    monkeypatch.setattr(client("ssm"), "get_parameters", lambda **asked: called.append(asked) or real(**asked))
    for number in range(3):
        classify(photo=stack.upload(JPEG + bytes([number])).as_state())
    (asked,) = called
    assert AUDIT_SHARE in asked["Names"]


def test_a_retry_marks_the_photo_as_the_attempt_before_it_did(
    stack: Stack, classify: Function, fail_call: CallFailer
) -> None:
    stack.set_audit_share("1")
    photo = stack.upload()
    restore = fail_call(client("events"), "put_events")
    with pytest.raises(Exception, match="on purpose"):
        classify(photo=photo.as_state())
    restore()
    classify(photo=photo.as_state())
    classify(photo=photo.as_state(), execution=ANOTHER_EXECUTION)
    assert len(stack.label_wanted()) == 1
