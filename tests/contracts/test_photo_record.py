"""The record of a photo under executions in every order, a moving clock and AWS calls that fail.

What holds after each step: an outcome never changes, but for a photo that was missing and was uploaded again; the
status follows the table of PhotoTable; an outcome has the same content in every event; a task token is in no record
and no event. What holds in the end: every outcome was announced, and exactly once when no call failed.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.contracts.lambdas import Lambdas
from tests.contracts.photo_world import ARN, WRITES, PhotoWorld
from tests.support.examples import examples
from tests.workflow.stage import classification

PHOTOS = st.sampled_from((0, 1))
EXECUTIONS = st.sampled_from(("a", "b", "c"))
REASONS = st.sampled_from(("PhotoMissing", "UnreadablePhoto", "UnusablePhoto"))
FINAL = ("routed", "rejected")


class Photos(RuleBasedStateMachine):
    """Executions of classify-photo, step by step, in the order of the workflow and in any other."""

    lambdas: Lambdas
    with_faults = True

    def __init__(self) -> None:
        super().__init__()
        self.world = PhotoWorld(self.lambdas)
        self.before: dict[int, Any] = {0: None, 1: None}
        self.by: tuple[int, str, str] | None = None  # photo, execution and target of the last transition

    @initialize(confident=st.booleans())
    def start(self, confident: bool) -> None:
        self.confident = confident
        self.world.lambdas.stage.respond = lambda image: classification("bicycle", 0.98 if confident else 0.5)

    @precondition(lambda self: self.with_faults)
    @rule(operation=st.sampled_from(WRITES), before=st.booleans())
    def let_a_call_fail(self, operation: str, before: bool) -> None:
        self.world.faults = [(operation, before)]

    @rule(seconds=st.sampled_from((0.001, 1, 29, 31, 890, 1000)))
    def wait(self, seconds: float) -> None:
        self.world.now += timedelta(seconds=seconds)

    @rule(photo=PHOTOS, execution=EXECUTIONS)
    def classify(self, photo: int, execution: str) -> None:
        answer = self.step("classified", photo, execution, "classify_photo")
        if isinstance(answer, dict):
            assert answer["recorded"] == self.world.record(photo).outcome

    @rule(photo=PHOTOS, execution=EXECUTIONS, new=st.booleans())
    def request_review(self, photo: int, execution: str, new: bool) -> None:
        token = self.world.new_token() if new or not self.world.tokens else self.world.tokens[-1]
        self.step(
            "in_review", photo, execution, "request_review", reason="LowConfidence", timeout_s=900, task_token=token
        )

    @rule(photo=PHOTOS, execution=EXECUTIONS, decided_by=st.sampled_from(("model", "reviewer", "fallback")))
    def assign(self, photo: int, execution: str, decided_by: str) -> None:
        vehicle = {"model": "bicycle", "reviewer": "motorcycle", "fallback": None}[decided_by]
        self.step("routed", photo, execution, "assign_bay", decided_by=decided_by, vehicle=vehicle)

    @rule(photo=PHOTOS, execution=EXECUTIONS, reason=REASONS)
    def reject(self, photo: int, execution: str, reason: str) -> None:
        self.step("rejected", photo, execution, "reject_photo", error={"Error": reason, "Cause": "because"})

    @rule(photo=PHOTOS, execution=EXECUTIONS)
    def return_outcome(self, photo: int, execution: str) -> None:
        answer = self.step("", photo, execution, "assign_bay", decided_by="recorded")
        if isinstance(answer, dict):
            assert answer == self.world.record(photo).outcome

    @rule(photo=PHOTOS, execution=EXECUTIONS)
    def mark_unrouted(self, photo: int, execution: str) -> None:
        self.by = (photo, execution, "unrouted")
        arn = ARN.format(execution)
        try:
            self.world.table.mark_unrouted(
                self.world.photos[photo], arn, self.world.now, error={"Error": "PhotoUnrouted"}
            )
        except Exception as error:
            if type(error).__name__ not in ("Refused", "RecordUnavailable"):
                raise

    @rule(
        photo=PHOTOS,
        executions=st.permutations(("a", "b", "c")),
        operation=st.sampled_from(WRITES[:2]),
        before=st.booleans(),
        one=st.sampled_from(("assign", "classify")),
        other=st.sampled_from(("assign", "recorded", "reject", "classify")),
    )
    def overlap(self, photo: int, executions: list[str], operation: str, before: bool, one: str, other: str) -> None:
        """One execution decides; another one acts in the middle of that, before or after one of the calls."""
        first, second, _ = executions
        self.by = None
        ends: dict[str, Callable[[], Any]] = {
            "assign": lambda: self.world.call("assign_bay", photo, second, decided_by="fallback"),
            "recorded": lambda: self.world.call("assign_bay", photo, second, decided_by="recorded"),
            "reject": lambda: self.world.call("reject_photo", photo, second, error={"Error": "UnusablePhoto"}),
            "classify": lambda: self.world.call("classify_photo", photo, second),
        }
        self.world.meanwhile = (operation, before, ends[other])
        if one == "assign":
            self.world.call("assign_bay", photo, first, decided_by="model", vehicle="bicycle")
        else:
            self.world.call("classify_photo", photo, first)
        self.world.meanwhile = None

    @rule()
    def reconcile(self) -> None:
        faults, self.world.faults = self.world.faults, []
        self.world.reconcile()
        self.world.faults = faults

    def step(self, target: str, photo: int, execution: str, folder: str, **event: Any) -> Any:
        """Invoke a function that may make the transition to `target`."""
        self.by = (photo, execution, target)
        return self.world.call(folder, photo, execution, **event)

    @invariant()
    def the_records_are_consistent(self) -> None:
        self.world.check_new_events()
        for number in (0, 1):
            record, before = self.world.record(number), self.before[number]
            self.before[number] = record
            if record is None:
                assert before is None
                continue
            assert (record.outcome is not None) == record.has_outcome
            assert "secret-task-token" not in repr(record)
            if before is not None:
                assert record.first_seen_at == before.first_seen_at
                self.check_transition(number, before, record)
            self.check_events(number, record)

    def check_transition(self, number: int, before: Any, record: Any) -> None:
        """The change of one record by the last step is one of the table in PhotoTable."""
        names = ("status", "status_at", "execution")
        if all(getattr(record, name) == getattr(before, name) for name in names):
            assert record.outcome == before.outcome
            assert record.announced or not before.announced
            return
        if self.by is not None:
            photo, execution, target = self.by
            assert (photo, ARN.format(execution)) == (number, record.execution)
            decides = target == "classified" and self.confident
            assert record.status == ("routed" if decides else target)
        own = before.execution == record.execution
        if before.has_outcome:
            assert before.status == "rejected"
            assert before.outcome["rejected"]["reason"] == "PhotoMissing"
            assert record.status != "unrouted"
            assert record.status != "rejected" or record.outcome["rejected"]["reason"] != "PhotoMissing"
        elif record.status == "unrouted":
            assert own
        elif before.status == "in_review" and (record.status not in FINAL or (self.by and self.by[2] == "classified")):
            assert own or before.review["expires_at"] <= record.status_at

    def check_events(self, number: int, record: Any) -> None:
        """The events of a photo have the content of its outcome; only that of a missing photo may be replaced."""
        published = self.world.outcomes(number)
        contents = [content for index, content in enumerate(published) if content not in published[:index]]
        for kind, detail in contents[:-1]:
            assert kind == "Photo Rejected"
            assert detail["rejected"]["reason"] == "PhotoMissing"
        if record.announced:
            assert published[-1][1] == record.outcome

    def teardown(self) -> None:
        self.world.faults = []
        try:
            self.world.reconcile()
            for number in (0, 1):
                record = self.world.record(number)
                if record is not None and record.has_outcome:
                    assert record.announced
                    times = [detail for _, detail in self.world.outcomes(number)].count(record.outcome)
                    assert times >= 1
                    # Announcing twice takes a call that failed.
                    assert times == 1 or self.world.injected
        finally:
            self.world.close()


@pytest.mark.parametrize("with_faults", [False, True])
def test_the_record_of_a_photo_survives_every_order_of_steps(lambdas: Lambdas, with_faults: bool) -> None:
    machine = type("Machine", (Photos,), {"lambdas": lambdas, "with_faults": with_faults})
    run_state_machine_as_test(machine, settings=examples(8, stateful_step_count=20))
