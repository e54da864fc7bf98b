"""rollback-model puts an earlier model into service, or refuses and changes nothing."""

import json
from typing import Any

import pytest

from tests.workflow.rollback_stage import FIRST, SECOND, THIRD, RollbackStage
from tests.workflow.stage import Stage, classification


def test_the_previous_model_serves_again_and_the_champion_is_marked(three_models: RollbackStage) -> None:
    three_models.sagemaker.next_statuses = ["Updating"]
    run = three_models.run(reason="bicycles are routed as motorcycles")
    output = run.output()
    assert (output["outcome"], output["champion"], output["rolled_back"]) == ("rolled back", SECOND, THIRD)
    three_models.assert_serves(SECOND)
    marked = three_models.item(f"promoted/{THIRD}")
    assert marked["rolled_back_at"]
    assert (marked["rolled_back_reason"], marked["rolled_back_by"]) == ("bicycles are routed as motorcycles", run.arn)
    (event,) = three_models.stage.events("Model Rolled Back")
    assert (event["model_version"], event["rolled_back_model_version"]) == (SECOND, THIRD)
    assert (event["reason"], event["trigger"], event["alarm"]) == (marked["rolled_back_reason"], "manual", None)
    assert run.states()[-2:] == ["AnnounceRollback", "ReturnRollback"]


def test_the_registry_rejects_the_model_that_was_rolled_back_and_approves_the_restored_one(
    three_models: RollbackStage,
) -> None:
    package = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/scones-test"
    three_models.sagemaker.packages = {f"{package}/{number}": f"vehicles-test-{number}" for number in (4, 3, 2, 1)}
    three_models.run(reason="bicycles are\nrouted as motorcycles").output()
    updates = three_models.sagemaker.requests_to("UpdateModelPackage")
    assert [(one["ModelPackageArn"], one["ModelApprovalStatus"]) for one in updates] == [
        (f"{package}/3", "Rejected"),
        (f"{package}/2", "Approved"),
    ]
    assert updates[0]["ApprovalDescription"].endswith("bicycles are routed as motorcycles")


def test_a_registry_that_fails_does_not_undo_a_rollback(
    three_models: RollbackStage, capsys: pytest.CaptureFixture[str]
) -> None:
    three_models.sagemaker.failures["ListModelPackages"] = ["ModelPackageGroup scones-test does not exist."]
    assert three_models.run().output()["champion"] == SECOND
    three_models.assert_serves(SECOND)
    assert "ModelRecordsMissing" in capsys.readouterr().out


def test_a_second_rollback_goes_to_the_model_before_and_skips_marked_models(three_models: RollbackStage) -> None:
    assert [three_models.run().output()["champion"] for _ in range(2)] == [SECOND, FIRST]
    three_models.assert_serves(FIRST)
    output = three_models.run().output()
    assert (output["outcome"], output["reason"]) == ("refused", "NoEarlierModel")
    assert "make rollback TO=" in output["verdict"]
    three_models.assert_serves(FIRST)


def test_a_marked_predecessor_is_skipped_and_named(three_models: RollbackStage) -> None:
    three_models.run().output()
    # The next retraining is compared with the second model; the third one stays marked.
    three_models.promote("vehicles-test-4", THIRD)
    output = three_models.run().output()
    assert output["champion"] == SECOND
    assert "was rolled back at" in output["skipped"][THIRD]


def test_a_predecessor_that_was_deleted_from_sagemaker_is_skipped(three_models: RollbackStage) -> None:
    three_models.sagemaker.failures["DescribeEndpointConfig"] = [f'Could not find endpoint configuration "{SECOND}".']
    output = three_models.run().output()
    assert (output["champion"], output["skipped"]) == (FIRST, {SECOND: "is no longer in SageMaker"})


def test_a_named_model_serves_again_and_its_mark_is_removed(three_models: RollbackStage) -> None:
    three_models.run().output()
    output = three_models.run(to=THIRD).output()
    assert (output["champion"], output["rolled_back"], output["mark_removed"]) == (THIRD, SECOND, True)
    three_models.assert_serves(THIRD)
    assert three_models.item(f"promoted/{THIRD}").get("rolled_back_at") is None
    assert three_models.item(f"promoted/{SECOND}")["rolled_back_at"]
    # The second model is marked now, so the predecessor of the third is the first.
    assert three_models.run().output()["champion"] == FIRST


