"""The Mermaid flowchart shows every state, transition and caught error of a definition."""

import re
from typing import Any

import pytest

import workflows
from workflows import graph, mermaid

NODE = re.compile(r"^    (\w+)(?:\[|\{\{|\(\[)", re.MULTILINE)


def choice(**rule: Any) -> graph.Definition:
    """A definition whose Choice has this rule."""
    return {
        "StartAt": "Good?",
        "States": {
            "Good?": {"Type": "Choice", "Choices": [{**rule, "Next": "Done"}], "Default": "Failed"},
            "Done": {"Type": "Succeed"},
            "Failed": {"Type": "Fail"},
        },
    }


def catching(*names: str) -> graph.Definition:
    """A definition whose tasks `names` send their errors to one state."""
    states: dict[str, Any] = {
        name: {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Failed"}],
            "Next": following,
        }
        for name, following in zip(names, (*names[1:], "Done"), strict=True)
    }
    return {"StartAt": names[0], "States": {**states, "Done": {"Type": "Succeed"}, "Failed": {"Type": "Fail"}}}


@pytest.mark.parametrize("name", workflows.NAMES)
def test_every_state_is_one_node(name: str) -> None:
    states = workflows.load_definition(name)["States"]
    drawn = NODE.findall(mermaid.render_flowchart(workflows.load_definition(name)))
    assert sorted(drawn) == sorted(state.removesuffix("?") for state in states)


@pytest.mark.parametrize("name", workflows.NAMES)
def test_every_transition_is_an_arrow_or_a_note(name: str) -> None:
    drawn = mermaid.render_flowchart(workflows.load_definition(name))
    for state, fields in workflows.load_definition(name)["States"].items():
        for _, target in graph.targets(fields):
            source, end = state.removesuffix("?"), target.removesuffix("?")
            arrow = re.search(rf"^    {source} -\.?->?(\|.*\|)? {end}$", drawn, re.MULTILINE)
            note = re.search(rf"^    {source}\W.*error → {re.escape(target)}<", drawn, re.MULTILINE)
            assert arrow or note, (state, target)


@pytest.mark.parametrize("name", workflows.NAMES)
def test_the_page_lists_the_comment_of_every_state(name: str) -> None:
    page = mermaid.render_page(name, workflows.load_definition(name))
    for state, fields in workflows.load_definition(name)["States"].items():
        assert f"| `{state}` | {fields['Comment']} |" in page


@pytest.mark.parametrize(
    ("rule", "label"),
    [
        ({"Variable": "$.a", "StringEquals": "confident"}, "confident"),
        ({"Variable": "$.a.config", "StringEquals": ""}, "no config"),
        ({"Variable": "$.a", "BooleanEquals": True}, "yes"),
        ({"Variable": "$.a", "IsPresent": True}, "yes"),
        ({"Variable": "$.a", "IsNull": False}, "yes"),
        ({"Variable": "$.polls.count", "NumericLessThan": 3}, "count &lt; 3"),
        ({"Variable": "$.a.config", "StringEqualsPath": "$.run.name"}, "config = $.run.name"),
        ({"And": [{"Variable": "$.a", "IsPresent": True}, {"Variable": "$.a", "IsString": True}]}, "a is a string"),
        (
            {"Or": [{"Variable": "$.a", "StringEquals": "Failed"}, {"Variable": "$.a", "StringEquals": "Deleted"}]},
            "Failed or Deleted",
        ),
    ],
)
def test_an_arrow_of_a_choice_has_its_condition(rule: dict[str, Any], label: str) -> None:
    drawn = mermaid.render_flowchart(choice(**rule))
    assert f'Good -->|"{label}"| Done' in drawn
    assert 'Good -->|"else"| Failed' in drawn


def test_an_unknown_operator_is_an_error() -> None:
    with pytest.raises(ValueError, match="TimestampEquals"):
        mermaid.render_flowchart(choice(Variable="$.a", TimestampEquals="2026-11-27T00:00:00Z"))


def test_a_caught_error_is_a_dashed_arrow() -> None:
    assert 'One -.->|"any error"| Failed' in mermaid.render_flowchart(catching("One", "Two"))


def test_errors_that_many_states_send_to_one_state_are_notes() -> None:
    drawn = mermaid.render_flowchart(catching("One", "Two", "Three"))
    assert "-.->" not in drawn
    assert drawn.count("error → Failed") == 3
