"""What the figures of a stage mean: the rows of the Now page and of `make status`."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from console import now
from console.now import LONG_WAIT_S, State
from console.now_figures import Alarm, Endpoint, Execution, Figures, Messages, Unreadable, Waiting
from deploy.templates import load_alarms
from functions.shared.champion import Champion
from tests.unit.model_stage import NOW

MODEL = "vehicles-dev-1"
CHAMPION = Champion(MODEL, MODEL, "s3://ml/model.tar.gz")
QUIET = Figures(
    read_at=NOW,
    stage="dev",
    account="123456789012",
    region="eu-west-1",
    endpoint_name="scones-dev-vehicles",
    champion=CHAMPION,
    endpoint=Endpoint("InService", MODEL, 2),
    waiting=Waiting(0, None),
    reviews=Messages(0, 0),
    audits=Messages(3, 0),
    unrouted=0,
    failed=0,
    alarms=[Alarm("drift", "OK", "inform", "", ""), Alarm("unaccounted-photos", "OK", "page", "", "")],
    failures={"classify-photo": 0, "rollback-model": 0},
    retraining=Execution("SUCCEEDED", NOW, NOW, "promoted"),
)


def alarm(name: str) -> Alarm:
    entry = load_alarms()[name]
    return Alarm(name, "ALARM", entry["Level"], entry["Meaning"], entry["Action"])


def row(name: str, **changed: Any) -> now.Row:
    (found,) = [one for one in now.rows(replace(QUIET, **changed)) if one.name == name]
    return found


def test_a_quiet_stage_is_green_in_every_row_and_nothing_is_to_do() -> None:
    found = now.rows(QUIET)
    assert {one.state for one in found} == {State.OK}
    assert now.next_step(found) == "nothing to do"
    assert [one.name for one in found] == [name for name in now.TITLES if name != "deployment"]
    assert row("endpoint").text == f"InService with 2 instances, serving {MODEL}."


def test_an_alarm_that_waits_for_the_first_data_of_a_new_stage_is_not_what_to_do_next() -> None:
    deploying = Alarm("maintenance", "ALARM", "page", "", "")
    silent = replace(alarm("watch-not-running"), without_data=True)
    changed = {"waiting": Waiting(51, 5.0), "alarms": [deploying, silent]}
    found = row("alarm-watch-not-running", **changed)
    assert (found.state, found.command, found.action) == (State.UNKNOWN, "", "")
    assert now.next_step(now.rows(replace(QUIET, **changed))).endswith("make review")
    without_deployment = row("alarm-watch-not-running", alarms=[silent])
    assert without_deployment.state is State.ACT
    measured = replace(silent, without_data=False)
    assert row("alarm-watch-not-running", alarms=[deploying, measured]).state is State.ACT


@pytest.mark.parametrize(
    ("name", "changed", "state", "words", "command"),
    [
        ("endpoint", {"endpoint": Endpoint(None)}, State.ACT, f"It should serve {MODEL}", "make repair"),
        ("endpoint", {"endpoint": Endpoint("Failed", MODEL)}, State.ACT, "is Failed", "make repair"),
        ("endpoint", {"endpoint": Endpoint("Creating", MODEL)}, State.ATTENTION, "is being created", ""),
        ("endpoint", {"endpoint": Endpoint(None), "champion": None}, State.ATTENTION, "No model", "make retrain"),
        ("endpoint", {"endpoint": Endpoint("Updating", "x", 1)}, State.OK, "Updating with 1 instance", ""),
        (
            "endpoint",
            {"endpoint": Endpoint("InService", "x")},
            State.ATTENTION,
            "serving x. The recorded champion is",
            "make repair",
        ),
        (
            "endpoint",
            {"endpoint": Endpoint("InService", "x"), "retraining": Execution("RUNNING", NOW)},
            State.OK,
            "A retraining tries a new model",
            "",
        ),
        ("waiting", {"waiting": Waiting(51, 12.0)}, State.OK, "51 photos wait, the first for 12 s.", "make review"),
        ("waiting", {"waiting": Waiting(1, 130.0)}, State.ATTENTION, "1 photo waits", "make review"),
        ("waiting", {"waiting": Waiting(1, LONG_WAIT_S + 1)}, State.ACT, "1 photo waits", "make review"),
        ("unrouted", {"unrouted": 2, "failed": 2}, State.ACT, "2 photos failed", "make redrive"),
        ("unrouted", {"unrouted": 2}, State.ACT, "2 photos failed", "make reconcile"),
        ("failed", {"failed": 1}, State.ACT, "1 failed request", "make redrive LIST=yes"),
        ("unaccounted", {"alarms": [alarm("unaccounted-photos")]}, State.ACT, "without an outcome", "make reconcile"),
        ("unaccounted", {"alarms": []}, State.OK, "No reconciliation has ended yet", ""),
        ("failures", {"failures": {"classify-photo": 2}}, State.OK, "2 of classify-photo in", ""),
        (
            "failures",
            {"failures": {"classify-photo": 2}, "unrouted": 1},
            State.ATTENTION,
            "in the last 24 hours",
            "make redrive LIST=yes",
        ),
        ("failures", {"failures": {"rollback-model": 1}}, State.ACT, "1 of rollback-model", "make rollback"),
        ("retraining", {"retraining": Execution("FAILED", NOW, NOW)}, State.ATTENTION, "FAILED", "make retrain"),
        ("retraining", {"retraining": None}, State.OK, "none in the last 90 days", ""),
        (
            "retraining",
            {"retraining": Execution("RUNNING", NOW - timedelta(seconds=70))},
            State.OK,
            "Running for 1 min 10 s",
            "",
        ),
        ("alarm-unaccounted-photos", {"alarms": [alarm("unaccounted-photos")]}, State.ACT, "", "make reconcile"),
        ("alarm-overdue-retraining", {"alarms": [alarm("overdue-retraining")]}, State.ATTENTION, "", "make retrain"),
        ("deployment", {"alarms": [Alarm("maintenance", "ALARM", "page", "", "")]}, State.OK, "no alarm notifies", ""),
    ],
)
def test_each_figure_has_a_state_words_and_one_command(
    name: str, changed: dict[str, Any], state: State, words: str, command: str
) -> None:
    found = row(name, **changed)
    assert (found.state, found.command) == (state, command)
    assert words in found.text


def test_the_commands_of_another_stage_name_it() -> None:
    assert row("waiting", stage="prod", waiting=Waiting(1, 1.0)).command == "make review STAGE=prod"
    assert row("alarm-drift", stage="prod", alarms=[alarm("drift")]).command == "make review STAGE=prod"


def test_what_to_do_next_is_the_first_of_the_most_urgent_rows() -> None:
    found = now.rows(replace(QUIET, waiting=Waiting(51, 5.0)))
    assert now.next_step(found) == "51 photos wait, the first for 5 s: make review"
    found = now.rows(replace(QUIET, waiting=Waiting(51, 5.0), failed=1, endpoint=Endpoint(None)))
    assert now.worst(found) is State.ACT
    assert now.next_step(found).startswith("scones-dev-vehicles is gone")


def test_a_figure_that_was_not_read_is_unknown_and_the_others_are_shown() -> None:
    why = Unreadable("AWS denied a request.")
    names = ("champion", "endpoint", "waiting", "reviews", "audits", "unrouted", "failed", "alarms", "failures")
    found = now.rows(replace(QUIET, **dict.fromkeys(names, why)))
    states = {one.name: one.state for one in found}
    assert states.pop("retraining") is State.OK
    assert set(states.values()) == {State.UNKNOWN}
    assert now.next_step(found) == why.why
    assert row("endpoint", champion=why).text == why.why


def test_the_json_form_has_the_rows_and_the_figures() -> None:
    figures = replace(QUIET, waiting=Waiting(2, 700.0), alarms=[alarm("drift")], failed=Unreadable("no"))
    found = json.loads(json.dumps(now.as_json(figures, now.rows(figures))))
    assert (found["stage"], found["account"], found["region"]) == ("dev", "123456789012", "eu-west-1")
    assert (found["state"], found["next"]) == ("act now", "2 photos wait, the first for 11 min 40 s: make review")
    assert found["figures"]["waiting"] == {"drivers": 2, "oldest_s": 700.0}
    assert (found["figures"]["in_alarm"], found["figures"]["failed"]) == (["drift"], None)
    assert {one["name"]: one["state"] for one in found["rows"]}["failed"] == "unknown"


def test_a_wait_is_long_when_the_alarm_says_so() -> None:
    assert load_alarms()["waiting-drivers"]["Threshold"] == LONG_WAIT_S
