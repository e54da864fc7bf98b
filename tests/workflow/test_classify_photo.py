"""classify-photo decides for each photo, rejects it, or keeps it in the unrouted queue."""

import inspect
import json
from datetime import timedelta
from typing import Any

import pytest

from functions.shared.times import now
from tests.support.waiting import eventually
from tests.workflow.stage import JPEG, EndpointError, Stage, classification

DECISION_KEYS = {
    *("photo", "driver_id", "vehicle", "confidence", "decided_by", "loading_bay", "order_range"),
    *("model_version", "execution", "decided_at"),
}


def unavailable(image: bytes) -> EndpointError:
    return EndpointError("ServiceUnavailable", "the endpoint is down")


def review_answer(vehicle: str) -> dict[str, str]:
    return {"vehicle": vehicle, "reviewer": "ann", "answered_at": "2026-11-23T10:00:00Z"}


def test_a_confident_classification_is_the_decision(stage: Stage) -> None:
    run = stage.classify(stage.upload())
    decision = run.output()
    assert set(decision) >= DECISION_KEYS
    assert decision["loading_bay"] == "Bay A"
    assert decision["decided_by"] == "model"
    assert decision["driver_id"] == "driver-7"
    assert decision["execution"] == run.arn
    assert run.states() == ["ClassifyPhoto", "Decided?", "ReturnDecision"]
    assert [event["loading_bay"] for event in stage.events("Driver Routed")] == ["Bay A"]


def test_a_photo_given_only_by_bucket_and_key_is_decided_too(stage: Stage) -> None:
    photo = stage.upload()
    run = stage.start(stage.deploy_classify(), {"photo": {"bucket": photo["bucket"], "key": photo["key"]}})
    assert run.output()["photo"]["etag"] == photo["etag"]


@pytest.mark.parametrize(("vehicle", "bay"), [("bicycle", "Bay A"), ("motorcycle", "Bay B"), ("other", "Help desk")])
def test_a_classification_below_the_threshold_is_decided_by_the_reviewer(stage: Stage, vehicle: str, bay: str) -> None:
    stage.respond = lambda image: classification("bicycle", 0.5)
    photo = stage.upload()
    run = stage.classify(photo)
    request = stage.review_request()
    assert request["reason"] == "LowConfidence"
    assert request["vehicle"] == "bicycle"
    assert (stage.record(photo).classification or {})["confidence"] == 0.5
    stage.answer_review(request, review_answer(vehicle))
    decision = run.output()
    assert (decision["vehicle"], decision["loading_bay"], decision["decided_by"]) == (vehicle, bay, "reviewer")
    assert decision["model_version"] == "vehicles-test-1"
    assert decision["confidence"] is None
    assert (stage.record(photo).status, stage.record(photo).outcome) == ("routed", decision)


def test_a_photo_of_no_vehicle_goes_to_review_at_any_confidence(stage: Stage) -> None:
    stage.respond = lambda image: classification("other", 0.99)
    stage.classify(stage.upload())
    assert stage.review_request()["reason"] == "NotAVehicle"


def test_a_photo_the_reviewer_cannot_use_is_rejected(stage: Stage) -> None:
    stage.respond = lambda image: classification("bicycle", 0.5)
    photo = stage.upload()
    run = stage.classify(photo)
    stage.answer_review(stage.review_request(), review_answer("unusable"))
    rejection = run.output()
    assert rejection["rejected"]["reason"] == "UnusablePhoto"
    assert len(stage.events("Photo Rejected")) == 1
    assert stage.record(photo).status == "rejected"


def test_a_driver_whose_vehicle_the_reviewer_cannot_name_goes_to_the_help_desk_at_once(stage: Stage) -> None:
    stage.respond = lambda image: classification("bicycle", 0.5)
    run = stage.classify(stage.upload())
    stage.answer_review(stage.review_request(), review_answer("ambiguous"))
    decision = run.output()
    assert (decision["decided_by"], decision["vehicle"], decision["order_range"]) == ("reviewer", None, "help-desk")
    assert len(stage.events("Driver Routed")) == 1


