"""The page for other teams: what they copy is valid and of this stage, and test events reach nobody who did not ask."""

import html
import json
import re
from typing import Any

import jsonschema
import pytest
from botocore.stub import Stubber

import events
from console import other_teams
from console.aws import Aws
from console.web.openapi import describe_console, operations
from deploy.openapi import describe_driver_api
from deploy.outputs import Deployed
from events import publish
from functions.shared.photo import Photo
from tests.unit import model_stage
from tests.unit.console.browser_client import ADA, BrowserClient

FOREIGN = re.compile(r"scones-dev|vehicles-dev|111122223333|000000000000")


@pytest.fixture
def queue(stage: Deployed) -> str:
    """The URL of a queue of another team, whose rule has the source of test events and the one of the stage."""
    bus, sqs = model_stage.aws("events"), model_stage.aws("sqs")
    url: str = sqs.create_queue(QueueName="orders")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    bus.create_event_bus(Name=stage.event_bus)
    for name, source in (("partner-tests", other_teams.TEST_SOURCE), ("of-the-stage", "scones.vehicles")):
        pattern = json.dumps(other_teams.pattern(source) | {"detail-type": [*events.DETAIL_TYPES]})
        bus.put_rule(Name=name, EventBusName=stage.event_bus, EventPattern=pattern)
        bus.put_targets(Rule=name, EventBusName=stage.event_bus, Targets=[{"Id": name, "Arn": arn}])
    return url


def received(queue: str) -> list[dict[str, Any]]:
    messages = model_stage.aws("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
    return [json.loads(message["Body"]) for message in messages]


def shown(text: str) -> dict[str, Any]:
    """The documents on the page by their ids."""
    return {
        name: json.loads(html.unescape(body))
        for name, body in re.findall(r'<pre id="([^"]+)"[^>]*>(.*?)</pre>', text, re.DOTALL)
    }


def test_every_document_to_copy_is_valid_and_has_the_names_of_the_stage(stage: Deployed) -> None:
    with BrowserClient(stage, Aws()) as browser:
        text = browser.get("/teams").text
    documents = shown(text)
    for kind in events.DETAIL_TYPES:
        name = kind.lower().replace(" ", "_")
        event = documents.pop(f"sample-{name}")
        assert (event["detail-type"], event["source"], event["account"]) == (kind, "scones.vehicles", stage.account)
        jsonschema.validate(event["detail"], events.schema(kind))
        assert not FOREIGN.search(json.dumps(event))
        photo = event["detail"].get("photo")
        if photo:
            assert photo["bucket"] == stage.uploads_bucket
            assert photo["photo_id"] == Photo(photo["bucket"], photo["key"], photo["etag"]).photo_id
    assert documents.pop("pattern") == other_teams.pattern()
    others = [*other_teams.outputs(stage), *other_teams.inputs(stage)]
    assert list(documents.values()) == [one.content for one in others]
    for one in others:
        jsonschema.validate(one.content, publish.published(one.schema))
    for name in other_teams.names(stage):
        assert name.value in text


def test_each_schema_that_the_page_links_to_is_the_published_one(stage: Deployed) -> None:
    with BrowserClient(stage, Aws()) as browser:
        links = set(re.findall(r'href="(/api/schemas/[^"]+)"', browser.get("/teams").text))
        assert len(links) == len(events.DETAIL_TYPES) + 3
        for link in links:
            response = browser.get(link)
            assert response.headers["content-type"] == "application/schema+json"
            assert response.json() == publish.published(link.rpartition("/")[2])
        for name in ("dataset_manifest", "..%2f..%2fpackage", "__init__"):
            assert browser.get(f"/api/schemas/{name}").status_code == 404


@pytest.mark.parametrize("detail_type", events.DETAIL_TYPES)
def test_a_test_event_reaches_only_rules_that_name_its_source(
    stage: Deployed, queue: str, detail_type: str, caplog: pytest.LogCaptureFixture
) -> None:
    with BrowserClient(stage, Aws(), operator=True) as browser:
        sent = browser.post("/api/teams/test-event", confirm="test", detail_type=detail_type).json()
    (event,) = received(queue)
    assert (event["source"], event["detail-type"]) == (other_teams.TEST_SOURCE, detail_type)
    assert sent == {"id": event["id"], "source": other_teams.TEST_SOURCE}
    jsonschema.validate(event["detail"], events.schema(detail_type))
    assert event["detail"].get("driver_id", "test-event") == "test-event"
    assert f"{ADA.id} sent a test event {detail_type}" in caplog.text


@pytest.mark.parametrize(
    ("operator", "body", "status"),
    [
        (False, {"confirm": "test", "detail_type": "Driver Routed"}, 403),
        (True, {"confirm": "prod", "detail_type": "Driver Routed"}, 409),
        (True, {"confirm": "test", "detail_type": "Everything"}, 422),
        (True, {"detail_type": "Driver Routed"}, 422),
    ],
)
def test_nothing_is_sent_without_the_role_the_stage_and_a_known_event(
    stage: Deployed, queue: str, operator: bool, body: dict[str, str], status: int
) -> None:
    with BrowserClient(stage, Aws(), operator=operator) as browser:
        assert browser.post("/api/teams/test-event", **body).status_code == status
    assert received(queue) == []


def test_an_event_that_eventbridge_refuses_is_an_error(stage: Deployed) -> None:
    aws = Aws()
    with Stubber(aws.events) as stubber:
        entry = {"ErrorCode": "InternalFailure", "ErrorMessage": "try again"}
        stubber.add_response("put_events", {"FailedEntryCount": 1, "Entries": [entry]})
        with BrowserClient(stage, aws, operator=True) as browser:
            response = browser.post("/api/teams/test-event", confirm="test", detail_type="Driver Routed")
    assert response.status_code == 502
    assert response.json()["detail"] == (
        f"Not sent: event bus {stage.event_bus} refused the test event: InternalFailure. Try again in a minute."
    )


def test_only_an_operator_sees_the_buttons(stage: Deployed) -> None:
    for operator in (False, True):
        with BrowserClient(stage, Aws(), operator=operator) as browser:
            text = browser.get("/teams").text
        assert text.count("data-sends=") == (len(events.DETAIL_TYPES) if operator else 0)
        assert ("make test-event" in text) is not operator


def test_every_route_of_the_console_and_the_drivers_api_is_on_the_page(stage: Deployed) -> None:
    with BrowserClient(stage, Aws()) as browser:
        text = browser.get("/teams/api").text
        documents = {name: browser.get(f"/api/openapi/{name}").json() for name in ("console", "driver-api")}
        assert browser.get("/api/openapi/other").status_code == 404
        console = describe_console(browser.app)
    assert documents == {"console": console, "driver-api": describe_driver_api()}
    routes = {path for path in browser.app.openapi()["paths"] if path.startswith(("/api/", "/images/"))}
    assert len(routes) > 15
    assert set(console["paths"]) == routes
    who = {(one.method, one.path): one.who for one in operations(console)}
    assert who["POST", "/api/teams/test-event"] == "operators"
    assert set(who.values()) == {"reviewers", "operators"}
    for document in documents.values():
        for one in operations(document):
            assert f'<b class="method">{one.method}</b> <span class="code">{one.path}</span>' in text
            assert one.text, one.path
            assert "$ref" not in one.body
    assert "<script" not in text.partition("</head>")[2]
