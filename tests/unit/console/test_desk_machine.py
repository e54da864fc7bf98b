"""Two desks under requests, answers, undo, skips, expired leases, dead letters and AWS calls that fail.

What holds after each step: a photo is with no more reviewers than its request has messages; a label does not change;
the answer that counts for a request is final, and it is the one that Step Functions got; a request whose last message
is gone was answered.
What holds in the end, once AWS works: every request can be answered.
"""

import json
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from console import delivery, desk
from console.answers import choices
from console.desk import Desk
from console.failed_requests import FailedRequests
from console.session import NotChosen, NotLeased
from deploy.outputs import Deployed
from functions.shared.errors import RecordUnavailable
from tests.support.examples import examples
from tests.support.reviewers import reviewer as named
from tests.unit import model_stage
from tests.unit.console.fake_sqs import FakeSqs
from tests.unit.console.review_requests import FakeAws, body, keys, read_json
from tests.unit.model_stage import aws as moto

DESKS = st.sampled_from((0, 1))
ANSWERS = st.sampled_from(("bicycle", "motorcycle", "other", "unusable"))
UNAVAILABLE = (ClientError, BotoCoreError, RecordUnavailable)
FAULTS = (
    *(("sqs", name) for name in ("receive_message", "delete_message", "send_message", "change_message_visibility")),
    ("stepfunctions", "send_task_success"),
    ("events", "put_events"),
    ("s3", "put_object"),
    ("s3", "get_object"),
    ("dynamodb", "get_item"),
)
DELIVERY_FAULTS = tuple(fault for fault in FAULTS if fault[1] in ("put_object", "send_task_success", "put_events"))
CALLS_BEFORE = st.integers(0, 2)  # a delivery writes a label, the answer that counts, and that it is done
# A lease survives two extensions that fail.
MOST_FAILED_EXTENSIONS = 2
LEASE_S = 60


@dataclass
class Fault:
    """A call that fails after `calls_before` calls that succeed: `after` it took effect, or before."""

    operation: tuple[str, str]
    after: bool
    calls_before: int = 0


class Failing:
    """A client of which one call of one operation fails, before or after it took effect."""

    def __init__(self, name: str, client: Any, faults: list["Fault"]) -> None:
        self._name, self._client, self._faults = name, client, faults

    def __getattr__(self, operation: str) -> Any:
        real = getattr(self._client, operation)

        def call(*arguments: Any, **named: Any) -> Any:
            fault = next((one for one in self._faults if one.operation == (self._name, operation)), None)
            if fault is None:
                return real(*arguments, **named)
            if fault.calls_before:
                fault.calls_before -= 1
                return real(*arguments, **named)
            self._faults.remove(fault)
            if fault.after:
                real(*arguments, **named)
            response: Any = {"Error": {"Code": "InternalError", "Message": "on purpose"}}
            raise ClientError(response, operation)

        return call


class SteppedDesk(Desk):
    """A desk whose scheduler runs when a test says so, in the thread of the test."""

    def _schedule(self) -> None:
        pass

    def run_scheduler(self, now: float, *, extend: bool) -> None:
        """Deliver the answers that are due, and extend the leases."""
        for session in list(self._sessions):
            for answer in self._start_deliveries(session, until=now):
                self._deliver_with_retry(session, answer)
            if extend:
                self._leases.extend(session.leases())


