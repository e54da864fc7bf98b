"""Fixtures: the handlers of the functions, AWS resources in moto, and a model server on localhost."""

import importlib
import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from aws_lambda_powertools.metrics.base import MetricManager
from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import AmazonCloudWatchEMFProvider
from moto import mock_aws

from functions.shared.aws import client
from functions.shared.champion import ModelTable
from functions.shared.photo_table import PhotoTable
from local.lambdas.emf import parse_metrics
from tests.support.dashboard_body import Metric
from tests.support.photo_table import create_photo_table, create_upload_count_table
from tests.unit.functions.reconciler import Reconciler
from tests.unit.functions.stack import (
    AUDIT_SHARE,
    BUS,
    ENDPOINT,
    PHOTOS,
    REGION,
    THRESHOLD,
    UPLOAD_COUNTS,
    UPLOADS,
    UPLOADS_PER_MINUTE,
    CallFailer,
    Function,
    FunctionOutput,
    ModelServer,
    Stack,
)

# The tests of this folder that evaluate what the others have published.
LAST = "test_published_metrics.py"


@pytest.fixture(scope="session")
def published() -> set[Metric]:
    """The metrics that functions have published in the tests so far."""
    return set()


@pytest.fixture(autouse=True, scope="session")
def published_metrics(published: set[Metric]) -> Iterator[None]:
    """Record every metric that a function writes to its log."""

    def recorded(serialize: Callable[..., Any]) -> Callable[..., Any]:
        def serialize_and_record(*args: Any, **named: Any) -> Any:
            line = serialize(*args, **named)
            for namespace, data in parse_metrics(json.dumps(line)):
                for datum in data:
                    dimensions = {one["Name"]: one["Value"] for one in datum["Dimensions"]}
                    published.add(Metric.of(namespace, datum["MetricName"], dimensions))
            return line

        return serialize_and_record

    with pytest.MonkeyPatch.context() as patch:
        # That of the metrics of a handler, and that of single metrics.
        for owner in (AmazonCloudWatchEMFProvider, MetricManager):
            patch.setattr(owner, "serialize_metric_set", recorded(owner.serialize_metric_set))
        yield


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_SESSION_TOKEN": "testing",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "STAGE": "test",
        "PHOTO_TABLE": PHOTOS,
        "UPLOAD_COUNT_TABLE": UPLOAD_COUNTS,
        "UPLOADS_PER_MINUTE": str(UPLOADS_PER_MINUTE),
        "EVENT_BUS": BUS,
        "ENDPOINT_NAME": ENDPOINT,
        "THRESHOLD_PARAMETER": THRESHOLD,
        "AUDIT_SHARE_PARAMETER": AUDIT_SHARE,
        "AUDIT_SHARE": "0",
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def model_server() -> Iterator[ModelServer]:
    model = ModelServer()

    class Server(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            model.received.append(self.rfile.read(int(self.headers["Content-Length"])))
            if model.delay:
                model.delay.wait(10)
            with suppress(BrokenPipeError):  # the client may have closed the connection after its timeout
                self.answer()

        def answer(self) -> None:
            self.send_response(model.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(model.body)))
            if model.code:
                self.send_header("x-amzn-errortype", model.code)
            self.end_headers()
            self.wfile.write(model.body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    model.url = f"http://127.0.0.1:{server.server_port}"
    yield model
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def model(model_server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", model_server.url)
    model_server.received.clear()
    model_server.delay = None
    model_server.set_probabilities(bicycle=0.97, motorcycle=0.02, other=0.01)
    yield model_server
    if model_server.delay:
        model_server.delay.set()


@pytest.fixture(autouse=True)
def stack(environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    with mock_aws():
        client("s3").create_bucket(Bucket=UPLOADS, CreateBucketConfiguration={"LocationConstraint": REGION})
        create_photo_table(client("dynamodb"), PHOTOS)
        create_upload_count_table(client("dynamodb"), UPLOAD_COUNTS)
        sqs = client("sqs")
        queue_url = sqs.create_queue(QueueName="review")["QueueUrl"]
        events_url = sqs.create_queue(QueueName="events")["QueueUrl"]
        events_arn = sqs.get_queue_attributes(QueueUrl=events_url, AttributeNames=["QueueArn"])["Attributes"][
            "QueueArn"
        ]
        bus = client("events")
        bus.create_event_bus(Name=BUS)
        bus.put_rule(Name="all", EventBusName=BUS, EventPattern=json.dumps({"source": ["scones.vehicles"]}))
        bus.put_targets(Rule="all", EventBusName=BUS, Targets=[{"Id": "1", "Arn": events_arn}])
        monkeypatch.setenv("REVIEW_QUEUE_URL", queue_url)
        stack = Stack(queue_url, events_url)
        stack.set_threshold("model")
        yield stack


@pytest.fixture
def function(stack: Stack, model: ModelServer, capsys: pytest.CaptureFixture[str]) -> Callable[[str], Function]:
    """Import the handler of a function again, as a cold start does, so that it reads the environment."""

    def start(name: str) -> Function:
        path = f"functions.{name}.handler"
        module = importlib.reload(sys.modules[path]) if path in sys.modules else importlib.import_module(path)
        return Function(module)

    return start


@pytest.fixture
def classify(function: Callable[[str], Function]) -> Function:
    return function("classify_photo")


@pytest.fixture
def request_review(function: Callable[[str], Function]) -> Function:
    return function("request_review")


@pytest.fixture
def assign_bay(function: Callable[[str], Function]) -> Function:
    return function("assign_bay")


@pytest.fixture
def reject_photo(function: Callable[[str], Function]) -> Function:
    return function("reject_photo")


@pytest.fixture
def fail_call(monkeypatch: pytest.MonkeyPatch) -> CallFailer:
    """Replace an operation of a client by one that fails; the returned function restores it."""
    return CallFailer(monkeypatch)


@pytest.fixture
def output(capsys: pytest.CaptureFixture[str]) -> Callable[[], FunctionOutput]:
    """Return the output since the last call."""
    return lambda: FunctionOutput(capsys.readouterr().out)


@pytest.fixture
def vehicles_file(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "vehicles.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        clients = {name: boto3.client(name, region_name=REGION) for name in ("s3", "dynamodb")}
        for bucket in ("uploads", "scones-ml"):
            clients["s3"].create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        create_photo_table(clients["dynamodb"], "photos")
        clients["dynamodb"].create_table(
            TableName="models",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        yield clients


@pytest.fixture
def table(account: dict[str, Any]) -> ModelTable:
    return ModelTable("models", account["dynamodb"])


@pytest.fixture
def photos() -> PhotoTable:
    return PhotoTable(PHOTOS, client("dynamodb"))


@pytest.fixture
def reconcile(stack: Stack, function: Callable[[str], Function], monkeypatch: pytest.MonkeyPatch) -> Reconciler:
    machine = client("stepfunctions").create_state_machine(
        name="scones-test-classify-photo",
        definition=json.dumps({"StartAt": "End", "States": {"End": {"Type": "Succeed"}}}),
        roleArn="arn:aws:iam::123456789012:role/scones-test",
    )["stateMachineArn"]
    monkeypatch.setenv("STAGE", "test")
    monkeypatch.setenv("UPLOADS_BUCKET", UPLOADS)
    monkeypatch.setenv("CLASSIFY_PHOTO_ARN", machine)
    return Reconciler(function("reconcile_photos"), machine)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name == LAST)
    # pytest resets the warning filter of functions/shared/observability.py.
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore:No application metrics to publish"))
