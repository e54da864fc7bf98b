"""The graph check finds no problem in the workflows, and each kind of mistake in a small definition."""

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
def test_the_workflows_have_no_problems(name: str) -> None:
    assert graph.problems(workflows.load_definition(name)) == []


@pytest.mark.parametrize("name", workflows.NAMES)
def test_every_state_has_a_comment(name: str) -> None:
    states = workflows.load_definition(name)["States"]
    assert [state for state, fields in states.items() if not fields.get("Comment")] == []


@pytest.mark.parametrize("name", workflows.NAMES)
def test_the_name_of_a_state_is_a_question_exactly_if_it_is_a_choice(name: str) -> None:
    states = workflows.load_definition(name)["States"]
    assert {state for state in states if state.endswith("?")} == {
        state for state, fields in states.items() if fields["Type"] == "Choice"
    }


@pytest.mark.parametrize("name", workflows.NAMES)
def test_no_definition_contains_an_account_a_region_or_a_generated_name(name: str) -> None:
    text = json.dumps(workflows.load_definition(name))
    assert "amazonaws.com" not in text
    assert "eu-west-1" not in text
    assert "overridden" not in text


def valid_definition() -> graph.Definition:
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


def test_a_valid_distributed_map_has_no_problems() -> None:
    definition = valid_definition()
    distributed(definition["States"], ItemReader=reader(InputType="JSONL"), ItemBatcher={"MaxItemsPerBatch": 5})
    assert graph.problems(definition) == []


def nested_task(states: States) -> State:
    return states["Each"]["ItemProcessor"]["States"]["One"]  # type: ignore[no-any-return]  # as built above


def distributed(states: States, **fields: Any) -> None:
    """Make the Map a distributed one, with these fields changed; None removes one."""
    each = states["Each"]
    each["ItemProcessor"]["ProcessorConfig"] = {"Mode": "DISTRIBUTED"}
    each.update({"MaxConcurrency": 2, "ResultWriter": {"Parameters": {"Bucket": "b"}}, **fields})
    states["Each"] = {name: value for name, value in each.items() if value is not None}


def reader(resource: str = "getObject", **config: str) -> dict[str, Any]:
    return {"Resource": f"arn:aws:states:::s3:{resource}", "ReaderConfig": config, "Parameters": {"Bucket.$": "$.b"}}