def test_an_earlier_model_is_probed_with_its_own_version_and_golden_photos(three_models: RollbackStage) -> None:
    for number in range(30):
        three_models.put(f"golden/second/bicycle/{number:02}.jpg", b"a bicycle")
        three_models.put(f"golden/second/motorcycle/{number:02}.jpg", b"a motorcycle")
        three_models.put(f"golden/third/bicycle/{number:02}.jpg", b"a motorcycle")
    three_models.promote(SECOND, FIRST, golden="s3://scones-ml/golden/second/")
    three_models.promote(THIRD, SECOND, golden="s3://scones-ml/golden/third/")
    images = []

    def respond(image: bytes) -> dict[str, Any]:
        images.append(image)
        return {**classification(image.decode().removeprefix("a ")), "model_version": three_models.sagemaker.config}

    three_models.stage.respond = respond
    assert three_models.run().output()["champion"] == SECOND
    (probe,) = three_models.stage.events_to("probe_endpoint")
    assert (probe["run"], probe["golden"]) == ({"name": SECOND}, "s3://scones-ml/golden/second/")
    assert (images.count(b"a bicycle"), images.count(b"a motorcycle"), len(images)) == (10, 10, 20)


def test_an_initial_model_is_probed_with_its_own_golden_photos(three_models: RollbackStage) -> None:
    three_models.put("initial/abc/golden/motorcycle/one.jpg", b"a motorcycle")
    three_models.promote(SECOND, FIRST, origin="initial", golden="s3://scones-ml/initial/abc/golden/")
    three_models.promote(THIRD, SECOND)
    assert "0 of 1 golden photos" in three_models.assert_restored(three_models.run(), "ProbeFailed")


@pytest.mark.parametrize(("to", "reason"), [("vehicles-test-never", "UnknownModel"), (THIRD, "AlreadyChampion")])
def test_a_model_that_cannot_be_restored_is_refused_by_name(three_models: RollbackStage, to: str, reason: str) -> None:
    if reason == "UnknownModel":
        three_models.sagemaker.failures["DescribeEndpointConfig"] = ["Could not find endpoint configuration."]
    output = three_models.run(to=to).output()
    assert (output["outcome"], output["reason"]) == ("refused", reason)
    assert to in output["verdict"]
    three_models.assert_nothing_changed()


def test_a_stage_without_a_champion_refuses_a_rollback(stage: Stage) -> None:
    output = stage.start(stage.deploy_rollback(), {}).output()
    assert (output["outcome"], output["reason"]) == ("refused", "NoChampion")


@pytest.mark.parametrize(
    "request_", [{"trigger": "unknown"}, {"to": 3}, {"trigger": "alarm"}, {"trigger": "alarm", "to": FIRST}]
)
def test_an_invalid_request_fails_and_changes_nothing(three_models: RollbackStage, request_: dict[str, Any]) -> None:
    ended = three_models.run(**request_).wait()
    assert (ended["status"], ended["error"]) == ("FAILED", "InvalidInput")
    assert "The rollback did not begin" in ended["cause"]
    three_models.assert_nothing_changed()


def test_a_missing_endpoint_is_created(three_models: RollbackStage) -> None:
    three_models.sagemaker.config = None
    run = three_models.run()
    assert run.output()["champion"] == SECOND
    assert "CreateEndpoint" in run.states()
    three_models.assert_serves(SECOND)


def test_a_failed_endpoint_is_replaced(three_models: RollbackStage) -> None:
    three_models.sagemaker.status = "Failed"
    run = three_models.run()
    assert run.output()["champion"] == SECOND
    assert "DeleteOldEndpoint" in run.states()
    three_models.assert_serves(SECOND)


def test_every_outcome_has_the_same_output_fields(three_models: RollbackStage) -> None:
    three_models.promote(THIRD, SECOND, hours_ago=25)
    outputs = [three_models.run_on_alarm().output(), three_models.run(to=THIRD).output(), three_models.run().output()]
    assert [output["outcome"] for output in outputs] == ["ignored", "refused", "rolled back"]
    common = {"outcome", "champion", "reason", "verdict", "trigger", "alarm", "execution"}
    assert all(common <= set(output) for output in outputs)
    assert json.dumps(outputs)
