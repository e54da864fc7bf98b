"""Two photos, executions of classify-photo in every order, and AWS calls that fail: what the record must survive."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from unittest.mock import patch

import jsonschema
from botocore.client import BaseClient
from botocore.exceptions import ClientError

import events
from functions.shared.dynamodb import deserialize
from functions.shared.photo_record import PhotoRecord
from tests.contracts.answers import is_typed, mistakes
from tests.contracts.lambdas import Lambdas
from tests.workflow.stage import classification

START = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
ARN = "arn:aws:states:eu-west-1:123456789012:execution:classify-photo:{}"
FOLDERS = ("classify_photo", "request_review", "assign_bay", "reject_photo")
# The calls that change something outside the function.
WRITES = ("UpdateItem", "PutEvents", "SendMessage")


class PhotoWorld:
    """The photos of a stage, the time, and everything that the functions published so far."""

    def __init__(self, lambdas: Lambdas) -> None:
        self.lambdas = lambdas
        self.now = START
        self.faults: list[tuple[str, bool]] = []
        self.injected = 0
        self._checked = 0
        # What another execution does in the middle of the next call of this operation, before or after it.
        self.meanwhile: tuple[str, bool, Callable[[], Any]] | None = None
        self.tokens: list[str] = []
        self.published: list[tuple[str, dict[str, Any]]] = []
        lambdas.reset()
        lambdas.without_records()
        lambdas.stage.respond = lambda image: classification()
        put = [
            lambdas.stage.upload(b"\xff\xd8\xff" + name, f"uploads/driver-7/{name.decode()}.jpg")
            for name in (b"x", b"y")
        ]
        self.photos = [lambdas.globals("assign_bay")["Photo"].from_state(photo) for photo in put]
        self.table = lambdas.globals("assign_bay")["photos"]
        self.bus = lambdas.globals("assign_bay")["bus"]
        self._patches = patch.object(BaseClient, "_make_api_call", self._calling(BaseClient._make_api_call))
        self._patches.start()

    def close(self) -> None:
        """Let AWS work again."""
        self._patches.stop()

    def _calling(self, real: Any) -> Any:
        world = self

        def call(client: Any, operation: str, arguments: Any) -> Any:
            if operation == "PutEvents":
                # The events as EventBridge accepts them; a call that fails before has no effect.
                if world._fails(operation, before=True):
                    raise world.error(operation)
                for entry in arguments["Entries"]:
                    world.published.append((entry["DetailType"], json.loads(entry["Detail"])))
                if world._fails(operation, before=False):
                    raise world.error(operation)
                return {"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}
            if world._fails(operation, before=True):
                raise world.error(operation)
            answer = real(client, operation, arguments)
            if operation == "UpdateItem":
                world.check_announced(real(client, "Scan", {"TableName": arguments["TableName"]})["Items"])
            if world._fails(operation, before=False):
                raise world.error(operation)
            return answer

        return call

    def _fails(self, operation: str, *, before: bool) -> bool:
        if self.meanwhile and self.meanwhile[:2] == (operation, before):
            act, self.meanwhile = self.meanwhile[2], None
            act()
        if self.faults and self.faults[0] == (operation, before):
            self.faults.pop(0)
            self.injected += 1
            return True
        return False

    @staticmethod
    def error(operation: str) -> ClientError:
        """The error of a call that fails on purpose."""
        response: Any = {"Error": {"Code": "InternalError", "Message": "on purpose"}}
        return ClientError(response, operation)

    @contextmanager
    def clock(self) -> Iterator[None]:
        """Let the functions read the time of this world."""
        modules = [self.lambdas.globals(folder) for folder in FOLDERS]
        modules.append(self.lambdas.globals("classify_photo")["Classifier"].classify.__globals__)
        replaced = [module for module in modules if "now" in module]
        reals = [module["now"] for module in replaced]
        for module in replaced:
            module["now"] = lambda: self.now
        try:
            yield
        finally:
            for module, real in zip(replaced, reals, strict=True):
                module["now"] = real

    def call(self, folder: str, number: int, execution: str, **event: Any) -> Any:
        """Invoke a function about a photo; return its valid answer, or its error, which is one of this project."""
        whole = {"photo": self.photos[number].as_state(), "execution": ARN.format(execution), **event}
        whole.setdefault("started_at", START.isoformat())
        with self.clock():
            try:
                answer = self.lambdas.call(folder, whole)
            except Exception as error:
                if not is_typed(error):
                    raise
                return error
        assert not mistakes(folder, answer), mistakes(folder, answer)
        return answer

    def new_token(self) -> str:
        """A task token that no earlier request had."""
        self.tokens.append(f"secret-task-token-{len(self.tokens)}")
        return self.tokens[-1]

    def record(self, number: int) -> Any:
        """The record of a photo, or None."""
        faults, self.faults = self.faults, []
        try:
            return self.table.get(self.photos[number].photo_id)
        finally:
            self.faults = faults

    def outcomes(self, number: int) -> list[tuple[str, dict[str, Any]]]:
        """The outcomes that were published about a photo."""
        kinds = ("Driver Routed", "Photo Rejected")
        photo_id = self.photos[number].photo_id
        return [
            (kind, detail)
            for kind, detail in self.published
            if kind in kinds and detail["photo"]["photo_id"] == photo_id
        ]

    def reconcile(self) -> None:
        """Announce, long after, every outcome that was not announced."""
        self.now += timedelta(minutes=5)
        for record in list(self.table.list_unannounced()):
            self.lambdas.globals("assign_bay")["announce"](record, "reconcile", self.now, self.table, self.bus)

    def check_announced(self, items: list[dict[str, Any]]) -> None:
        """No record says that its outcome was announced before EventBridge accepted the event."""
        for item in items:
            if "announced_at" in item:
                record = PhotoRecord.from_item(deserialize(item))
                assert record.outcome in [detail for _, detail in self.published]

    def check_new_events(self) -> None:
        """Every event since the last call is valid by its schema and has no task token."""
        for kind, detail in self.published[self._checked :]:
            validator(kind).validate(detail)
            assert "secret-task-token" not in json.dumps(detail)
        self._checked = len(self.published)


@cache
def validator(kind: str) -> Any:
    """The validator of an event."""
    return jsonschema.Draft202012Validator(events.schema(kind))
