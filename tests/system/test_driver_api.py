"""The drivers' HTTP API: a driver's app requests a form, uploads with it, and asks until there is a decision."""

import json
from typing import Any

import boto3
import jsonschema
import pytest
import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

import events
import local
from deploy.outputs import Deployed
from deploy.stack import Stack
from functions.shared.uploads import LARGEST_PHOTO_BYTES
from tests.support.upload_stage import UploadStage
from tests.support.waiting import eventually


class App:
    """A driver's app, with the credentials of an IAM user whose tag `driver` is the driver's id."""

    def __init__(self, server: local.ServerInfo, url: str, policy: str, driver: str) -> None:
        iam: Any = boto3.client("iam")
        name = f"app-{driver}"
        iam.create_user(UserName=name, Tags=[{"Key": "driver", "Value": driver}])
        iam.attach_user_policy(UserName=name, PolicyArn=policy)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        self.credentials = Credentials(key["AccessKeyId"], key["SecretAccessKey"])
        self.url, self.region, self.driver = url, server.region, driver

    def request(self, method: str, path: str, *, sign: bool = True) -> tuple[int, Any]:
        """Send a request, signed with Signature Version 4; return status and body."""
        request = AWSRequest(method, f"{self.url}{path}", data=b"")
        if sign:
            SigV4Auth(self.credentials, "execute-api", self.region).add_auth(request)
        response = urllib3.request(method, request.url, headers=dict(request.headers.items()), timeout=30)
        return response.status, json.loads(response.data) if sign else None

    def get(self, path: str, driver: str = "") -> tuple[int, Any]:
        return self.request("GET", f"/drivers/{driver or self.driver}/{path}")

    def create_upload(self) -> dict[str, Any]:
        status, body = self.request("POST", f"/drivers/{self.driver}/uploads")
        assert status == 201, body
        jsonschema.validate(body, events.contract("driver_upload_form"))
        upload: dict[str, Any] = body
        return upload

    def upload(self, content: bytes) -> str:
        """Upload a photo; return its upload id."""
        created = self.create_upload()
        assert send_form(created["form"], content) == 204
        return str(created["upload_id"])

    def wait_for_outcome(self, upload_id: str) -> dict[str, Any]:
        """Ask for the state of an upload until it is final."""
        _, body = eventually(
            lambda: self.get(f"uploads/{upload_id}"), lambda found: found[1]["status"] in ("routed", "rejected")
        )
        jsonschema.validate(body, events.contract("driver_photo"))
        photo: dict[str, Any] = body
        return photo


def send_form(form: dict[str, Any], content: bytes, **changed: str) -> int:
    """Send a form with a photo; return the status."""
    fields = {**form["fields"], **changed, "file": ("photo.jpg", content)}
    return urllib3.request("POST", form["url"], fields=fields, timeout=60).status


@pytest.fixture(scope="module")
def apps(embedded_aws: local.ServerInfo, deployed: Deployed) -> tuple[App, App]:
    """The apps of two drivers."""
    url = Stack(deployed.app_name).outputs()["DriverApiUrl"]
    policy = Stack(f"{deployed.app_name}-people").outputs()["DriverPolicyArn"]
    return App(embedded_aws, url, policy, "ana"), App(embedded_aws, url, policy, "bob")


def test_a_driver_uploads_with_a_form_and_asks_for_the_bay(upload_stage: UploadStage, apps: tuple[App, App]) -> None:
    app, other = apps
    assert app.get("photos/last")[0] == 404
    created = app.create_upload()
    assert app.get(f"uploads/{created['upload_id']}")[0] == 404
    assert send_form(created["form"], upload_stage.photo_of("bicycle").content) == 204
    photo = app.wait_for_outcome(created["upload_id"])
    assert photo["status"] == "routed"
    assert photo["decision"]["decided_by"] == "model"
    assert photo["decision"]["loading_bay"]
    assert app.get(f"photos/{photo['photo_id']}") == (200, photo)
    assert eventually(lambda: app.get("photos/last"), lambda found: found[0] == 200) == (200, photo)
    # Another driver cannot ask as the first one, and does not learn of the photo as themselves.
    for path in (f"photos/{photo['photo_id']}", f"uploads/{created['upload_id']}", "photos/last"):
        assert other.get(path, "ana")[0] == 403
        assert other.get(path)[0] == 404
    assert other.request("POST", "/drivers/ana/uploads")[0] == 403


def test_a_file_that_is_no_photo_is_answered_as_rejected(upload_stage: UploadStage, apps: tuple[App, App]) -> None:
    app, _ = apps
    photo = app.wait_for_outcome(app.upload(b"no photo"))
    assert (photo["status"], photo["rejection"]) == ("rejected", {"reason": "UnreadablePhoto", "retry_at": None})


def test_a_form_uploads_one_photo_of_limited_size_to_one_key(deployed: Deployed, apps: tuple[App, App]) -> None:
    app, _ = apps
    form = app.create_upload()["form"]
    assert send_form(form, b"") == 400
    assert send_form(form, b"\0" * (LARGEST_PHOTO_BYTES + 1)) == 400
    for key in ("uploads/bob/1.jpg", f"{form['fields']['key']}/1.jpg", "uploads/ana/../bob/1.jpg", "batches/1.jpg"):
        assert send_form(form, b"x", key=key) == 403, key
    assert send_form(form, b"x", policy=form["fields"]["policy"][:-4]) == 403


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "POST", "HEAD"])
def test_a_request_without_signature_is_refused(apps: tuple[App, App], method: str) -> None:
    app, _ = apps
    for path in ("/drivers/ana/uploads", "/drivers/ana/photos/last"):
        assert app.request(method, path, sign=False)[0] == 403


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/drivers/ana/photos/last"),
        ("PUT", "/drivers/ana/uploads"),
        ("GET", "/drivers/ana/uploads"),
        ("GET", "/drivers/ana"),
        ("GET", "/drivers"),
        ("GET", "/"),
        ("POST", "/drivers/ana/photos/last"),
    ],
)
def test_another_method_or_path_is_not_found(apps: tuple[App, App], method: str, path: str) -> None:
    assert apps[0].request(method, path)[0] == 404


@pytest.mark.parametrize(
    "path",
    [
        "/drivers/bob%2F..%2Fana/photos/last",
        "/drivers/ana%2F..%2Fbob/photos/last",
        "/drivers/ana/photos/..%2F..%2Fbob%2Fphotos%2Flast",
        "/drivers/ana/uploads/..%2F..%2Fbob%2Fuploads",
        "/drivers/ana/photos/%2A",
        "/drivers/%2A/photos/last",
        "/drivers/an%3F/photos/last",
        "/drivers/$%7Baws:PrincipalTag/driver%7D/photos/last",
        "/drivers/ANA/photos/last",
        "/drivers/ana%00/photos/last",
        "//drivers/bob/photos/last",
    ],
)
def test_a_crafted_path_leads_to_no_other_driver(apps: tuple[App, App], path: str) -> None:
    status, body = apps[0].request("GET", path)
    assert status in (400, 403, 404), (status, body)
    assert "photo_id" not in body