@pytest.mark.parametrize("answer", [{}, {"vehicle": None}, "bicycle", [], {"vehicle": 7}])
def test_an_invalid_answer_sends_the_driver_to_the_help_desk(stage: Stage, answer: Any) -> None:
    stage.respond = lambda image: classification("bicycle", 0.5)
    run = stage.classify(stage.upload())
    stage.answer_review(stage.review_request(), answer)
    assert run.output()["decided_by"] == "fallback"


def test_a_review_that_times_out_sends_the_driver_to_the_help_desk(stage: Stage) -> None:
    stage.respond = lambda image: classification("bicycle", 0.5)
    photo = stage.upload()
    decision = stage.classify(photo, review_timeout_s=1).output()
    assert (decision["vehicle"], decision["loading_bay"], decision["decided_by"]) == (None, "Help desk", "fallback")
    assert stage.record(photo).outcome == decision


def test_an_unavailable_endpoint_is_retried_with_backoff_before_a_review(stage: Stage) -> None:
    stage.respond = unavailable
    run = stage.classify(stage.upload())
    request = stage.review_request()
    assert request["reason"] == "ModelUnavailable"
    assert request["vehicle"] is None
    assert len(stage.events_to("classify_photo")) == 5
    assert all(0 <= delay <= longest for delay, longest in zip(stage.retry_delays, (2, 4, 8, 16), strict=True))
    stage.answer_review(request, review_answer("motorcycle"))
    assert run.output()["loading_bay"] == "Bay B"


def test_an_expensive_photo_waits_longer_than_an_outage(stage: Stage) -> None:
    busy = {"error": "DecoderBusy", "message": "another photo is being decoded"}
    answers: list[Any] = [*[busy] * 20, classification()]
    stage.respond = lambda image: answers.pop(0)
    assert stage.classify(stage.upload()).output()["decided_by"] == "model"
    assert len(stage.retry_delays) == 20


def test_an_endpoint_that_is_available_again_decides(stage: Stage) -> None:
    answers: list[Any] = [EndpointError("ModelError", "worker died", 424), classification()]
    stage.respond = lambda image: answers.pop(0)
    assert stage.classify(stage.upload()).output()["decided_by"] == "model"


def test_an_invalid_response_of_the_endpoint_goes_to_review(stage: Stage) -> None:
    stage.respond = lambda image: {"unexpected": "field"}
    stage.classify(stage.upload())
    assert stage.review_request()["reason"] == "ModelAnswerInvalid"


@pytest.mark.parametrize(("image", "reason"), [(b"", "UnreadablePhoto"), (b"plain text", "UnreadablePhoto")])
def test_a_file_that_is_no_photo_is_rejected_with_the_reason(stage: Stage, image: bytes, reason: str) -> None:
    run = stage.classify(stage.upload(image))
    assert run.output()["rejected"]["reason"] == reason
    assert [event["rejected"]["reason"] for event in stage.events("Photo Rejected")] == [reason]


@pytest.mark.parametrize(
    ("error", "message"), [("PhotoTooLarge", "60 megapixels"), ("PhotoTooComplex", "more than 64 scans")]
)
def test_a_photo_the_endpoint_cannot_decode_is_rejected_without_a_retry(stage: Stage, error: str, message: str) -> None:
    invocations: list[bytes] = []

    def respond(image: bytes) -> dict[str, str]:
        invocations.append(image)
        return {"error": error, "message": message}

    stage.respond = respond
    run = stage.classify(stage.upload())
    assert run.output()["rejected"] == {"reason": error, "message": message}
    assert len(invocations) == 1


def test_a_photo_that_was_deleted_is_rejected(stage: Stage) -> None:
    run = stage.start(stage.deploy_classify(), {"photo": {"bucket": "uploads", "key": "uploads/d/gone.jpg"}})
    assert run.output()["rejected"]["reason"] == "PhotoMissing"


def test_an_event_delivered_twice_has_one_decision_and_one_event(stage: Stage) -> None:
    machine, photo = stage.deploy_classify(), stage.upload()
    first, second = stage.start(machine, {"photo": photo}), stage.start(machine, {"photo": photo})
    assert first.output() == second.output()
    third = stage.start(machine, {"photo": photo})
    assert third.output() == first.output()
    assert third.states()[-1] == "ReturnDecision"
    assert len(stage.events("Driver Routed")) == 1


