"""What is under version control is what the SDK renders, and rendering leaves no traces in the process."""

import logging
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

import workflows
from workflows import graph, picture

ROOT = Path(workflows.__file__).parent.parent


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True
    )


def test_definitions_and_pictures_are_current_wherever_they_are_rendered() -> None:
    checked = python("-m", "workflows", "--check", AWS_REGION="cn-north-1", AWS_DEFAULT_REGION="cn-north-1")
    assert checked.returncode == 0, checked.stderr
    assert checked.stderr == ""


def test_a_stale_definition_is_noticed() -> None:
    code = (
        "import json, sys, workflows, workflows.__main__ as command, workflows.render as r\n"
        "command.render = lambda name: workflows.path(name).read_text().replace('AssignBay', 'AssignSomeBay')\n"
        "sys.argv = ['workflows', '--check']; sys.exit(command.main())"
    )
    checked = python("-c", code)
    assert checked.returncode == 1
    assert "classify-photo.asl.json is stale" in checked.stderr
    assert "retrain-model" not in checked.stderr


def test_reading_a_definition_does_not_import_the_sdk() -> None:
    code = "import sys, workflows; workflows.definition('classify-photo'); print('stepfunctions' in sys.modules)"
    assert python("-c", code).stdout.strip() == "False"


def test_the_sdk_leaves_the_root_logger_as_it_was() -> None:
    code = (
        "import logging; logging.getLogger().setLevel(logging.DEBUG); import workflows.sdk;"
        "print(logging.getLogger().level, logging.root.manager.disable)"
    )
    assert python("-c", code).stdout.split() == [str(logging.DEBUG), "0"]


def test_an_unknown_workflow_is_said() -> None:
    with pytest.raises(KeyError, match="classify-photo"):
        workflows.definition("classify")


@pytest.mark.parametrize("name", workflows.NAMES)
def test_a_picture_shows_every_state_and_no_boxes_overlap(name: str) -> None:
    definition = workflows.definition(name)
    drawing = ElementTree.fromstring(picture.draw(definition))  # noqa: S314  # our own picture
    texts = ["".join(text.itertext()).split()[-1] for text in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert set(definition["States"]) <= set(texts)
    boxes = [
        [float(box.attrib[side]) for side in ("x", "y", "width", "height")]
        for box in drawing.iter("{http://www.w3.org/2000/svg}rect")
        if "rx" in box.attrib
    ]
    assert len(boxes) > len(definition["States"]) / 2
    for index, (x, y, width, height) in enumerate(boxes):
        for other_x, other_y, other_width, other_height in boxes[index + 1 :]:
            apart = x + width <= other_x or other_x + other_width <= x
            assert apart or y + height <= other_y or other_y + other_height <= y


@pytest.mark.parametrize("name", workflows.NAMES)
def test_states_are_written_in_the_order_in_which_they_are_reached(name: str) -> None:
    definition = workflows.definition(name)
    assert list(definition["States"]) == graph.walk(definition)
