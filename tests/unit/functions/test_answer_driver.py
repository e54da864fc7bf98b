"""AnswerDriver: the drivers' HTTP API."""

import base64
import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

import events
from deploy.templates import load_template
from functions.shared.photo import Photo
from functions.shared.photo_table import PhotoTable
from functions.shared.times import now
from functions.shared.uploads import LARGEST_PHOTO_BYTES
from tests.contracts.answers import mistakes
from tests.unit.functions.stack import (
    ANOTHER_EXECUTION,
    EXECUTION,
    PHOTOS,
    UPLOADS,
    Function,
    FunctionOutput,
    ModelServer,
    Stack,
)

DRIVER = "driver-17"
UPLOAD_ID = "0123456789abcdef" * 2


class Api:
    """The API as a driver sees it, with what API Gateway does before the function."""

    def __init__(self, function: Function) -> None:
        self.function = function

    def __call__(self, method: str, path: str, driver: str = DRIVER, **parameters: str) -> tuple[int, Any]:
        route = f"{method} /drivers/{{driver_id}}/{path}"
        response = self.function(routeKey=route, pathParameters={"driver_id": driver, **parameters})
        assert mistakes("answer_driver", response) == []
        return response["statusCode"], json.loads(response["body"])

    def photo(self, photo_id: str, driver: str = DRIVER) -> tuple[int, Any]:
        return self("GET", "photos/{photo_id}", driver, photo_id=photo_id)

    def last(self, driver: str = DRIVER) -> tuple[int, Any]:
        return self("GET", "photos/last", driver)

    def upload(self, upload_id: str = UPLOAD_ID, driver: str = DRIVER) -> tuple[int, Any]:
        return self("GET", "uploads/{upload_id}", driver, upload_id=upload_id)


@pytest.fixture
def api(stack: Stack, function: Callable[[str], Function], monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setenv("UPLOADS_BUCKET", UPLOADS)
    return Api(function("answer_driver"))


def policy_of(form: dict[str, Any]) -> dict[str, Any]:
    policy: dict[str, Any] = json.loads(base64.b64decode(form["fields"]["policy"]))
    return policy


def test_a_form_is_for_one_key_of_the_driver_and_limits_size_and_time(api: Api) -> None:
    before = now()
    status, body = api("POST", "uploads")
    assert status == 201
    policy = policy_of(body["form"])
    assert body["form"]["url"] == f"https://{UPLOADS}.s3.eu-west-1.amazonaws.com/"
    assert ["content-length-range", 1, LARGEST_PHOTO_BYTES] in policy["conditions"]
    assert {"key": f"uploads/{DRIVER}/{body['upload_id']}"} in policy["conditions"]
    assert {"bucket": UPLOADS} in policy["conditions"]
    assert body["form"]["fields"]["x-amz-algorithm"] == "AWS4-HMAC-SHA256"
    assert before.isoformat()[:19] < policy["expiration"] <= body["expires_at"][:19] + "Z"


def test_no_form_replaces_the_photo_of_another_one(api: Api) -> None:
    ids = {api("POST", "uploads")[1]["upload_id"] for _ in range(20)}
    assert len(ids) == 20


def test_an_upload_is_followed_from_its_form_to_the_decision(
    api: Api, stack: Stack, classify: Function, model: ModelServer
) -> None:
    upload_id = api("POST", "uploads")[1]["upload_id"]
    assert api.upload(upload_id)[0] == 404
    photo = stack.upload(key=f"uploads/{DRIVER}/{upload_id}")
    nothing = dict.fromkeys(("updated_at", "decision", "rejection", "review_expires_at"))
    assert api.upload(upload_id) == (200, {"photo_id": photo.photo_id, "status": "uploaded", **nothing})
    assert api.photo(photo.photo_id)[0] == 404
    decision = classify(photo=photo.as_state())["recorded"]
    status, body = api.upload(upload_id)
    assert (status, body["status"]) == (200, "routed")
    assert body["decision"] == {
        name: decision[name] for name in ("vehicle", "loading_bay", "order_range", "decided_by", "decided_at")
    }
    assert api.photo(photo.photo_id) == api.last() == (status, body)


def test_a_photo_in_review_says_until_when(api: Api, stack: Stack) -> None:
    photo = stack.upload()
    review = {
        "reason": "LowConfidence",
        "token_hash": "0",
        "requested_at": "x",
        "expires_at": "2026-11-23T02:50:35.000Z",
    }
    photos = PhotoTable(PHOTOS, api.function.module.client("dynamodb"))
    photos.claim_review(photo, EXECUTION, now(), review=review)
    body = api.photo(photo.photo_id)[1]
    assert (body["status"], body["review_expires_at"]) == ("in_review", "2026-11-23T02:50:35.000Z")
    photos.mark_unrouted(photo, EXECUTION, now(), error={"Error": "X", "Cause": "y"})
    body = api.photo(photo.photo_id)[1]
    assert (body["status"], body["review_expires_at"]) == ("unrouted", None)


def test_a_rejected_photo_says_why(api: Api, stack: Stack, reject_photo: Function) -> None:
    photo = stack.upload(b"no photo")
    reject_photo(photo=photo.as_state(), error={"Error": "UnreadablePhoto", "Cause": "it is a text"})
    body = api.photo(photo.photo_id)[1]
    assert (body["status"], body["decision"]) == ("rejected", None)
    assert body["rejection"] == {"reason": "UnreadablePhoto", "retry_at": None}


def test_the_last_photo_is_the_one_that_was_seen_last(
    api: Api, stack: Stack, classify: Function, model: ModelServer
) -> None:
    assert api.last()[0] == 404
    for number in (1, 2):
        photo = stack.upload(key=f"uploads/{DRIVER}/{number}.jpg")
        classify(photo=photo.as_state())
    assert api.last()[1]["photo_id"] == photo.photo_id


def test_a_driver_does_not_learn_of_the_photo_of_another_driver(
    api: Api, stack: Stack, classify: Function, model: ModelServer
) -> None:
    photo = stack.upload(key=f"uploads/driver-170/{UPLOAD_ID}")
    classify(photo=photo.as_state())
    unknown = api.photo("f" * 32)
    assert api.photo(photo.photo_id) == unknown
    assert unknown[0] == api.last()[0] == api.upload()[0] == 404
    assert api.photo(photo.photo_id, "driver-170")[0] == 200


def test_a_photo_outside_of_the_folder_of_a_driver_is_shown_to_nobody(
    api: Api, stack: Stack, classify: Function, model: ModelServer
) -> None:
    """Its record has the driver `unknown`, which somebody may be called."""
    for key in ("partners/1.jpg", "uploads/1.jpg"):
        photo = stack.upload(key=key)
        classify(photo=photo.as_state())
        assert api.photo(photo.photo_id, "unknown")[0] == api.last("unknown")[0] == 404


def test_a_record_of_another_bucket_is_shown_to_nobody(api: Api) -> None:
    photo = Photo("partners", f"uploads/{DRIVER}/1.jpg", "0" * 32, 7)
    table = PhotoTable(PHOTOS, api.function.module.client("dynamodb"))
    table.mark_unrouted(photo, ANOTHER_EXECUTION, now(), error={"Error": "X", "Cause": "y"})
    assert api.photo(photo.photo_id)[0] == api.last()[0] == 404


@pytest.mark.parametrize(
    "driver",
    ["", "..", ".", "d7/../d8", "d7%2f..%2fd8", "*", "d?", "${aws:PrincipalTag/driver}", "a b", "a\n", "é", "d" * 129],
)
def test_a_driver_id_that_could_be_another_path_is_refused(api: Api, driver: str) -> None:
    for status, body in (api("POST", "uploads", driver), api.last(driver), api.photo("f" * 32, driver)):
        assert status == 400
        assert body["message"].startswith("driver_id is ")


@pytest.mark.parametrize(
    "id_", ["", "last", "../last", "F" * 32, "f" * 31, "f" * 33, f"{'f' * 32}\n", "../../../labels/1"]
)
def test_an_id_that_is_none_is_refused(api: Api, id_: str) -> None:
    assert api.photo(id_)[0] == 400
    assert api.upload(id_)[0] == 400


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"routeKey": "DELETE /drivers/{driver_id}/photos/{photo_id}", "pathParameters": {"driver_id": DRIVER}},
        {"routeKey": "GET /drivers/{driver_id}/photos/{photo_id}", "pathParameters": {"driver_id": DRIVER}},
        {"routeKey": "GET /drivers/{driver_id}/photos/last", "pathParameters": {"driver_id": DRIVER, "self": "x"}},
        {"routeKey": "GET /drivers/{driver_id}/photos/last", "pathParameters": [DRIVER]},
    ],
)
def test_an_event_that_no_route_of_the_api_sends_is_an_error(api: Api, event: dict[str, Any]) -> None:
    with pytest.raises(Exception, match=r"event|route") as caught:
        api.function(**event)
    assert type(caught.value).__name__ == "InvalidInput"