def test_an_event_delivered_twice_has_one_review_and_both_executions_return_its_answer(stage: Stage) -> None:
    stage.respond = lambda image: classification("bicycle", 0.5)
    machine, photo = stage.deploy_classify(), stage.upload()
    first = stage.start(machine, {"photo": photo})
    request = stage.review_request()
    second = stage.start(machine, {"photo": photo})
    eventually(lambda: len(stage.waits) >= 3, what="the second execution to wait a few times")
    stage.answer_review(request, review_answer("bicycle"))
    assert first.output() == second.output()
    assert stage.waits[:3] == [15, 30, 45]
    assert stage.receive_all("review") == []
    assert len(stage.events_to("classify_photo")) == 2
    assert len(stage.events("Driver Routed")) == 1


@pytest.mark.parametrize("image", [JPEG, b""], ids=["decided", "rejected"])
def test_an_outcome_that_was_recorded_and_not_announced_is_announced_by_the_next_execution(
    stage: Stage, image: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine, photo = stage.deploy_classify(), stage.upload(image)
    stage.aws["events"].delete_event_bus(Name="scones-test")
    first = stage.start(machine, {"photo": photo})
    assert first.wait()["status"] == "FAILED"
    (message,) = stage.receive_all("unrouted")
    assert message["error"]["Error"] == "EventNotPublished"
    stage.create_event_bus()
    record = stage.record(photo)
    modules = [inspect.unwrap(stage.handlers[folder]).__globals__ for folder in ("assign_bay", "reject_photo")]
    classifier = inspect.unwrap(stage.handlers["classify_photo"]).__globals__["Classifier"]
    for module in (*modules, classifier.classify.__globals__):
        monkeypatch.setitem(module, "now", lambda: now() + timedelta(minutes=1))
    assert stage.start(machine, {"photo": message["photo"]}).output() == record.outcome
    published = stage.events("Driver Routed" if image else "Photo Rejected")
    assert published == [record.outcome]


def test_one_of_too_many_photos_is_rejected_with_the_time_to_try_again(stage: Stage) -> None:
    photo = {**stage.upload(key="uploads/driver-8/excess.jpg"), "uploaded_at": stage.fill_minute("driver-8")}
    run = stage.classify(photo)
    rejection = run.output()
    assert rejection["rejected"]["reason"] == "TooManyPhotos"
    assert rejection["rejected"]["retry_at"] == "2026-11-23T02:36:00.000Z"
    assert run.states() == ["ClassifyPhoto", "Decided?", "RejectExcessPhoto"]
    assert stage.events("Photo Rejected") == [rejection]


def test_one_upload_too_many_of_a_photo_in_review_leaves_it_to_the_reviewer(stage: Stage) -> None:
    stage.respond = lambda image: classification("bicycle", 0.5)
    photo = stage.upload(key="uploads/driver-8/waits.jpg")
    first = stage.start(stage.deploy_classify(), {"photo": photo})
    request = stage.review_request()
    second = stage.classify({**photo, "uploaded_at": stage.fill_minute("driver-8"), "sequencer": "617F08299329D189"})
    assert second.output()["error"]["Error"] == "PhotoInProgress"
    assert second.states()[-2:] == ["RejectExcessPhoto", "LeaveToOtherExecution"]
    stage.answer_review(request, review_answer("motorcycle"))
    assert first.output()["vehicle"] == "motorcycle"
    assert stage.events("Photo Rejected") == []


def test_the_rejections_of_a_flood_wait_for_their_share_of_the_concurrency(stage: Stage) -> None:
    photo = {**stage.upload(key="uploads/driver-8/excess.jpg"), "uploaded_at": stage.fill_minute("driver-8")}
    stage.fail_invocations("reject_excess_photo", *["TooManyRequestsException"] * 20)
    assert stage.classify(photo).output()["rejected"]["reason"] == "TooManyPhotos"
    assert len(stage.retry_delays) == 20
    assert max(stage.retry_delays) <= 30
    assert stage.receive_all("unrouted") == []


def test_the_marker_of_a_folder_starts_nothing(stage: Stage) -> None:
    run = stage.classify(stage.upload(b"", key="uploads/driver-7/"))
    run.output()
    assert run.states() == ["ClassifyPhoto", "IgnoreFolder"]
    assert stage.events("Photo Rejected") == []


def test_transient_errors_of_the_lambda_service_are_retried(stage: Stage) -> None:
    stage.respond = lambda image: classification("bicycle", 0.5)
    for folder in stage.handlers:
        stage.fail_invocations(folder, "TooManyRequestsException", "ServiceException")
    run = stage.classify(stage.upload())
    stage.answer_review(stage.review_request(), review_answer("bicycle"))
    assert run.output()["decided_by"] == "reviewer"
    assert len(stage.retry_delays) == 6


def test_a_crashed_lambda_is_retried_once(stage: Stage) -> None:
    handler = stage.handlers["classify_photo"]
    crashes = [type("Runtime.ExitError", (Exception,), {})("RequestId: 1 Error: Runtime exited")]

    def crash_once(event: dict[str, Any], context: Any) -> Any:
        if crashes:
            raise crashes.pop()
        return handler(event, context)

    stage.handlers = {**stage.handlers, "classify_photo": crash_once}
    assert stage.classify(stage.upload()).output()["decided_by"] == "model"


def test_without_a_review_queue_the_driver_goes_to_the_help_desk(stage: Stage) -> None:
    stage.respond = lambda image: classification("bicycle", 0.5)
    stage.aws["sqs"].delete_queue(QueueUrl=stage.queue_url("review"))
    decision = stage.classify(stage.upload()).output()
    assert (decision["decided_by"], decision["loading_bay"]) == ("fallback", "Help desk")


@pytest.mark.parametrize("image", [JPEG, b""], ids=["decided", "rejected"])
def test_an_outcome_that_cannot_be_recorded_keeps_the_photo_in_the_unrouted_queue(stage: Stage, image: bytes) -> None:
    stage.respond = lambda image: classification("bicycle", 0.5)
    # Another execution takes the photo over when the review request of the failed one has expired.
    machine, photo = stage.deploy_classify(review_timeout_s=3), stage.upload(image)
    stage.fail_invocations("assign_bay", *["ServiceException"] * 20)
    stage.fail_invocations("reject_photo", *["ServiceException"] * 20)
    run = stage.start(machine, {"photo": photo})
    if image:
        stage.answer_review(stage.review_request(), review_answer("bicycle"))
    assert (run.wait()["status"], run.wait()["error"]) == ("FAILED", "PhotoUnrouted")
    (message,) = stage.receive_all("unrouted")
    assert message["photo"]["key"] == photo["key"]
    assert message["execution"] == run.arn
    assert message["error"]["Error"] == "Lambda.ServiceException"
    # The message is enough to start again.
    stage.lambda_errors.clear()
    stage.respond = lambda image: classification()
    again = stage.start(machine, {"photo": message["photo"]})
    assert again.output()["photo"]["key"] == photo["key"]


def test_a_workflow_that_starts_classify_photo_gets_the_decision_as_its_output(stage: Stage) -> None:
    parent = {
        "StartAt": "ClassifyPhoto",
        "States": {
            "ClassifyPhoto": {
                "Type": "Task",
                "Resource": "arn:aws:states:::states:startExecution.sync:2",
                "Parameters": {
                    "StateMachineArn": stage.deploy_classify(),
                    "Name": "nested",
                    "Input": {"photo.$": "$.photo"},
                },
                "OutputPath": "$.Output",
                "End": True,
            }
        },
    }
    machine = stage.aws["stepfunctions"].create_state_machine(
        name="parent", definition=json.dumps(parent), roleArn=stage.role
    )["stateMachineArn"]
    photo = stage.upload()
    output = stage.start(machine, {"photo": {"bucket": photo["bucket"], "key": photo["key"]}}).output()
    assert output["loading_bay"] == "Bay A"
