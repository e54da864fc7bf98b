"""classify-photo as deployed: what becomes of a photo, whatever happens on the way."""

import json
from typing import Any

import pytest

from tests.workflow.harness import JPEG, EndpointError, Stage, confident, until

DECISION_KEYS = {
    *("photo", "driver_id", "vehicle", "confidence", "decided_by", "loading_bay", "order_range"),
    *("model_version", "execution", "decided_at"),
}


def model_down(image: bytes) -> EndpointError:
    return EndpointError("ServiceUnavailable", "the endpoint is down")


def by_ann(vehicle: str) -> dict[str, str]:
    return {"vehicle": vehicle, "reviewer": "ann", "answered_at": "2026-11-23T10:00:00Z"}


def test_a_sure_photo_goes_straight_to_its_bay(stage: Stage) -> None:
    run = stage.start(stage.deploy_classify(), {"photo": stage.upload()})
    decision = run.output()
    assert set(decision) >= DECISION_KEYS
    assert decision["loading_bay"] == "Bay A"
    assert decision["decided_by"] == "model"
    assert decision["driver_id"] == "driver-7"
    assert decision["execution"] == run.arn
    assert run.states() == ["ClassifyPhoto", "Confident?", "DecideByModel", "AssignBay"]
    assert [event["loading_bay"] for event in stage.events("Driver Routed")] == ["Bay A"]


def test_a_photo_given_only_by_bucket_and_key_is_decided_too(stage: Stage) -> None:
    photo = stage.upload()
    run = stage.start(stage.deploy_classify(), {"photo": {"bucket": photo["bucket"], "key": photo["key"]}})
    assert run.output()["photo"]["etag"] == photo["etag"]


@pytest.mark.parametrize(("vehicle", "bay"), [("bicycle", "Bay A"), ("motorcycle", "Bay B"), ("other", "Help desk")])
def test_an_unsure_photo_is_decided_by_the_reviewer(stage: Stage, vehicle: str, bay: str) -> None:
    stage.model = lambda image: confident("bicycle", 0.5)
    run = stage.start(stage.deploy_classify(), {"photo": stage.upload()})
    request = stage.review_request()
    assert request["reason"] == "LowConfidence"
    assert request["vehicle"] == "bicycle"
    stage.answer(request, by_ann(vehicle))
    decision = run.output()
    assert (decision["vehicle"], decision["loading_bay"], decision["decided_by"]) == (vehicle, bay, "reviewer")
    assert decision["model_version"] == "vehicles-test-1"
    assert decision["confidence"] is None
    assert stage.item("photos") is None


def test_a_photo_of_a_cat_goes_to_review_however_sure_the_model_is(stage: Stage) -> None:
    stage.model = lambda image: confident("other", 0.99)
    stage.start(stage.deploy_classify(), {"photo": stage.upload()})
    assert stage.review_request()["reason"] == "NotAVehicle"


def test_a_photo_the_reviewer_cannot_use_is_rejected(stage: Stage) -> None:
    stage.model = lambda image: confident("bicycle", 0.5)
    run = stage.start(stage.deploy_classify(), {"photo": stage.upload()})
    stage.answer(stage.review_request(), by_ann("unusable"))
    rejection = run.output()
    assert rejection["rejected"]["reason"] == "UnusablePhoto"
    assert len(stage.events("Photo Rejected")) == 1
    assert stage.item("decisions") is None


@pytest.mark.parametrize("nonsense", [{}, {"vehicle": None}, "bicycle", [], {"vehicle": 7}])
def test_an_answer_nobody_can_read_sends_the_driver_to_the_help_desk(stage: Stage, nonsense: Any) -> None:
    stage.model = lambda image: confident("bicycle", 0.5)
    run = stage.start(stage.deploy_classify(), {"photo": stage.upload()})
    stage.answer(stage.review_request(), nonsense)
    assert run.output()["decided_by"] == "fallback"


def test_a_review_nobody_answers_ends_at_the_help_desk(stage: Stage) -> None:
    stage.model = lambda image: confident("bicycle", 0.5)
    run = stage.start(stage.deploy_classify(review_timeout_s=1), {"photo": stage.upload()})
    decision = run.output()
    assert (decision["vehicle"], decision["loading_bay"], decision["decided_by"]) == (None, "Help desk", "fallback")
    assert stage.item("photos") is None


def test_a_model_that_is_down_is_asked_again_with_growing_patience_and_then_a_person(stage: Stage) -> None:
    stage.model = model_down
    run = stage.start(stage.deploy_classify(), {"photo": stage.upload()})
    request = stage.review_request()
    assert request["reason"] == "ModelUnavailable"
    assert request["vehicle"] is None
    assert [folder for folder, _ in stage.calls].count("classify_photo") == 5
    assert all(0 <= wait <= longest for wait, longest in zip(stage.backoffs, (2, 4, 8, 16), strict=True))
    stage.answer(request, by_ann("motorcycle"))
    assert run.output()["loading_bay"] == "Bay B"


def test_a_model_that_comes_back_decides(stage: Stage) -> None:
    answers: list[Any] = [EndpointError("ModelError", "worker died", 424), confident()]
    stage.model = lambda image: answers.pop(0)
    assert stage.start(stage.deploy_classify(), {"photo": stage.upload()}).output()["decided_by"] == "model"


