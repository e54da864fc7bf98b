"""An exception that is handled without a word is reported, unless a comment says why."""

import pytest

from tests.lint.exceptions import silent_handlers


def handler(body: str, clause: str = "except ValueError:") -> list[str]:
    text = f"try:\n    act()\n{clause}\n{body}\n"
    return list(silent_handlers("functions/act.py", text))


@pytest.mark.parametrize("body", ["    pass", "    return None", "    value = 1"])
def test_a_handler_that_tells_nobody_is_reported(body: str) -> None:
    assert handler(body) == [
        "functions/act.py:3: ValueError is handled without a word; raise, log, or say in a comment why not"
    ]


@pytest.mark.parametrize(
    ("body", "clause"),
    [
        ("    raise Other('no')", "except ValueError:"),
        ("    logger.warning('refused')", "except ValueError:"),
        ("    found = str(error)", "except ValueError as error:"),
        ("    pass  # it is gone", "except ValueError:"),
        ("    # it is gone\n    pass", "except ValueError:"),
        ("    pass", "except ValueError:  # it is gone"),
    ],
)
def test_a_handler_that_raises_tells_or_gives_its_reason_is_not(body: str, clause: str) -> None:
    assert handler(body, clause) == []


def test_a_suppressed_exception_needs_its_reason() -> None:
    text = "with suppress(OSError):\n    act()\n"
    assert list(silent_handlers("deploy/act.py", text)) == [
        "deploy/act.py:1: suppress(OSError) needs a comment with the reason"
    ]
    assert list(silent_handlers("deploy/act.py", text.replace(":\n", ":  # it is gone\n", 1))) == []


def test_only_the_application_is_checked() -> None:
    assert list(silent_handlers("tests/act.py", "try:\n    act()\nexcept ValueError:\n    pass\n")) == []
