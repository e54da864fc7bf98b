"""Requests of the audit queue: when they are shown, what they show, and what becomes of the answers."""

import io
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from console import monitoring
from console.answers import choices
from console.aws import Aws
from console.desk import Desk
from console.labels import Label
from console.leases import Lease
from console.periods import PERIODS
from console.review_request import parse_label_request
from console.session import AUDITED, LABEL_ONLY, ROUTED, Session
from console.terminal import Terminal
from console.web import views
from deploy.outputs import Deployed
from functions.audit_decisions.requests import AuditQueue
from functions.build_dataset.evidence import Answer
from functions.shared.audit import AUDITED as AUDIT
from functions.shared.audit import REVIEW_TIMED_OUT, SECOND, UNSURE_IN_BATCH
from functions.shared.dynamodb import deserialize, serialize
from functions.shared.intervals import clopper_pearson
from functions.shared.label import LabelKey
from functions.shared.label_requests import LABEL, SECOND_LABEL, LabelRequests, new_request
from functions.shared.photo_record import PhotoRecord
from functions.shared.times import now
from operate.status import audit_lines, read_audit
from tests.support.reviewers import reviewer as named
from tests.support.waiting import eventually
from tests.unit import model_stage
from tests.unit.console.browser_client import BrowserClient
from tests.unit.console.review_requests import FakeAws, all_labels, depth, labels, send

CONFIDENCE = 0.97
PROBABILITIES = {"bicycle": CONFIDENCE, "motorcycle": 0.02, "other": 0.01}


def record_of(number: int) -> PhotoRecord:
    record = model_stage.photo_table().get(model_stage.photo(number).photo_id)
    assert record is not None
    return record


def send_audit(stage: Deployed, number: int, reason: str = AUDIT, **more: Any) -> str:
    """Let the model decide about photo `number`, and request a label of it; return the id of the photo."""
    now = datetime.now(UTC)
    if model_stage.photo_table().get(model_stage.photo(number).photo_id) is None:
        model_stage.decided(number, CONFIDENCE, by="fallback" if reason == REVIEW_TIMED_OUT else "model")
        model_stage.aws("dynamodb").update_item(
            TableName="photos",
            Key={"photo_id": {"S": model_stage.photo(number).photo_id}},
            UpdateExpression="SET audit = :audit, classification.probabilities = :probabilities",
            ExpressionAttributeValues=serialize({":audit": {"share": 0.02}, ":probabilities": PROBABILITIES}),
        )
    requests = LabelRequests("photos", model_stage.aws("dynamodb"))
    request = {**new_request(record_of(number).photo, reason, now), **more}
    assert requests.add(record_of(number), SECOND_LABEL if reason == SECOND else LABEL, request, now)
    AuditQueue(stage.audit_queue_url, model_stage.aws("sqs")).send(record_of(number), request)
    return model_stage.photo(number).photo_id


def send_second(stage: Deployed, number: int, reviewer: str, vehicle: str) -> str:
    """Request a second opinion about an audited photo that a reviewer has classified."""
    return send_audit(stage, number, SECOND, first={"reviewer": reviewer, "vehicle": vehicle, "answered_at": "any"})


def open_desk(stage: Deployed, aws: FakeAws | None = None, **options: Any) -> Desk:
    return Desk(stage, aws or FakeAws(), choices(), **options)


def take_one(desk: Desk, session: Session) -> Lease:
    (lease,) = desk.take(session, ahead=1)
    return lease


def answer_one(desk: Desk, session: Session, vehicle: str) -> Any:
    """Answer the current request; return the notice."""
    before = session.notice_count
    desk.answer(session, take_one(desk, session).id, vehicle)
    return eventually(lambda: session.notice_count > before and session.notices[-1], what="the notice")


def shown(lease: Lease) -> Mapping[str, Any]:
    return views.leased_request(lease, datetime.now(UTC), blind=False)


def test_an_audit_is_shown_when_no_driver_waits(stage: Deployed) -> None:
    audited = send_audit(stage, 1)
    with open_desk(stage) as desk:
        lease = take_one(desk, desk.open_session(named("ada")))
    assert lease.request.photo.photo_id == audited
    assert lease.request.task_token is None