MISTAKES: dict[str, tuple[Callable[[States], Any], str]] = {
    "a distributed Map without a limit": (
        lambda s: distributed(s, MaxConcurrency=None),
        "Each: has no MaxConcurrency, so everything behind it gets up to 10,000 requests at a time.",
    ),
    "a distributed Map whose results stay in the state": (
        lambda s: distributed(s, ResultWriter=None),
        "Each: has no ResultWriter, so results of more than 256 KiB fail it.",
    ),
    "two limits": (
        lambda s: distributed(s, MaxConcurrencyPath="$.most"),
        "Each: has both MaxConcurrency and MaxConcurrencyPath.",
    ),
    "an inline Map that reads a list": (
        lambda s: s["Each"].update(ItemReader=reader(InputType="JSONL")),
        "Each: ItemReader needs the mode DISTRIBUTED.",
    ),
    "a list of an unknown type": (
        lambda s: distributed(s, ItemReader=reader(InputType="XML")),
        "Each: its InputType is 'XML'; it is one of CSV, JSON, JSONL, MANIFEST, PARQUET.",
    ),
    "a list from another call": (
        lambda s: distributed(s, ItemReader=reader("headObject")),
        "Each: its ItemReader cannot call arn:aws:states:::s3:headObject.",
    ),
    "a CSV file without a header": (
        lambda s: distributed(s, ItemReader=reader(InputType="CSV")),
        "Each: its ItemReader has no CSVHeaderLocation.",
    ),
    "batches of any size": (
        lambda s: distributed(s, ItemBatcher={"BatchInput": {}}),
        "Each: its ItemBatcher has no limit.",
    ),
    "a path in the input of batches without its suffix": (
        lambda s: distributed(s, ItemBatcher={"MaxItemsPerBatch": 1, "BatchInput": {"batch": "$.batch"}}),
        "Each: 'batch' is the text '$.batch'; a path needs the key 'batch.$'.",
    ),
    "a Map without states": (lambda s: s["Each"].pop("ItemProcessor"), "Each: has no ItemProcessor."),
    "dangling Next": (lambda s: s["Work"].update(Next="Eahc"), "Work: its Next names 'Eahc', which does not exist."),
    "dangling Catch": (
        lambda s: s["Work"]["Catch"][0].update(Next="Gone"),
        "Work: its Catch names 'Gone', which does not exist.",
    ),
    "dangling Choice": (
        lambda s: s["Good?"]["Choices"][0].update(Next="Gone"),
        "Good?: its Choice names 'Gone', which does not exist.",
    ),
    "dangling Default": (
        lambda s: s["Good?"].update(Default="Gone"),
        "Good?: its Default names 'Gone', which does not exist.",
    ),
    "dangling StartAt inside a Map": (
        lambda s: s["Each"]["ItemProcessor"].update(StartAt="Two"),
        "Each, ItemProcessor: StartAt names 'Two', which does not exist.",
    ),
    "dangling Next inside a Map": (
        lambda s: (nested_task(s).pop("End"), nested_task(s).update(Next="Two")),
        "Each, ItemProcessor: One: its Next names 'Two', which does not exist.",
    ),
    "unreachable state": (
        lambda s: s.update(Island={"Type": "Succeed"}),
        "Island: is unreachable.",
    ),
    "no terminal state": (
        lambda s: (nested_task(s).pop("End"), nested_task(s).update(Next="One")),
        "Each, ItemProcessor: has no terminal state, so it never ends.",
    ),
    "a loop without an exit": (
        lambda s: s.update({"Done": {"Type": "Wait", "Seconds": 1, "Next": "Done"}}),
        "Done: no terminal state can be reached from here.",
    ),
    "neither Next nor End": (
        lambda s: nested_task(s).pop("End"),
        "Each, ItemProcessor: One: has neither Next nor End.",
    ),
    "no Default": (
        lambda s: s["Good?"].pop("Default"),
        "Good?: a Choice without Default fails the execution when no rule matches.",
    ),
    "Next on a terminal state": (
        lambda s: s["Done"].update(Next="Failed"),
        "Done: a Succeed state ends the execution and may not have Next or End.",
    ),
    "Next on a Choice": (
        lambda s: s["Good?"].update(Next="Failed"),
        "Good?: a Choice continues with its Choices and Default; it may not have Next or End.",
    ),
    "no Retry": (
        lambda s: nested_task(s).pop("Retry"),
        "Each, ItemProcessor: One: does not retry the transient errors Lambda.ClientExecutionTimeoutException, "
        "Lambda.ServiceException, Lambda.AWSLambdaException, Lambda.SdkClientException, "
        "Lambda.TooManyRequestsException.",
    ),
    "one transient error forgotten": (
        lambda s: (
            s["Work"].update(Retry=[{"ErrorEquals": ["SageMaker.AmazonSageMakerException"], "MaxAttempts": 0}])
            or s["Work"].update(Resource="arn:aws:states:::sagemaker:createModel")
        ),
        "Work: does not retry the transient errors SageMaker.AmazonSageMakerException.",
    ),
    "an unknown service": (
        lambda s: s["Work"].update(Resource="arn:aws:states:::glue:startJobRun"),
        "Work: no transient errors are listed for 'glue'; add them to workflows/errors.py.",
    ),
    "no timeout": (
        lambda s: s["Work"].pop("TimeoutSeconds"),
        "Work: has no timeout, so a lost response would keep the execution running for a year.",
    ),
    "States.ALL among others": (
        lambda s: s["Work"]["Catch"][0].update(ErrorEquals=["States.ALL", "Other"]),
        "Work: States.ALL must be the only error of the last Catch entry.",
    ),
    "States.ALL before others": (
        lambda s: s["Work"]["Catch"].append({"ErrorEquals": ["Other"], "Next": "Failed"}),
        "Work: States.ALL must be the only error of the last Catch entry.",
    ),
    "a misspelt context path": (
        lambda s: s["Work"]["Parameters"].update({"id.$": "States.Format('{}', $$.Execution.ID)"}),
        "Work: the context object has no $$.Execution.ID.",
    ),
    "a JSONPath under a plain key": (
        lambda s: s["Work"]["Parameters"].update({"photo": "$.photo"}),
        "Work: 'photo' is the text '$.photo'; a path needs the key 'photo.$'.",
    ),
    "a path key without a JSONPath": (
        lambda s: s["Work"]["Parameters"].update({"photo.$": "photo"}),
        "Work: 'photo.$' needs a path or an intrinsic function, not 'photo'.",
    ),
    "a task token without a wait": (
        lambda s: s["Work"]["Parameters"].update({"token.$": "$$.Task.Token"}),
        "Work: uses $$.Task.Token but does not wait for it (.waitForTaskToken).",
    ),
}


def test_a_valid_definition_has_no_problems() -> None:
    assert graph.problems(valid_definition()) == []


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_is_found(mistake: str) -> None:
    change, sentence = MISTAKES[mistake]
    definition = valid_definition()
    change(definition["States"])
    assert sentence in graph.problems(definition)


def test_an_unknown_start_state_is_found() -> None:
    definition = valid_definition() | {"StartAt": "Wrok"}
    assert "StartAt names 'Wrok', which does not exist." in graph.problems(definition)


@pytest.mark.parametrize("name", workflows.NAMES)
def test_every_missing_target_is_found(name: str) -> None:
    """Breaks each transition of the workflows in turn."""
    text = json.dumps(workflows.load_definition(name))
    for field in ("Next", "Default"):
        for state in workflows.load_definition(name)["States"]:
            transition = f'"{field}": "{state}"'
            if transition in text:
                broken = json.loads(text.replace(transition, f'"{field}": "{state}!"', 1))
                assert any(f"'{state}!'" in problem for problem in graph.problems(broken)), transition