def test_dynamodb_that_does_not_answer_is_an_error(
    api: Api, fail_call: Any, output: Callable[[], FunctionOutput]
) -> None:
    """API Gateway answers 500, and the alarm on failed requests counts it."""
    fail_call(api.function.module.api._photos._dynamodb, "get_item")
    with pytest.raises(Exception, match="f" * 32) as caught:
        api.photo("f" * 32)
    assert type(caught.value).__name__ == "RecordUnavailable"
    assert output().metrics("FunctionErrors")


def test_a_request_is_logged_with_its_photo_id_and_without_driver_key_or_form(
    api: Api, stack: Stack, classify: Function, model: ModelServer, output: Callable[[], FunctionOutput]
) -> None:
    photo = stack.upload(key=f"uploads/{DRIVER}/{UPLOAD_ID}")
    classify(photo=photo.as_state())
    output()
    api.upload()
    shown = output()
    (line,) = [one for one in shown.log if one["message"] == "answered"]
    assert (line["status"], line["photo_id"]) == (200, photo.photo_id)
    assert line["route"] == "GET /drivers/{driver_id}/uploads/{upload_id}"
    assert [one["DriverRequestsRefused"] for one in shown.metrics("DriverRequestsRefused")] == [[0]]
    api("POST", "uploads")
    api.photo("../x")
    api.upload("f" * 32)
    text = shown.text + output().text
    for secret in (DRIVER, "uploads/driver", UPLOAD_ID, "x-amz-signature", "../x"):
        assert secret.lower() not in text.lower(), secret


def test_the_api_has_the_routes_of_the_function_and_each_needs_iam(api: Api) -> None:
    app = load_template("app")["Resources"].values()
    routes = [one["Properties"] for one in app if one["Type"] == "AWS::ApiGatewayV2::Route"]
    assert {one["RouteKey"] for one in routes} == api.function.module.api.routes
    assert {one["AuthorizationType"] for one in routes} == {"AWS_IAM"}


def test_no_contract_of_a_body_allows_a_key_an_execution_or_a_token() -> None:
    for name in ("driver_photo", "driver_error"):
        schema = events.contract(name)
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["additionalProperties"] is False
        assert not {"key", "bucket", "etag", "execution", "task_token", "driver_id"} & set(schema["properties"])
