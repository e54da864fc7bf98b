"""The failed requests of a stage: the review dead-letter queue and the unrouted queue, listed, replayed and removed."""

import json
import threading
from collections.abc import Callable, Collection, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from console.aws import Aws
from console.failed_messages import Action, FailedMessage, parse_review_letter, parse_unrouted
from console.held_messages import HOLD_S, WAIT_S, HeldMessages
from deploy.outputs import Deployed
from functions.shared.aws import error_code
from functions.shared.errors import SconesError
from functions.shared.photo import Photo
from functions.shared.photo_table import PhotoTable

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef

    Parser = Callable[[MessageTypeDef, Deployed], FailedMessage]


class MessageNotFound(LookupError):
    """Neither queue has a visible message with this id."""

    def __init__(self, message_id: str) -> None:
        """`message_id` is the id that was looked for."""
        super().__init__(
            f"There is no failed message {message_id}. It was replayed or removed, or another command holds it: "
            f"list the messages again in {HOLD_S} s."
        )


class NotRemoved(Exception):
    """The message can be replayed, so it is not removed."""


class Result(Enum):
    """What became of a message."""

    REPLAYED = "replayed"
    REMOVED = "removed"
    STAYED = "stayed"
    FAILED = "failed"


@dataclass(frozen=True)
class Replayed:
    """The replay of a message; `text` says what was done."""

    message: FailedMessage
    result: Result
    text: str


@dataclass
class _Started:
    """What one command has started: the names of executions by photo, and whether a retraining."""

    executions: dict[tuple[str, str, str | None], str] = field(default_factory=dict)
    retraining: bool = False


@cache
def _receiving(_queue_url: str) -> threading.Lock:
    """Return the lock under which this process receives the failed requests of a stage, named by one of its queues."""
    return threading.Lock()


