"""The graph check: the workflows pass it, and every mistake it is there for is found when planted."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

import workflows
from workflows import graph

State = dict[str, Any]
States = dict[str, State]


@pytest.mark.parametrize("name", workflows.NAMES)
def test_our_workflows_are_sound(name: str) -> None:
    assert graph.problems(workflows.definition(name)) == []


@pytest.mark.parametrize("name", workflows.NAMES)
def test_every_state_says_what_it_is_for(name: str) -> None:
    states = workflows.definition(name)["States"]
    assert [state for state, fields in states.items() if not fields.get("Comment")] == []


@pytest.mark.parametrize("name", workflows.NAMES)
def test_no_definition_names_an_account_a_region_or_a_moment(name: str) -> None:
    text = json.dumps(workflows.definition(name))
    assert "amazonaws.com" not in text
    assert "eu-west-1" not in text
    assert "overridden" not in text


def small() -> graph.Definition:
    """Task -> Map of a task -> Choice -> Succeed or Fail, without a mistake."""
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "TimeoutSeconds": 10,
        "Parameters": {"Payload": {"execution.$": "$$.Execution.Id"}},
        "Retry": [{"ErrorEquals": ["States.TaskFailed"]}],
    }
    return {
        "StartAt": "Work",
        "States": {
            "Work": {
                **copy.deepcopy(task),
                "Next": "Each",
                "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Failed"}],
            },
            "Each": {
                "Type": "Map",
                "ItemProcessor": {"StartAt": "One", "States": {"One": {**copy.deepcopy(task), "End": True}}},
                "Next": "Good?",
            },
            "Good?": {
                "Type": "Choice",
                "Choices": [{"Variable": "$.good", "BooleanEquals": True, "Next": "Done"}],
                "Default": "Failed",
            },
            "Done": {"Type": "Succeed"},
            "Failed": {"Type": "Fail"},
        },
    }


def inside(states: States) -> State:
    return states["Each"]["ItemProcessor"]["States"]["One"]  # type: ignore[no-any-return]  # as built above


MISTAKES: dict[str, tuple[Callable[[States], Any], str]] = {
    "dangling Next": (lambda s: s["Work"].update(Next="Eahc"), "Work: its Next names 'Eahc', which is no state."),
    "dangling Catch": (
        lambda s: s["Work"]["Catch"][0].update(Next="Gone"),
        "Work: its Catch names 'Gone', which is no state.",
    ),
    "dangling Choice": (
        lambda s: s["Good?"]["Choices"][0].update(Next="Gone"),
        "Good?: its Choice names 'Gone', which is no state.",
    ),
    "dangling Default": (
        lambda s: s["Good?"].update(Default="Gone"),
        "Good?: its Default names 'Gone', which is no state.",
    ),
    "dangling StartAt inside a Map": (
        lambda s: s["Each"]["ItemProcessor"].update(StartAt="Two"),
        "Each, ItemProcessor: StartAt names 'Two', which is no state.",
    ),
    "dangling Next inside a Map": (
        lambda s: (inside(s).pop("End"), inside(s).update(Next="Two")),
        "Each, ItemProcessor: One: its Next names 'Two', which is no state.",
    ),
    "unreachable state": (
        lambda s: s.update(Island={"Type": "Succeed"}),
        "Island: no way leads to this state.",
    ),
    "no terminal state": (
        lambda s: (inside(s).pop("End"), inside(s).update(Next="One")),
        "Each, ItemProcessor: has no terminal state, so it never ends.",
    ),
    "a loop without a way out": (
        lambda s: s.update({"Done": {"Type": "Wait", "Seconds": 1, "Next": "Done"}}),
        "Done: no end can be reached from here.",
    ),
    "neither Next nor End": (lambda s: inside(s).pop("End"), "Each, ItemProcessor: One: has neither Next nor End."),
    "no Default": (
        lambda s: s["Good?"].pop("Default"),
        "Good?: a Choice without Default fails the execution when no rule matches.",
    ),
    "Next on an end": (
        lambda s: s["Done"].update(Next="Failed"),
        "Done: a Succeed state ends the execution and may not have Next or End.",
    ),
    "Next on a Choice": (
        lambda s: s["Good?"].update(Next="Failed"),
        "Good?: a Choice goes on through its Choices and Default, not through Next or End.",
    ),
    "no Retry": (
        lambda s: inside(s).pop("Retry"),
        "Each, ItemProcessor: One: does not retry Lambda.ClientExecutionTimeoutException, Lambda.ServiceException, "
        "Lambda.AWSLambdaException, Lambda.SdkClientException, Lambda.TooManyRequestsException, "
        "which pass by themselves.",
    ),
    "one transient error forgotten": (
        lambda s: (
            s["Work"].update(Retry=[{"ErrorEquals": ["SageMaker.AmazonSageMakerException"], "MaxAttempts": 0}])
            or s["Work"].update(Resource="arn:aws:states:::sagemaker:createModel")
        ),
        "Work: does not retry SageMaker.AmazonSageMakerException, which pass by themselves.",
    ),
    "a service nobody thought about": (
        lambda s: s["Work"].update(Resource="arn:aws:states:::glue:startJobRun"),
        "Work: no transient errors are listed for 'glue'; add them to workflows/errors.py.",
    ),
    "no timeout": (
        lambda s: s["Work"].pop("TimeoutSeconds"),
        "Work: has no timeout, so a lost answer would hold the execution for a year.",
    ),
    "States.ALL among others": (
        lambda s: s["Work"]["Catch"][0].update(ErrorEquals=["States.ALL", "Other"]),
        "Work: States.ALL must stand alone in the last Catch entry.",
    ),
    "States.ALL before others": (
        lambda s: s["Work"]["Catch"].append({"ErrorEquals": ["Other"], "Next": "Failed"}),
        "Work: States.ALL must stand alone in the last Catch entry.",
    ),
    "a context path with a slip": (
        lambda s: s["Work"]["Parameters"].update({"id.$": "States.Format('{}', $$.Execution.ID)"}),
        "Work: $$.Execution.ID is nothing the context object has.",
    ),
    "a JSONPath without its mark": (
        lambda s: s["Work"]["Parameters"].update({"photo": "$.photo"}),
        "Work: 'photo' is the text '$.photo'; a path needs the key 'photo.$'.",
    ),
    "a mark without a JSONPath": (
        lambda s: s["Work"]["Parameters"].update({"photo.$": "photo"}),
        "Work: 'photo.$' needs a path or an intrinsic function, not 'photo'.",
    ),
    "a task token nobody waits for": (
        lambda s: s["Work"]["Parameters"].update({"token.$": "$$.Task.Token"}),
        "Work: uses $$.Task.Token but does not wait for it (.waitForTaskToken).",
    ),
}


def test_the_planted_graph_is_sound() -> None:
    assert graph.problems(small()) == []


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_planted_mistake_is_found(mistake: str) -> None:
    plant, sentence = MISTAKES[mistake]
    definition = small()
    plant(definition["States"])
    assert sentence in graph.problems(definition)


def test_an_unknown_start_is_found() -> None:
    definition = small() | {"StartAt": "Wrok"}
    assert "StartAt names 'Wrok', which is no state." in graph.problems(definition)


@pytest.mark.parametrize("name", workflows.NAMES)
def test_renaming_any_target_is_found(name: str) -> None:
    """Every arrow of the real workflows is looked at: break each one in turn."""
    text = json.dumps(workflows.definition(name))
    for how in ("Next", "Default"):
        for state in workflows.definition(name)["States"]:
            arrow = f'"{how}": "{state}"'
            if arrow in text:
                broken = json.loads(text.replace(arrow, f'"{how}": "{state}!"', 1))
                assert any(f"'{state}!'" in sentence for sentence in graph.problems(broken)), arrow
