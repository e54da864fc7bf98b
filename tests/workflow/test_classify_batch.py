"""classify-batch: the children of its Distributed Maps in moto's interpreter, whose parser refuses the Maps themselves.

tests/system/test_batch.py runs the whole workflow.
"""

import json
from typing import Any

import pytest

import workflows
from tests.workflow.stage import EndpointError, Execution, Stage, classification, substitute

DEFINITION = workflows.load_definition("classify-batch")
MAPS = [name for name, state in DEFINITION["States"].items() if state["Type"] == "Map"]
BATCH = {"id": "yard", "kind": "prefix", "bucket": "uploads", "prefix": "batches/yard/", "key": None}


def start(stage: Stage, name: str, *photos: dict[str, Any]) -> Execution:
    """Start a child of a Map as the ItemBatcher does."""
    child = {key: DEFINITION["States"][name]["ItemProcessor"][key] for key in ("StartAt", "States")}
    arns = {"ClassifyBatchFunctionArn": stage.function_arns["classify_batch"]}
    created = stage.aws["stepfunctions"].create_state_machine(
        name=f"child-{name}", definition=substitute(json.dumps(child), arns), roleArn=stage.role
    )
    items = [{"Key": photo["key"], "Etag": f'"{photo["etag"]}"', "Size": photo["size"]} for photo in photos]
    return stage.start(created["stateMachineArn"], {"BatchInput": {"batch": BATCH}, "Items": items})


def results(stage: Stage) -> list[str]:
    items = stage.aws["dynamodb"].scan(TableName="batch-results")["Items"]
    return sorted(item["result"]["M"]["outcome"]["S"] for item in items)


@pytest.mark.parametrize("name", MAPS)
def test_a_child_classifies_its_photos(stage: Stage, name: str) -> None:
    photos = [stage.upload(key=f"batches/yard/{number}.jpg") for number in range(3)]
    assert start(stage, name, *photos).output()["classified"] == 3
    assert results(stage) == ["classified"] * 3


def test_a_child_waits_for_an_endpoint_and_repeats_only_what_has_no_result(stage: Stage) -> None:
    photos = [stage.upload(key=f"batches/yard/{number}.jpg") for number in range(3)]
    answers = iter([classification(), EndpointError("ServiceUnavailable", "on purpose"), *[classification()] * 2])
    stage.respond = lambda image: next(answers)
    assert start(stage, MAPS[0], *photos).output() == {
        **dict.fromkeys(("unsure", "failed", "ignored"), 0),
        "classified": 2,
        "known": 1,
    }
    assert results(stage) == ["classified"] * 3


def test_a_child_whose_endpoint_stays_down_fails(stage: Stage) -> None:
    stage.respond = lambda image: EndpointError("ServiceUnavailable", "on purpose")
    ended = start(stage, MAPS[0], stage.upload(key="batches/yard/1.jpg")).wait()
    assert (ended["status"], ended["error"]) == ("FAILED", "ModelUnavailable")
    assert len(stage.events_to("classify_batch")) == 11


def test_a_child_waits_for_its_share_of_the_concurrency(stage: Stage) -> None:
    stage.fail_invocations("classify_batch", *["TooManyRequestsException"] * 20)
    assert start(stage, MAPS[0], stage.upload(key="batches/yard/1.jpg")).output()["classified"] == 1


def test_all_maps_have_the_same_limits_and_children() -> None:
    states = [DEFINITION["States"][name] for name in MAPS]
    for field in ("ItemBatcher", "MaxConcurrencyPath", "ToleratedFailurePercentagePath", "ResultWriter", "Next"):
        assert len({json.dumps(state[field]) for state in states}) == 1
    tasks = [next(iter(state["ItemProcessor"]["States"].values())) for state in states]
    assert len({json.dumps(task) for task in tasks}) == 1