class FailedRequests:
    """The two queues of failed requests of one stage.

    A message is replayed before it is deleted: a failure in between replays it twice but does not lose it. Two
    executions for one photo have one outcome.

    A method that receives messages hides them from others, so one such method runs at a time in a process, also of the
    objects of two people: a replay waits for the reading of the list. Methods can be called from any thread.
    """

    def __init__(self, deployed: Deployed, aws: Aws, *, wait_s: int | None = None) -> None:
        """`wait_s`: seconds of long polling, WAIT_S by default."""
        self._deployed = deployed
        self._aws = aws
        self._wait_s = WAIT_S if wait_s is None else wait_s
        self._photos = PhotoTable(deployed.photo_table, aws.dynamodb)
        self._receives = _receiving(deployed.unrouted_queue_url)

    def list_both(self) -> tuple[list[FailedMessage], list[FailedMessage]]:
        """Return the messages of the review dead-letter queue and those of the unrouted queue, oldest first.

        They are visible to other consumers again at once. Raises ClientError, BotoCoreError.
        """
        with self._receives, ThreadPoolExecutor(2, thread_name_prefix="failed-requests") as pool:
            review = pool.submit(self._list, self._deployed.review_dead_letter_queue_url, parse_review_letter)
            unrouted = pool.submit(self._list, self._deployed.unrouted_queue_url, parse_unrouted)
            return self._with_outcomes(review.result()), self._with_outcomes(unrouted.result())

    def _with_outcomes(self, messages: list[FailedMessage]) -> list[FailedMessage]:
        """Return the messages with the outcomes that their photos have by now. Raises RecordUnavailable."""
        ids = {message.photo.photo_id for message in messages if message.photo and message.photo.etag}
        records = self._photos.find_attributes(ids, ("status", "outcome", "announced_at"))
        return [
            replace(message, outcome=_describe(records.get(message.photo.photo_id, {})))
            if message.photo and message.photo.etag
            else message
            for message in messages
        ]

    def replay(
        self,
        message_id: str | None = None,
        progress: Callable[[Replayed], None] = lambda _: None,
        *,
        only: Collection[str] | None = None,
    ) -> list[Replayed]:
        """Replay each message that can be replayed, or only the one with an id; the others stay.

        With `only`, those of these ids, as far as they are still there. `progress` is called after each message. An
        error of AWS about one message is a result, not an exception.
        Raises MessageNotFound, and ClientError or BotoCoreError when a queue cannot be read.
        """
        started, results = _Started(), []
        with self._receives, closing(self._receive(message_id)) as received:
            for held, raw, message in received:
                if only is not None and message.message_id not in only:
                    continue
                results.append(self._replay(held, raw, message, started))
                progress(results[-1])
        return results

    def remove(self, message_id: str, *, force: bool = False) -> FailedMessage:
        """Delete a message that cannot be replayed or whose photo has an outcome, with `force` any; return it.

        Raises NotRemoved, MessageNotFound, and RecordUnavailable.
        """
        with self._receives, closing(self._receive(message_id)) as received:
            held, raw, message = next(received)
            (message,) = self._with_outcomes([message])
            if message.action and not message.is_repaired and not force:
                raise NotRemoved(
                    f"{message_id} can be replayed: make redrive STAGE={self._deployed.stage} ID={message_id}. "
                    "FORCE=yes removes it all the same."
                )
            held.delete(raw)
        return message

    def _list(self, url: str, parse: "Parser") -> list[FailedMessage]:
        with HeldMessages(self._aws.sqs, url, wait_s=self._wait_s) as held:
            return sorted((parse(raw, self._deployed) for raw in held), key=lambda message: message.sent_at)

    def _receive(
        self, message_id: str | None
    ) -> "Generator[tuple[HeldMessages, MessageTypeDef, FailedMessage], None, None]":
        """Yield the messages of both queues, or only the one with an id. Raises MessageNotFound."""
        queues: list[tuple[str, Parser]] = [
            (self._deployed.review_dead_letter_queue_url, parse_review_letter),
            (self._deployed.unrouted_queue_url, parse_unrouted),
        ]
        for url, parse in queues:
            with HeldMessages(self._aws.sqs, url, wait_s=self._wait_s) as held:
                for raw in held:
                    if message_id in (None, raw["MessageId"]):
                        yield held, raw, parse(raw, self._deployed)
                    if message_id == raw["MessageId"]:
                        return
        if message_id is not None:
            raise MessageNotFound(message_id)

    def _replay(self, held: HeldMessages, raw: "MessageTypeDef", message: FailedMessage, started: _Started) -> Replayed:
        if message.action is None:
            return Replayed(message, Result.STAYED, message.advice)
        if message.execution and message.execution.rpartition(":")[2] in started.executions.values():
            return Replayed(message, Result.STAYED, "the execution that this command started has failed too")
        try:
            result, text = self._act(raw, message, started)
            held.delete(raw)
        except (ClientError, BotoCoreError, SconesError) as error:
            if isinstance(error, ClientError) and error_code(error) == "AccessDeniedException":
                command = f"make redrive STAGE={self._deployed.stage} ID={message.message_id}"
                return Replayed(message, Result.FAILED, f"You may not replay it; an operator has to do it: {command}")
            return Replayed(message, Result.FAILED, str(error))
        return Replayed(message, result, text)

    def _act(self, raw: "MessageTypeDef", message: FailedMessage, started: _Started) -> tuple[Result, str]:
        """Replay a message; return what was done. Raises ClientError, BotoCoreError, RecordUnavailable."""
        if message.photo and (outcome := self._announced_outcome(message.photo)):
            return Result.REMOVED, f"removed: the photo has its outcome by now ({outcome})"
        if message.action is Action.REVIEW:
            self._aws.sqs.send_message(QueueUrl=self._deployed.review_queue_url, MessageBody=raw["Body"])
            return Result.REPLAYED, "sent back to the reviewers"
        if message.action is Action.RETRAIN:
            if started.retraining:
                return Result.REMOVED, "removed: this command has started a retraining"
            name = self._start(self._deployed.retrain_model_arn, message, {"trigger": message.trigger})
            started.retraining = True
            return Result.REPLAYED, f"retraining {name} started"
        photo = message.photo
        assert photo is not None  # parsed with this action only
        identity = (photo.bucket, photo.key, photo.etag)
        if identity in started.executions:
            return Result.REMOVED, "removed: this command has started an execution for the photo"
        name = self._start(self._deployed.classify_photo_arn, message, {"photo": photo.as_input()})
        started.executions[identity] = name
        return Result.REPLAYED, f"execution {name} started"

    def _announced_outcome(self, photo: Photo) -> str | None:
        if not photo.etag:
            return None
        found = self._photos.find_attributes([photo.photo_id], ("status", "outcome", "announced_at"))
        return _describe(found.get(photo.photo_id, {})) or None

    def _start(self, machine: str, message: FailedMessage, given: dict[str, Any]) -> str:
        """Start an execution that is named after the message, unless there is one; return its name."""
        name = f"redrive-{message.message_id}"
        try:
            self._aws.stepfunctions.start_execution(stateMachineArn=machine, name=name, input=json.dumps(given))
        except ClientError as error:
            # An earlier replay of the message started it, but did not delete the message.
            if error_code(error) != "ExecutionAlreadyExists":
                raise
        return name


def _describe(record: Mapping[str, Any]) -> str:
    """Return the announced outcome in the attributes of a record: the bay, or `rejected`; empty without one."""
    if "announced_at" not in record or not record.get("outcome"):
        return ""
    return str(record["outcome"].get("loading_bay") or record["status"])
