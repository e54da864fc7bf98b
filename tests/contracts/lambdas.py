"""Every Lambda in one stage in moto, and the events with which the workflows invoke it."""

import copy
import inspect
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from moto.dynamodb.models import dynamodb_backends
from moto.sqs.models import sqs_backends

from tests.contracts import executions
from tests.workflow.lambda_handlers import ACCOUNT, CONTEXT, ENVIRONMENT, REGION, Handler
from tests.workflow.retrain_stage import DATA, RetrainStage
from tests.workflow.stage import EndpointError, Stage, classification

FUNCTIONS = Path(__file__).parents[2] / "functions"
FOLDERS = sorted(handler.parent.name for handler in FUNCTIONS.glob("*/handler.py"))
INITIAL = "initial/abc/model.tar.gz"
INITIAL_VERSION = "initial-1"
BATCH_MANIFEST = "batches/yard/map-runs/1/manifest.json"
PLENTY_MS = 900_000

# Fields that a workflow passes, in the forms that its executions below do not produce.
MORE_REQUESTS: tuple[dict[str, Any], ...] = (
    {},
    {**DATA, "trigger": "manual", "force": True, "dry_run": True, "classes": ["bicycle"]},
    {"trigger": "labels", "golden": "s3://scones-ml/golden/abc/"},
    {"trigger": "drift", "hyperparameters": {"epochs": 3}},
    {"initial_model": f"s3://scones-ml/{INITIAL}", "golden": None},
)


