"""What other teams use of a stage: its names, documents with these names to copy, and test events."""

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import events
from deploy.outputs import Deployed
from functions.shared.errors import EventNotPublished
from functions.shared.events import SOURCE
from functions.shared.photo import Photo

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

TEST_SOURCE = f"{SOURCE}.test"
"""The source of test events, which no rule of a stage has: they assign no bay and start nothing."""

_TEST_DRIVER = "test-event"


class Name(NamedTuple):
    """Something that other teams use: what it is, and its name or ARN."""

    title: str
    value: str


class Document(NamedTuple):
    """A document to copy: its published schema (events/published/), its title, and the document."""

    schema: str
    title: str
    content: Any


def names(deployed: Deployed) -> list[Name]:
    """Return the names of a stage that docs/contract.md promises."""
    partition = deployed.classify_photo_arn.split(":")[1]
    bus = f"{partition}:events:{deployed.region}:{deployed.account}:event-bus/{deployed.event_bus}"
    return [
        Name("Event bus", deployed.event_bus),
        Name("Event bus, ARN", f"arn:{bus}"),
        Name("Source of the events", SOURCE),
        Name("Workflow for one photo, ARN", deployed.classify_photo_arn),
        Name("Workflow for many photos, ARN", deployed.classify_batch_arn),
        Name("Endpoint", deployed.endpoint_name),
        Name("Photos of batches", f"s3://{deployed.uploads_bucket}/batches/"),
        Name("Results of batches", f"s3://{deployed.ml_bucket}/batches/"),
        Name("Stack with PartnerPolicyArn", f"{deployed.app_name}-people"),
    ]


def published_events(deployed: Deployed) -> list[Document]:
    """Return an event of each detail type, as a rule of another team receives it."""
    return [
        Document(kind.lower().replace(" ", "_"), kind, example_event(kind, deployed)) for kind in events.DETAIL_TYPES
    ]


def example_event(detail_type: str, deployed: Deployed) -> dict[str, Any]:
    """Return the sample of an event with the names of a stage. Raises KeyError when there is none."""
    text = json.dumps(events.sample(detail_type.lower().replace(" ", "_")), ensure_ascii=False)
    for pattern, value in (
        (r"scones-dev-uploads-[\w-]+", deployed.uploads_bucket),
        (r"scones-dev-ml-[\w-]+", deployed.ml_bucket),
        (r"arn:aws:states:eu-west-1:\d{12}", ":".join(deployed.classify_photo_arn.split(":")[:5])),
        (r"scones-dev\b", deployed.app_name),
        (r"vehicles-dev\b", f"vehicles-{deployed.stage}"),
    ):
        text = re.sub(pattern, value, text)
    event: dict[str, Any] = json.loads(text) | {"account": deployed.account, "region": deployed.region}
    _identify(event["detail"])
    return event


def _identify(detail: dict[str, Any]) -> None:
    """Compute the id of a changed photo again."""
    photo = detail.get("photo")
    if photo:
        photo["photo_id"] = Photo(photo["bucket"], photo["key"], photo["etag"]).photo_id


def inputs(deployed: Deployed) -> list[Document]:
    """Return an input of each workflow."""
    uploads = deployed.uploads_bucket
    photo = {"photo": {"bucket": uploads, "key": "batches/orders-yard/1.jpg"}}
    batch = {"id": "orders-yard", "prefix": f"s3://{uploads}/batches/orders-yard/"}
    return [
        Document("classify_photo_input", "Input of classify-photo", photo),
        Document("classify_batch_input", "Input of classify-batch", batch),
    ]


def outputs(deployed: Deployed) -> list[Document]:
    """Return the decision, which is the output of classify-photo, and an answer of the endpoint."""
    decision = example_event("Driver Routed", deployed)["detail"]
    answer = {
        "model_version": decision["model_version"],
        "vehicle": "bicycle",
        "confidence": 0.97,
        "probabilities": {"bicycle": 0.97, "motorcycle": 0.02, "other": 0.01},
        "threshold": 0.93,
        "image": {"brightness": 0.52, "sharpness": 0.71, "width": 4032, "height": 3024},
    }
    return [
        Document("driver_routed", "The decision: output of classify-photo, detail of Driver Routed", decision),
        Document("endpoint_answer", "Answer of the endpoint: calibrated probabilities, no decision", answer),
    ]


def pattern(source: str = SOURCE) -> dict[str, Any]:
    """Return the pattern of a rule that receives what became of each photo."""
    return {"source": [source], "detail-type": ["Driver Routed", "Photo Rejected"]}


def send_test_event(detail_type: str, deployed: Deployed, client: "EventBridgeClient") -> str:
    """Publish the sample of an event as a test; return its id, which the receiver finds in the field `id`.

    Its source is TEST_SOURCE, and its driver `test-event`. Raises KeyError for an unknown detail type, ClientError, and
    EventNotPublished when EventBridge refuses the event.
    """
    detail = example_event(detail_type, deployed)["detail"]
    if "driver_id" in detail:
        detail["driver_id"] = _TEST_DRIVER
        detail["photo"]["key"] = f"uploads/{_TEST_DRIVER}/photo.jpg"
        _identify(detail)
    entry = {
        "EventBusName": deployed.event_bus,
        "Source": TEST_SOURCE,
        "DetailType": detail_type,
        "Detail": json.dumps(detail, ensure_ascii=False),
    }
    answer = client.put_events(Entries=[entry])["Entries"][0]  # type: ignore[list-item]  # has the keys of an entry
    if "EventId" not in answer:
        raise EventNotPublished(f"event bus {deployed.event_bus} refused the test event: {answer.get('ErrorCode')}")
    return answer["EventId"]
