"""No displayed body contains a task token, however the token is nested, escaped or named."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.redaction import redacted, redacted_text

TOKEN = "QUFBQUtnQUFBQUlB-secret"  # noqa: S105  # no token of an execution
NAMES = ["task_token", "taskToken", "TaskToken", "task-token", "TASK TOKEN", "Task.Token", "task\u005ftoken", "Token"]

names = st.sampled_from(NAMES)
plain = st.text(max_size=12).filter(lambda text: text not in TOKEN)
scalars = st.none() | st.booleans() | st.integers() | plain


def in_object(name: str, token: str) -> Any:
    return {name: token}


def in_typed_value(name: str, token: str) -> Any:
    return {name: {"S": token}}


def in_pair(name: str, token: str) -> Any:
    return [name, token]


def in_pairs(name: str, token: str) -> Any:
    return [["driver", "ana"], [token, name]]


def in_named_value(name: str, token: str) -> Any:
    return {"Value": token, "Name": name}


def in_context(name: str, token: str) -> Any:
    return {"Task": {"Token": token}}


SHAPES: list[Callable[[str, str], Any]] = [in_object, in_typed_value, in_pair, in_pairs, in_named_value, in_context]

WRAPPERS: list[Callable[[Any, Any], Any]] = [
    lambda inner, other: {"a": inner, "b": other},
    lambda inner, other: [other, inner],
    lambda inner, other: {"Cause": json.dumps({"errorMessage": inner, "x": other})},
    lambda inner, other: json.dumps(inner),
    lambda inner, other: {"detail": json.dumps(json.dumps(inner))},
]


@given(
    name=st.sampled_from([name for name in NAMES if name != "Token"]),
    shape=st.sampled_from(SHAPES),
    wraps=st.lists(st.tuples(st.sampled_from(WRAPPERS), scalars), max_size=6),
    elsewhere=st.booleans(),
    ascii_only=st.booleans(),
)
def test_a_task_token_is_not_shown_however_it_is_nested(
    name: str, shape: Callable[[str, str], Any], wraps: list[Any], elsewhere: bool, ascii_only: bool
) -> None:
    value = shape(name, TOKEN)
    for wrap, other in wraps:
        value = wrap(value, other)
    if elsewhere:
        value = {"message": f"refused {TOKEN}", "request": value}
    assert TOKEN not in redacted(json.dumps(value, ensure_ascii=ascii_only))


@given(
    shape=st.sampled_from([in_object, in_pair, in_named_value]),
    before=st.dictionaries(plain, scalars, max_size=3),
    cut=st.integers(min_value=0, max_value=400),
    texts=st.integers(min_value=0, max_value=3),
)
def test_a_task_token_in_a_truncated_document_is_not_shown(
    shape: Callable[[str, str], Any], before: dict[str, Any], cut: int, texts: int
) -> None:
    text = json.dumps({**before, "": shape("task_token", TOKEN), "z": "z" * 300})
    for _ in range(texts):
        text = json.dumps({"body": text})
    truncated = text[: max(text.index("token") + len("token"), len(text) - cut)]
    assert TOKEN not in redacted(truncated)


@pytest.mark.parametrize(
    "body",
    [
        r'{"task\u005ftoken": "' + TOKEN + '", "photo"',
        r'{"body": "{\\\"task\\\\u005ftoken\\\": \\\"' + TOKEN,
        f"{{'taskToken': '{TOKEN}'}}",
        f"task_token={TOKEN}&driver=ana",
        f"driver=ana&{quote('task')}%5Ftoken={TOKEN}",
        f"<taskToken>{TOKEN}</taskToken>",
        f"<value>{TOKEN}</value><name>task&#95;token</name>",
        f'{{"ｔask_token": "{TOKEN}"}}',
        f'{{"a": {{"b": "task_token is {TOKEN}"}}}}',
        json.dumps({"Parameters": [{"Key": "taskToken", "Value": TOKEN}]}),
        json.dumps({"error": f"InvalidToken: {TOKEN}", "request": {"Token.$": TOKEN}}),
        "[" * 5000 + json.dumps({"task_token": TOKEN}) + "]" * 5000,
        json.dumps(TOKEN * 9),
        TOKEN * 9,
    ],
)
def test_a_task_token_in_another_notation_is_not_shown(body: str) -> None:
    assert TOKEN not in redacted(body)
    assert TOKEN not in redacted_text(f"{body}")


def test_a_deeply_nested_token_is_not_shown() -> None:
    value: Any = {"task_token": TOKEN}
    for _ in range(200):
        value = [value]
    assert TOKEN not in redacted(json.dumps({"deep": value, "again": TOKEN}))


def test_everything_else_is_shown() -> None:
    state = {"photo": {"key": "uploads/ana/bike.jpg"}, "error": {"Error": "InvalidToken", "Cause": "late"}, "n": [1]}
    assert json.loads(redacted(json.dumps({**state, "task_token": TOKEN}))) == {**state, "task_token": "(not shown)"}
    assert redacted("{broken <script>") == "{broken <script>"
    assert redacted_text("The model answered with status 503") == "The model answered with status 503"
    assert redacted_text(f"refused the task token {TOKEN}") == "refused the (not shown)"


def test_a_body_with_half_a_surrogate_pair_can_be_displayed() -> None:
    assert redacted('{"photo": "\\ud800"}').encode()


def test_a_body_is_shortened() -> None:
    assert len(redacted(json.dumps({"a": "x y " * 5000}))) == 2000