def test_a_model_that_talks_nonsense_is_not_believed(stage: Stage) -> None:
    stage.model = lambda image: {"weather": "fine"}
    stage.start(stage.deploy_classify(), {"photo": stage.upload()})
    assert stage.review_request()["reason"] == "ModelAnswerInvalid"


@pytest.mark.parametrize(("image", "reason"), [(b"", "UnreadablePhoto"), (b"I am a text file", "UnreadablePhoto")])
def test_a_file_that_is_no_photo_is_rejected_with_the_reason(stage: Stage, image: bytes, reason: str) -> None:
    run = stage.start(stage.deploy_classify(), {"photo": stage.upload(image)})
    assert run.output()["rejected"]["reason"] == reason
    assert [event["rejected"]["reason"] for event in stage.events("Photo Rejected")] == [reason]


def test_a_photo_the_endpoint_cannot_decode_is_rejected(stage: Stage) -> None:
    stage.model = lambda image: {"error": "PhotoTooLarge", "message": "60 megapixels"}
    run = stage.start(stage.deploy_classify(), {"photo": stage.upload()})
    assert run.output()["rejected"] == {"reason": "PhotoTooLarge", "message": "60 megapixels"}


def test_a_photo_that_is_gone_is_rejected(stage: Stage) -> None:
    run = stage.start(stage.deploy_classify(), {"photo": {"bucket": "uploads", "key": "uploads/d/gone.jpg"}})
    assert run.output()["rejected"]["reason"] == "PhotoMissing"


def test_the_same_event_twice_is_one_decision_and_one_announcement(stage: Stage) -> None:
    machine, photo = stage.deploy_classify(), stage.upload()
    first, second = stage.start(machine, {"photo": photo}), stage.start(machine, {"photo": photo})
    assert first.output() == second.output()
    third = stage.start(machine, {"photo": photo})
    assert third.output() == first.output()
    assert third.states()[-1] == "ReturnDecision"
    assert len(stage.events("Driver Routed")) == 1


def test_the_same_event_twice_asks_a_reviewer_once_and_both_executions_end_with_the_answer(stage: Stage) -> None:
    stage.model = lambda image: confident("bicycle", 0.5)
    machine, photo = stage.deploy_classify(), stage.upload()
    first = stage.start(machine, {"photo": photo})
    request = stage.review_request()
    second = stage.start(machine, {"photo": photo})
    until(lambda: len(stage.waits) >= 3, "the second execution to wait a few times")
    stage.answer(request, by_ann("bicycle"))
    assert first.output() == second.output()
    assert stage.waits[:3] == [15, 30, 45]
    assert stage.messages("review") == []
    assert len(stage.events("Driver Routed")) == 1


def test_a_busy_lambda_service_is_tried_again(stage: Stage) -> None:
    for folder in stage.handlers:
        stage.refuse(folder, "TooManyRequestsException", "ServiceException")
    run = stage.start(stage.deploy_classify(), {"photo": stage.upload()})
    assert run.output()["decided_by"] == "model"
    assert len(stage.backoffs) == 4


def test_a_crashed_lambda_is_tried_once_more(stage: Stage) -> None:
    real = stage.handlers["classify_photo"]
    crashes = [type("Runtime.ExitError", (Exception,), {})("RequestId: 1 Error: Runtime exited")]

    def crash_once(event: dict[str, Any], context: Any) -> Any:
        if crashes:
            raise crashes.pop()
        return real(event, context)

    stage.handlers = {**stage.handlers, "classify_photo": crash_once}
    assert stage.start(stage.deploy_classify(), {"photo": stage.upload()}).output()["decided_by"] == "model"


def test_when_no_review_can_be_requested_the_driver_goes_to_the_help_desk(stage: Stage) -> None:
    stage.model = lambda image: confident("bicycle", 0.5)
    stage.aws["sqs"].delete_queue(QueueUrl=stage.queue("review"))
    decision = stage.start(stage.deploy_classify(), {"photo": stage.upload()}).output()
    assert (decision["decided_by"], decision["loading_bay"]) == ("fallback", "Help desk")


@pytest.mark.parametrize("image", [JPEG, b""], ids=["decided", "rejected"])
def test_an_outcome_that_cannot_be_recorded_leaves_the_photo_in_the_watched_queue(stage: Stage, image: bytes) -> None:
    machine, photo = stage.deploy_classify(), stage.upload(image)
    stage.refuse("assign_bay", *["ServiceException"] * 20)
    stage.refuse("reject_photo", *["ServiceException"] * 20)
    run = stage.start(machine, {"photo": photo})
    assert (run.wait()["status"], run.wait()["error"]) == ("FAILED", "PhotoUnrouted")
    (kept,) = stage.messages("unrouted")
    assert kept["photo"]["key"] == photo["key"]
    assert kept["execution"] == run.arn
    assert kept["error"]["Error"] == "Lambda.ServiceException"
    # What is in the queue is enough to try again.
    stage.refusals.clear()
    again = stage.start(machine, {"photo": kept["photo"]})
    assert again.output()["photo"]["key"] == photo["key"]


def test_another_teams_workflow_gets_the_decision_as_the_output_of_the_nested_one(stage: Stage) -> None:
    theirs = {
        "StartAt": "AskScones",
        "States": {
            "AskScones": {
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
        name="theirs", definition=json.dumps(theirs), roleArn=stage.role
    )["stateMachineArn"]
    photo = stage.upload()
    output = stage.start(machine, {"photo": {"bucket": photo["bucket"], "key": photo["key"]}}).output()
    assert output["loading_bay"] == "Bay A"
