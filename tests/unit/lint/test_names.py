"""Forbidden names are reported where the code defines them, and nowhere else."""

import pytest

from tests.lint.names import forbidden_names


def found(path: str, text: str = "") -> list[str]:
    return list(forbidden_names(path, text))


@pytest.mark.parametrize(
    "text",
    [
        "class Throne: ...",
        "def throne_of(stage): ...",
        "def restore(throne): ...",
        "throne = 1",
        "self.throne = 1",
        "for throne in stages: ...",
        "import endpoints as throne",
        "restore(throne=1)",
    ],
)
def test_a_definition_is_found(text: str) -> None:
    assert found("functions/a.py", text) == [f"functions/a.py:1: {_name(text)}, use endpoint_repair"]


def _name(text: str) -> str:
    return next(name for name in ("throne_of", "Throne", "throne") if name in text)


def test_the_line_of_a_name_is_given() -> None:
    assert found("operate/a.py", "x = 1\n\nclass Tap: ...") == ["operate/a.py:3: Tap, use EventListener"]


@pytest.mark.parametrize("text", ['"""A throne."""', "# crown", "x = 'throne'", "tapestry = 1", "print(heard)"])
def test_prose_and_longer_words_are_allowed(text: str) -> None:
    assert found("functions/a.py", text) == []


def test_a_common_word_is_forbidden_only_in_the_listed_files() -> None:
    assert found("functions/build_dataset/labels.py", "def news(): ...")
    assert not found("console/feed.py", "def news(): ...")


@pytest.mark.parametrize(
    "path",
    ["functions/shared/items.py", "console/plain.py", "functions/conclude_retraining/__init__.py", "review/desk.py"],
)
def test_a_module_is_forbidden_by_its_path(path: str) -> None:
    assert len(found(path)) == 1


@pytest.mark.parametrize("path", ["functions/items.py", "functions/shared/models/v2.txt", "console/review.py"])
def test_a_module_of_another_folder_may_have_the_name(path: str) -> None:
    assert not [line for line in found(path) if "items" in line or "review" in line]


def test_a_state_is_forbidden_in_definitions_and_code_but_not_in_markdown() -> None:
    assert found("workflows/asl/retrain-model.asl.json", '{"Next": "GoBack?"}')
    assert found("workflows/retrain_model.py", 'Task("LookAtEndpoint")')
    assert not found("CHANGELOG.md", "`LookAtEndpoint` is now `DescribeEndpoint`")


def test_a_file_that_is_not_python_is_reported() -> None:
    assert found("functions/a.py", "x = 1\ndef") == ["functions/a.py:2: invalid syntax"]