def test_a_driver_who_waits_comes_before_audits(stage: Deployed) -> None:
    for number in (1, 2, 3):
        send_audit(stage, number)
    waiting = send(stage, 5)
    with open_desk(stage) as desk:
        leased = desk.take(desk.open_session(named("ada")))
    assert [lease.request.photo.photo_id for lease in leased] == [waiting]


def test_an_audit_on_the_screen_goes_back_when_a_driver_waits(stage: Deployed) -> None:
    send_audit(stage, 1)
    with open_desk(stage) as desk:
        session = desk.open_session(named("ada"))
        take_one(desk, session)
        waiting = send(stage, 5)
        assert take_one(desk, session).request.photo.photo_id == waiting
        assert depth(stage.audit_queue_url) == (1, 0)


@pytest.mark.parametrize("reason", [AUDIT, SECOND])
def test_a_blind_request_shows_no_opinion(stage: Deployed, reason: str) -> None:
    send_audit(stage, 1)
    if reason == SECOND:
        model_stage.aws("sqs").purge_queue(QueueUrl=stage.audit_queue_url)
        send_second(stage, 1, "ben", "motorcycle")
    with open_desk(stage) as desk:
        page = shown(take_one(desk, desk.open_session(named("ada"))))
    assert page["blind"] is True
    assert not any(page[name] for name in ("vehicle", "confidence", "probabilities", "threshold", "ended"))
    assert "bicycle" not in json.dumps(page)
    assert "motorcycle" not in json.dumps(page)
    assert "Bay" not in json.dumps(page)
    assert str(CONFIDENCE) not in json.dumps(page)


def test_a_request_after_a_timeout_shows_the_prediction(stage: Deployed) -> None:
    send_audit(stage, 1, REVIEW_TIMED_OUT)
    with open_desk(stage) as desk:
        page = shown(take_one(desk, desk.open_session(named("ada"))))
    assert (page["blind"], page["vehicle"], page["expires_in_s"]) == (False, "bicycle", None)


@pytest.mark.parametrize(
    ("vehicle", "message"),
    [
        ("bicycle", "The model decided bicycle (97.0%), too."),
        ("motorcycle", "The model decided bicycle (97.0%). The driver's bay does not change."),
    ],
)
def test_the_opinion_of_the_model_appears_after_the_answer(stage: Deployed, vehicle: str, message: str) -> None:
    send_audit(stage, 1)
    aws = FakeAws()
    with open_desk(stage, aws, undo_s=0) as desk:
        notice = answer_one(desk, desk.open_session(named("ada")), vehicle)
    assert (notice.kind, notice.message) == (AUDITED, message)
    assert aws.stepfunctions.outputs == {}
    assert depth(stage.audit_queue_url) == (0, 0)


def test_the_answer_is_a_label_with_evidence_and_the_prediction(stage: Deployed) -> None:
    photo_id = send_audit(stage, 1)
    aws = FakeAws()
    with open_desk(stage, aws, undo_s=0) as desk:
        answer_one(desk, desk.open_session(named("ada")), "motorcycle")
    ((key, label),) = all_labels(stage)
    assert (label["photo_id"], label["vehicle"], label["reason"]) == (photo_id, "motorcycle", AUDIT)
    assert (label["model_vehicle"], label["confidence"], label["agrees"]) == ("bicycle", CONFIDENCE, False)
    parsed = LabelKey.parse(key)
    assert parsed is not None
    record = model_stage.aws("dynamodb").get_item(TableName="photos", Key={"photo_id": {"S": photo_id}})["Item"]
    requests = [{name: value["S"] for name, value in entry["M"].items()} for entry in record["review_requests"]["L"]]
    Answer.read(json.dumps(label).encode(), parsed).check_request({"review_requests": requests}, datetime.now(UTC))
    assert [event["accepted"] for event in aws.events.details] == [False]