class Desks(RuleBasedStateMachine):
    """Two desks with one reviewer each, at one queue."""

    deployed: Deployed

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_800_000_000.0
        self.tokens: dict[str, str] = {}  # by photo id
        self.etags: dict[str, str] = {}  # of the objects in the bucket by key, as they were first seen
        self.labels: dict[str, Any] = {}  # by key
        self.answers: dict[str, str] = {}  # the key of the label that counts, by photo id
        self.faults: list[Fault] = []
        self.failed_extensions = 0
        self.aws = FakeAws()
        self.aws.s3, self.aws.dynamodb = moto("s3"), moto("dynamodb")
        self.stepfunctions, self.bus = self.aws.stepfunctions, self.aws.events
        self.sqs = FakeSqs(self.deployed.review_queue_url, self.deployed.review_dead_letter_queue_url, lambda: self.now)
        for item in moto("s3").list_objects_v2(Bucket=self.deployed.ml_bucket).get("Contents", []):
            moto("s3").delete_object(Bucket=self.deployed.ml_bucket, Key=item["Key"])
        clients = {
            **{name: getattr(self.aws, name) for name in ("stepfunctions", "events", "s3", "dynamodb")},
            "sqs": self.sqs,
        }
        for name, client in clients.items():
            setattr(self.aws, name, Failing(name, client, self.faults))
        self.patches = pytest.MonkeyPatch()
        for module in (desk, delivery):
            self.patches.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now))
        self.desks = [self.open_desk(), self.open_desk()]
        self.sessions = [one.open_session(named(name)) for one, name in zip(self.desks, ("ada", "ben"), strict=True)]

    def open_desk(self) -> SteppedDesk:
        return SteppedDesk(self.deployed, self.aws, choices(), undo_s=3.0, lease_s=LEASE_S)

    @rule(expired=st.booleans())
    def request(self, expired: bool) -> None:
        number = len(self.tokens)
        photo = model_stage.photo(number)
        self.tokens[photo.photo_id] = f"token-{number}"
        if expired:
            self.stepfunctions.expired.add(f"token-{number}")
        model_stage.claim(number, at=model_stage.NOW, token=f"token-{number}")
        text = body(photo=photo.as_state(), task_token=f"token-{number}", expires_at="2099-01-01T00:00:00.000Z")
        self.sqs.send_message(QueueUrl=self.deployed.review_queue_url, MessageBody=text)

    @rule(number=DESKS)
    def take(self, number: int) -> None:
        try:
            self.desks[number].take(self.sessions[number])
        except UNAVAILABLE:
            assert not self.faults

    @rule(number=DESKS, photo=st.integers(0, 9))
    def choose(self, number: int, photo: int) -> None:
        photo_id = model_stage.photo(photo).photo_id
        session = self.sessions[number]
        try:
            self.desks[number].choose(session, photo_id)
        except NotChosen:
            assert photo_id not in {lease.request.photo.photo_id for lease in session.leased}
        except UNAVAILABLE:
            assert not self.faults
        else:
            assert session.leased[0].request.photo.photo_id == photo_id

    @rule(number=DESKS, position=st.integers(0, 1), vehicle=ANSWERS)
    def answer(self, number: int, position: int, vehicle: str) -> None:
        held = self.sessions[number].leased
        if position < len(held):
            self.desks[number].answer(self.sessions[number], held[position].id, vehicle)
        else:
            with pytest.raises(NotLeased):
                self.desks[number].answer(self.sessions[number], "none", vehicle)

    @rule(number=DESKS)
    def undo(self, number: int) -> None:
        session = self.sessions[number]
        undone = self.desks[number].undo(session)
        assert undone is None or session.leased[0] is undone

    @rule(number=DESKS)
    def skip(self, number: int) -> None:
        held = self.sessions[number].leased
        if held:
            try:
                self.desks[number].skip(self.sessions[number], held[0].id)
            except UNAVAILABLE:
                assert not self.faults

    @rule(number=DESKS)
    def close_and_open_the_session(self, number: int) -> None:
        self.desks[number].close_session(self.sessions[number])
        self.sessions[number] = self.desks[number].open_session(named(f"reviewer-{number}"))

    @rule(number=DESKS)
    def stop_the_process(self, number: int) -> None:
        """The process ends without closing its desk: its leases expire, and answers in their undo window are lost."""
        self.desks[number]._sessions.clear()
        self.desks[number].close()
        self.desks[number] = self.open_desk()
        self.sessions[number] = self.desks[number].open_session(named(f"reviewer-{number}"))

    @rule(number=DESKS, fault=st.sampled_from(DELIVERY_FAULTS), after=st.booleans(), calls=CALLS_BEFORE)
    def stop_the_process_in_a_delivery(self, number: int, fault: tuple[str, str], after: bool, calls: int) -> None:
        """An answer is given, its delivery fails at one call, and the process ends before it is repeated."""
        self.faults.clear()
        self.request(expired=False)
        self.take(number)
        self.answer(number, 0, "bicycle")
        self.let_a_call_fail(fault, after, calls)
        self.wait(4)
        self.stop_the_process(number)

    @rule(seconds=st.sampled_from((1, 4, 30, 70)))
    def wait(self, seconds: int) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + LEASE_S / 3)
            for one in self.desks:
                one.run_scheduler(self.now, extend=True)

    @rule(times=st.integers(1, 4))
    def let_a_consumer_stop(self, times: int) -> None:
        """Another consumer receives a message and stops, some times: this brings it to the dead-letter queue."""
        for _ in range(times):
            self.sqs.receive_message(QueueUrl=self.deployed.review_queue_url, VisibilityTimeout=0)

    @rule()
    def redrive(self) -> None:
        try:
            FailedRequests(self.deployed, self.aws, wait_s=0).replay()
        except UNAVAILABLE:
            assert not self.faults

    @rule(fault=st.sampled_from(FAULTS), after=st.booleans(), calls=CALLS_BEFORE)
    def let_a_call_fail(self, fault: tuple[str, str], after: bool, calls: int) -> None:
        if fault[1] == "change_message_visibility":
            self.failed_extensions += 1
            if self.failed_extensions > MOST_FAILED_EXTENSIONS:
                return
        self.faults[:] = [Fault(fault, after, calls)]

    def copies(self, photo_id: str) -> int:
        """How many messages there are about a photo, in both queues."""
        messages = [message for queue in self.sqs.queues.values() for message in queue]
        return sum(json.loads(message.body)["photo"]["photo_id"] == photo_id for message in messages)

    @invariant()
    def a_photo_is_with_one_reviewer(self) -> None:
        held = [lease.request.photo.photo_id for one in self.desks for s in one._sessions for lease in s.leases()]
        for photo_id in set(held):
            # A process that fails between sending a message and deleting the old one leaves two messages.
            assert held.count(photo_id) <= max(1, self.copies(photo_id)), photo_id

    @invariant()
    def nothing_is_changed_or_lost(self) -> None:
        self.read_bucket()
        ids = [label["answer_id"] for label in self.labels.values()]
        assert len(ids) == len(set(ids)), "an answer has two labels"
        found = {label["photo_id"] for label in self.labels.values()}
        for photo_id, token in self.tokens.items():
            answer = self.answers.get(photo_id)
            if token in self.stepfunctions.outputs:
                assert answer
                assert self.stepfunctions.outputs[token]["vehicle"] == self.labels[answer]["vehicle"]
            if not self.copies(photo_id):
                assert photo_id in found, f"{photo_id} has neither a message nor a label"
                assert token in self.stepfunctions.outputs or token in self.stepfunctions.expired
                assert any(detail["photo"]["photo_id"] == photo_id for detail in self.bus.details)

    def read_bucket(self) -> None:
        """Check that no object was changed or deleted, and read those that are new, each once."""
        listed = moto("s3").list_objects_v2(Bucket=self.deployed.ml_bucket)
        assert not listed["IsTruncated"]
        etags = {item["Key"]: item["ETag"] for item in listed.get("Contents", [])}
        assert self.etags.items() <= etags.items()
        for key in etags.keys() - self.etags.keys():
            if key.endswith(".json"):
                content = read_json(self.deployed, key)
                if key.startswith("labels/"):
                    self.labels[key] = content
                if key.endswith(".answer.json"):
                    self.answers[key.rpartition("/")[2].partition("-")[0]] = content["label"]
        self.etags = etags

    def teardown(self) -> None:
        self.faults.clear()
        try:
            for one in self.desks:
                one.close()
            self.answer_everything()
        finally:
            self.patches.undo()

    def answer_everything(self) -> None:
        """Answer every request that is left, with a new desk."""
        with self.open_desk() as last:
            session = last.open_session(named("eve"))
            self.desks = [last]
            for _ in range(4 * len(self.tokens) + 4):
                self.now += 2 * LEASE_S
                self.redrive()
                for lease in last.take(session):
                    last.answer(session, lease.id, "bicycle")
                self.now += 4
                last.run_scheduler(self.now, extend=False)
        self.nothing_is_changed_or_lost()
        assert not any(self.sqs.queues.values())
        assert {label["photo_id"] for label in self.labels.values()} == set(self.tokens)
        self.delete_objects()

    def delete_objects(self) -> None:
        """Empty the bucket, so that the next example reads its own labels only."""
        for prefix in ("labels/", "reviews/"):
            for key in keys(self.deployed, prefix):
                moto("s3").delete_object(Bucket=self.deployed.ml_bucket, Key=key)


def test_no_order_of_steps_loses_a_request(stage: Deployed) -> None:
    machine = type("Machine", (Desks,), {"deployed": stage})
    run_state_machine_as_test(machine, settings=examples(6, stateful_step_count=30))