@dataclass
class Lambdas:
    """The handlers, the stage they run in, valid events by folder, and the state of the stage before an example."""

    stage: Stage
    handlers: dict[str, Handler]
    events: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    documents: dict[str, bytes] = field(default_factory=dict)
    remaining_ms: Callable[[], int] = lambda: PLENTY_MS
    _executions: list[Any] = field(default_factory=list)
    _tables: dict[str, Any] = field(default_factory=dict)
    _respond: Callable[[bytes], Any] | None = None

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Print a name: hypothesis prints the arguments of a failure, and refuses the length of this whole stage."""
        printer.text("Lambdas()")

    def collect(self) -> None:
        """Run the workflows, and keep what their Lambdas were invoked with. Every decision of the model is audited."""
        self.stage.aws["ssm"].put_parameter(Name=ENVIRONMENT["AUDIT_SHARE_PARAMETER"], Value="1", Type="String")
        with redirect_stdout(io.StringIO()):
            _run_classify_photo(self.stage)
            _run_retrain_model(self.stage)
            _run_rollback_model(self.stage)
            self._run_classify_batch()
        for folder, event in self.stage.invocations:
            known = self.events.setdefault(folder, [])
            if len(known) < 12 and event not in known:
                known.append(event)
        build = self.events["build_dataset"][0]
        self.events["build_dataset"] += [{**build, "request": request} for request in MORE_REQUESTS]
        rollback = self.events["prepare_rollback"][0]
        alarm = {"trigger": "alarm", "alarm": "a", "alarmed_at": "2026-11-23T01:06:40.123+0000", "reason": "5 errors"}
        self.events["prepare_rollback"].append({**rollback, "request": alarm})
        executions.create_resources(self.stage)
        executions.add_photos(self.stage)
        self.events["answer_driver"] = list(_requests_of_drivers(self.stage))
        self.events["audit_decisions"] = [{}]
        self.events["notify_failure"] = list(executions.failures(self.stage))
        self.documents = {key: self._read(key) for key in self._keys()}
        self._executions = list(executions.executions())
        self._tables = copy.deepcopy({name: table.items for name, table in _tables().items()})
        self._respond = self.stage.respond
        self.events["reconcile_photos"] = [executions.SCHEDULED, *executions.REQUESTED, *self._continuations()]
        self.events["watch_quality"] = [{}, {"look": True}]
        self.events["watch_service"] = [{}]
        self._put_artifact_of_champion()
        self.reset()

    def _run_classify_batch(self) -> None:
        """The calls of a batch, without the Distributed Map, which moto's parser refuses."""
        execution = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:classify-batch:yard"
        photos = [self.stage.upload(key=f"batches/yard/{name}.jpg") for name in ("one", "two")]
        photos.append(self.stage.upload(b"no photo", "batches/yard/three.jpg"))
        requests = [{"id": "yard", "prefix": "s3://uploads/batches/yard/"}, {"csv": "s3://uploads/batches/list.csv"}]
        requests.append({"inventory": "s3://uploads/a/manifest.json", "review_unsure": True})
        items = [{"Key": photo["key"], "Etag": f'"{photo["etag"]}"', "Size": photo["size"]} for photo in photos]
        for request in requests:
            prepared = {"request": request, "execution": execution}
            batch = self.stage_call("prepare_batch", prepared)
            self.stage_call("classify_batch", {"batch": batch, "items": items, "execution": execution})
        child = {"Input": json.dumps({"Items": items}), "Error": "ModelUnavailable", "Cause": "no answer"}
        self.put("batches/yard/map-runs/1/FAILED_0.json", json.dumps([child]).encode())
        manifest = {"ResultFiles": {"FAILED": [{"Key": "batches/yard/map-runs/1/FAILED_0.json", "Size": 9}]}}
        self.put(BATCH_MANIFEST, json.dumps(manifest).encode())
        for ended in (
            {"manifest": BATCH_MANIFEST, "error": None},
            {"manifest": None, "error": {"Error": "x", "Cause": "y"}},
        ):
            self.stage_call("summarize_batch", {"batch": batch, "execution": execution, **ended})

    def stage_call(self, folder: str, event: dict[str, Any]) -> Any:
        """Invoke a Lambda, and keep the event."""
        self.events.setdefault(folder, []).append(event)
        return self.call(folder, event)

    def _put_artifact_of_champion(self) -> None:
        item = self.stage.aws["dynamodb"].get_item(TableName="models", Key={"id": {"S": "champion"}})["Item"]
        self.put(item["artifact"]["S"].removeprefix("s3://scones-ml/"), _archive({"version": "m"}))

    def _continuations(self) -> Iterator[dict[str, Any]]:
        """The requests of a reconciliation whose time ends early in each call."""
        request: dict[str, Any] = executions.REQUESTED[1]
        while True:
            with self.stopped_after(2):
                request = {**request, "continuation": self.call("reconcile_photos", request)["continuation"]}
            if request["continuation"] is None:
                return
            yield request

    @contextmanager
    def stopped_after(self, checks: int) -> Iterator[None]:
        """Let a function find that its time has ended, after this number of checks."""
        before, left = self.remaining_ms, iter([PLENTY_MS] * checks)
        self.remaining_ms = lambda: next(left, 0)
        try:
            yield
        finally:
            self.remaining_ms = before

    def reset(self) -> None:
        """Restore tables, objects, queues and the endpoint, and forget cached parameters."""
        for name, table in _tables().items():
            table.items = copy.deepcopy(self._tables[name])
        _tables()["models"].items.pop("lock", None)
        executions.executions()[:] = self._executions
        for queue in sqs_backends[ACCOUNT][REGION].queues.values():
            queue._messages.clear()
        self.stage.sagemaker.requests.clear()
        self.stage.sagemaker.finish_update()
        if self._respond:
            self.stage.respond = self._respond
        for folder in ("classify_photo", "classify_batch"):
            self.globals(folder)["parameters"].clear_cache()

    def without_records(self) -> None:
        """Forget every photo."""
        _tables()["photos"].items.clear()

    def lock(self, execution: Any) -> None:
        """Let an execution hold the lock of the model table."""
        item = {"id": {"S": "lock"}, "execution": {"S": str(execution)}, "expires_at": {"S": "9999"}}
        self.stage.aws["dynamodb"].put_item(TableName="models", Item=item)

    def globals(self, folder: str) -> dict[str, Any]:
        """The names in the module of a handler."""
        return inspect.unwrap(self.handlers[folder]).__globals__

    def call(self, folder: str, event: Any) -> Any:
        """Invoke a handler as the workflow does; its logs are discarded."""
        output = io.StringIO()
        for log in self.globals(folder)["logger"].handlers:
            log.stream = output
        context = {**CONTEXT, "function_name": folder, "get_remaining_time_in_millis": self.remaining_ms}
        with redirect_stdout(output):
            return self.handlers[folder](json.loads(json.dumps(event)), SimpleNamespace(**context))

    def put(self, key: str, content: bytes) -> None:
        """Put an object into the ML bucket."""
        self.stage.aws["s3"].put_object(Bucket="scones-ml", Key=key, Body=content)

    def restore(self, key: str) -> None:
        """Put back the object that the workflows left."""
        self.put(key, self.documents[key])

    def _keys(self) -> list[str]:
        listed = self.stage.aws["s3"].list_objects_v2(Bucket="scones-ml")["Contents"]
        return [item["Key"] for item in listed if item["Key"].endswith(".json")]

    def _read(self, key: str) -> bytes:
        content: bytes = self.stage.aws["s3"].get_object(Bucket="scones-ml", Key=key)["Body"].read()
        return content