def test_an_answered_audit_is_not_shown_again(stage: Deployed) -> None:
    send_audit(stage, 1)
    with open_desk(stage, undo_s=0) as desk:
        session = desk.open_session(named("ada"))
        answer_one(desk, session, "bicycle")
        AuditQueue(stage.audit_queue_url, model_stage.aws("sqs")).send(record_of(1), record_of(1).label_request or {})
        assert desk.take(session) == []
        assert depth(stage.audit_queue_url) == (0, 0)


def test_an_answer_after_the_timeout_of_a_review_is_a_label(stage: Deployed) -> None:
    photo_id = send_audit(stage, 1, REVIEW_TIMED_OUT)
    with open_desk(stage, undo_s=0) as desk:
        assert answer_one(desk, desk.open_session(named("ada")), "bicycle").kind == LABEL_ONLY
    assert labels(stage)[photo_id]["vehicle"] == "bicycle"


def test_a_second_opinion_is_not_that_of_the_first_reviewer(stage: Deployed) -> None:
    send_audit(stage, 1)
    with open_desk(stage, undo_s=0) as desk:
        ada, ben = (desk.open_session(named(name)) for name in ("ada", "ben"))
        answer_one(desk, ada, "bicycle")
        send_second(stage, 1, "ada", "bicycle")
        assert desk.take(ada) == []
        _make_visible(stage.audit_queue_url, desk)
        notice = answer_one(desk, ben, "motorcycle")
    assert notice.message == "Another reviewer answered bicycle."
    assert [label["reviewer"] for _, label in all_labels(stage)] == ["ada", "ben"]


def _make_visible(url: str, desk: Desk) -> None:
    """Send the hidden request again, because its delay is too long for a test."""
    model_stage.aws("sqs").purge_queue(QueueUrl=url)
    AuditQueue(url, model_stage.aws("sqs")).send(record_of(1), record_of(1).second_request or {})


def test_a_malformed_message_is_deleted(stage: Deployed) -> None:
    photo = model_stage.photo(1).as_state()
    for body in ("{broken", json.dumps({"photo": photo}), json.dumps({"photo": photo, "reason": "Other"})):
        model_stage.aws("sqs").send_message(QueueUrl=stage.audit_queue_url, MessageBody=body)
    photo_id = send_audit(stage, 2)
    with open_desk(stage) as desk:
        assert take_one(desk, desk.open_session(named("ada"))).request.photo.photo_id == photo_id
    assert depth(stage.audit_queue_url) == (1, 0)


def test_an_audit_of_a_deleted_photo_is_deleted(stage: Deployed) -> None:
    photo_id = send_audit(stage, 1)
    model_stage.aws("dynamodb").delete_item(TableName="photos", Key={"photo_id": {"S": photo_id}})
    with open_desk(stage) as desk:
        assert desk.take(desk.open_session(named("ada"))) == []
    assert depth(stage.audit_queue_url) == (0, 0)


def test_an_audit_that_many_reviewers_skip_stays_in_the_queue(stage: Deployed) -> None:
    send_audit(stage, 1)
    with open_desk(stage) as desk:
        session = desk.open_session(named("ada"))
        for _ in range(12):
            desk.skip(session, take_one(desk, session).id)
    assert depth(stage.audit_queue_url) == (1, 0)


def test_an_undone_audit_is_answered_again_while_a_driver_waits(stage: Deployed) -> None:
    send_audit(stage, 1)
    with open_desk(stage, undo_s=60) as desk:
        session = desk.open_session(named("ada"))
        lease = take_one(desk, session)
        desk.answer(session, lease.id, "motorcycle")
        send(stage, 5)
        desk.take(session, ahead=1)
        assert desk.undo(session) is lease
        assert desk.take(session, ahead=1)[0] is lease


def test_a_driver_is_routed_as_before_between_audits(stage: Deployed) -> None:
    send_audit(stage, 1)
    send(stage, 5)
    aws = FakeAws()
    with open_desk(stage, aws, undo_s=0) as desk:
        session = desk.open_session(named("ada"))
        kinds = [answer_one(desk, session, "bicycle").kind for _ in range(2)]
    assert kinds == [ROUTED, AUDITED]
    assert list(aws.stepfunctions.outputs) == ["token-5"]


