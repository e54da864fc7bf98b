"""The files under version control are those that the SDK renders, and rendering does not change the process."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

import workflows
from workflows import graph

ROOT = Path(workflows.__file__).parent.parent


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True
    )


def test_definitions_and_pages_are_current_in_every_region() -> None:
    checked = python("-m", "workflows", "--check", AWS_REGION="cn-north-1", AWS_DEFAULT_REGION="cn-north-1")
    assert checked.returncode == 0, checked.stderr
    assert checked.stderr == ""


def test_a_stale_definition_is_reported() -> None:
    code = (
        "import json, sys, workflows, workflows.__main__ as command, workflows.render as r\n"
        "command.render = lambda name: workflows.asl_path(name).read_text().replace('AssignBay', 'AssignSomeBay')\n"
        "sys.argv = ['workflows', '--check']; sys.exit(command.main())"
    )
    checked = python("-c", code)
    assert checked.returncode == 1
    assert "classify-photo.asl.json is stale" in checked.stderr
    assert "classify-photo.md is stale" in checked.stderr
    assert "retrain-model" not in checked.stderr


def test_reading_a_definition_does_not_import_the_sdk() -> None:
    code = "import sys, workflows; workflows.load_definition('classify-photo'); print('stepfunctions' in sys.modules)"
    assert python("-c", code).stdout.strip() == "False"


def test_the_sdk_leaves_the_root_logger_as_it_was() -> None:
    code = (
        "import logging; logging.getLogger().setLevel(logging.DEBUG); import workflows.sdk;"
        "print(logging.getLogger().level, logging.root.manager.disable)"
    )
    assert python("-c", code).stdout.split() == [str(logging.DEBUG), "0"]


def test_an_unknown_workflow_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(KeyError, match="classify-photo"):
        workflows.load_definition("classify")


@pytest.mark.parametrize("name", workflows.NAMES)
def test_states_are_written_in_the_order_in_which_they_are_reached(name: str) -> None:
    definition = workflows.load_definition(name)
    assert list(definition["States"]) == graph.reachable(definition)