def _requests_of_drivers(stage: Stage) -> Iterator[dict[str, Any]]:
    """A request for a form, and for each photo of a driver and the last one, that exist or do not."""
    photos = _tables()["photos"].items
    known = [("GET", "photos/{photo_id}", {"photo_id": one.value}) for one in list(photos)[:6]]
    upload_id = f"{7:032x}"
    stage.upload(b"\xff\xd8\xff seven", f"uploads/driver-7/{upload_id}")
    for method, path, parameters in (
        ("POST", "uploads", {}),
        ("GET", "photos/last", {}),
        ("GET", "uploads/{upload_id}", {"upload_id": upload_id}),
        ("GET", "photos/{photo_id}", {"photo_id": "../../labels"}),
        *known,
    ):
        yield {
            "version": "2.0",
            "routeKey": f"{method} /drivers/{{driver_id}}/{path}",
            "pathParameters": {"driver_id": "driver-7", **parameters},
            "requestContext": {"requestId": "1", "http": {"method": method}},
            "isBase64Encoded": False,
        }


def _tables() -> dict[str, Any]:
    tables: dict[str, Any] = dynamodb_backends[ACCOUNT][REGION].tables
    return tables


def _run_classify_photo(stage: Stage) -> None:
    """A confident photo, one that is reviewed, one that cannot be used, one without an endpoint, no photo, too many."""
    stage.classify(stage.upload(b"\xff\xd8\xff one", "uploads/driver-7/one.jpg")).output()
    for key, answer in (("two", "bicycle"), ("three", "unusable")):
        stage.respond = lambda image: classification("motorcycle", 0.6)
        run = stage.classify(stage.upload(b"\xff\xd8\xff" + key.encode(), f"uploads/driver-7/{key}.jpg"))
        stage.answer_review(stage.review_request(), {"vehicle": answer})
        run.output()
    stage.respond = lambda image: EndpointError("ModelError", "on purpose", 400)
    run = stage.classify(stage.upload(b"\xff\xd8\xff four", "uploads/driver-7/four.jpg"))
    stage.answer_review(stage.review_request(), "no answer")
    run.output()
    photo = stage.upload(b"no photo", "uploads/driver-7/five.jpg")
    stage.classify(photo).output()
    stage.classify(photo).output()
    stage.respond = lambda image: classification()
    stage.classify({"bucket": "uploads", "key": "uploads/driver-7/one.jpg"}).output()
    uploaded_at = stage.fill_minute("driver-8")
    photo = stage.upload(b"\xff\xd8\xff six", "uploads/driver-8/six.jpg")
    stage.classify({**photo, "uploaded_at": uploaded_at}).output()


def _run_retrain_model(stage: Stage) -> None:
    """An initial model, a challenger that replaces it, a better one, a worse one, and too few labels."""
    retraining = RetrainStage(stage)
    golden = retraining.put_golden("golden/abc/bicycle/one.jpg", b"a bicycle")
    for name, vehicle in (("a", "bicycle"), ("b", "motorcycle"), ("c", "other")):
        retraining.put_label(name, vehicle)
    retraining.put_manifest("photos", bicycle=10, motorcycle=10, house=3)
    retraining.put(INITIAL, _archive({"version": INITIAL_VERSION, "threshold": 0.9}))
    stage.respond = lambda image: {**classification(), "model_version": INITIAL_VERSION}
    retraining.run_with_input({"initial_model": f"s3://scones-ml/{INITIAL}"}).output()
    stage.respond = retraining.respond
    for accuracy in (0.97, 0.99, 0.5):
        retraining.accuracy = accuracy
        retraining.run(golden=golden).output()
        retraining.put_label(str(accuracy), "bicycle")
    retraining.run(trigger="labels").output()


def _run_rollback_model(stage: Stage) -> None:
    """A rollback that succeeds, one that is refused, one that fails, and an alarm that is ignored."""
    machine = stage.deploy_rollback()
    stage.start(machine, {"reason": "a test"}).output()
    stage.sagemaker.failures["DescribeEndpointConfig"] = ["Could not find it"]
    stage.start(machine, {"to": "no-such-model"}).output()
    alarm = {"trigger": "alarm", "alarm": "errors", "alarmed_at": "2026-11-23T01:06:40.123+0000"}
    stage.start(machine, alarm).output()
    stage.start(machine, {"trigger": "never"}).wait()


def _archive(description: dict[str, Any]) -> bytes:
    packed, content = io.BytesIO(), json.dumps(description).encode()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        entry = tarfile.TarInfo("model.json")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