def answered(stage: Deployed, number: int, vehicle: str, **request: Any) -> None:
    """Let the model decide about photo `number`, and record the answer to its audit."""
    photo_id = send_audit(stage, number, **request)
    requests = LabelRequests("photos", model_stage.aws("dynamodb"))
    requests.record_answer(photo_id, LABEL, {"vehicle": vehicle, "reviewer": "ada", "answered_at": "any"})


def page(stage: Deployed, path: str) -> str:
    with BrowserClient(stage, Aws()) as browser:
        response = browser.get(path)
    assert response.status_code == 200
    return " ".join(response.text.split())


def test_the_model_page_shows_the_error_with_its_interval(stage: Deployed) -> None:
    assert "No decision of the last 28 days is in the audit sample" in page(stage, "/model")
    for number in range(4):
        answered(stage, number, "motorcycle" if number == 0 else "bicycle")
    shown = page(stage, "/model")
    row = shown.partition(f'<td class="code">{model_stage.CHAMPION}')[2].partition("</tr>")[0]
    lower, upper = clopper_pearson(1, 4)
    assert f'25.0%</td><td class="number">{lower:.1%} to {upper:.1%}</td>' in row
    assert f"<td>bicycle, by {model_stage.CHAMPION}</td>" in shown


def test_the_page_of_a_photo_shows_an_answer_that_differs_from_its_decision(stage: Deployed) -> None:
    answered(stage, 1, "motorcycle")
    shown = page(stage, f"/photos/{model_stage.photo(1).photo_id}")
    answer = 'motorcycle <span class="tag tag-fallback">differs from the decision</span>'
    assert f"<dt>Audit</dt><dd>{answer}</dd>" in shown
    assert "<dt>Vehicle</dt><dd>bicycle" in shown


def test_the_page_of_a_photo_shows_an_answer_that_agrees(stage: Deployed) -> None:
    answered(stage, 1, "bicycle")
    shown = page(stage, f"/photos/{model_stage.photo(1).photo_id}")
    assert "<dt>Audit</dt><dd>bicycle</dd>" in shown


def test_audits_are_no_reviews_in_the_figures_of_the_model(stage: Deployed) -> None:
    answered(stage, 1, "motorcycle")
    labelled = Label.of(
        parse_label_request(
            model_stage.aws("sqs").receive_message(QueueUrl=stage.audit_queue_url)["Messages"][0]["Body"],
            bucket=stage.uploads_bucket,
        ).with_prediction(record_of(1)),
        "motorcycle",
        named("ada"),
        datetime.now(UTC),
        "1",
    )
    key = {"photo_id": {"S": labelled.photo_id}}
    item = deserialize(model_stage.aws("dynamodb").get_item(TableName="photos", Key=key)["Item"])
    seen = monitoring.points([item], [labelled])
    assert [(point.reviewed, point.agrees) for point in seen] == [(False, False)]
    assert {bucket.agreement for bucket in monitoring.buckets(seen, PERIODS["day"], now())} == {None}
    assert views.summary(seen)["compared"] == 0


def test_the_status_has_a_line_for_each_estimate(stage: Deployed) -> None:
    answered(stage, 1, "motorcycle")
    lines = list(audit_lines(read_audit(stage)))
    assert lines[0].startswith(
        f"Audit of {model_stage.CHAMPION}: 100.0% of its decisions are wrong (95%: 2.5% to 100.0%)"
    )
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("reason", "shown_opinion"), [(AUDIT, False), (REVIEW_TIMED_OUT, True), (UNSURE_IN_BATCH, True)]
)
def test_the_terminal_shows_no_opinion_before_the_answer_to_an_audit(
    stage: Deployed, reason: str, shown_opinion: bool
) -> None:
    send_audit(stage, 1, reason)
    out = io.StringIO()
    with open_desk(stage) as desk:
        session = desk.open_session(named("ada"))
        Terminal(Console(file=out, width=100), desk, session).run(iter([None]))
    assert "driver-1" in out.getvalue()
    assert "no longer waits" in out.getvalue()
    assert ("97.0%" in out.getvalue()) == shown_opinion
