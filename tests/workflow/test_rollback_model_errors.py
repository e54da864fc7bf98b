"""After an error in rollback-model, the champion is in service and nothing is marked."""

import pytest

from tests.workflow.rollback_stage import FIRST, SECOND, THIRD, RollbackStage
from tests.workflow.stage import EndpointError


@pytest.mark.parametrize(
    "statuses", [["Updating", "rolled back"], ["Updating", "Failed"], ["Updating", "UpdateRollbackFailed"]]
)
def test_an_update_that_fails_keeps_the_champion(three_models: RollbackStage, statuses: list[str]) -> None:
    three_models.sagemaker.next_statuses = statuses
    cause = three_models.assert_restored(three_models.run(), "EndpointNotInService")
    assert f"{THIRD} is in service again and stays champion" in cause


def test_wrong_predictions_in_the_probe_restore_the_champion(three_models: RollbackStage) -> None:
    three_models.put("golden/second/motorcycle/one.jpg", b"a motorcycle")
    three_models.promote(SECOND, FIRST, golden="s3://scones-ml/golden/second/")
    three_models.promote(THIRD, SECOND)
    run = three_models.run()
    cause = three_models.assert_restored(run, "ProbeFailed")
    assert "0 of 1 golden photos" in cause
    assert "RestoreEndpoint" in run.states()


def test_an_earlier_model_that_does_not_answer_is_replaced_by_the_champion(three_models: RollbackStage) -> None:
    three_models.stage.respond = lambda image: EndpointError("ModelError", "worker died", 424)
    three_models.assert_restored(three_models.run(), "ModelUnavailable")


def test_an_update_that_keeps_failing_changes_nothing(three_models: RollbackStage) -> None:
    three_models.sagemaker.failures["UpdateEndpoint"] = ["ResourceLimitExceeded"] * 30
    cause = three_models.assert_restored(three_models.run(), "SageMaker.AmazonSageMakerException")
    assert "The endpoint was not changed" in cause


def test_the_champion_gets_a_new_endpoint_when_the_earlier_model_cannot_be_created(three_models: RollbackStage) -> None:
    """The failed endpoint is deleted, and SageMaker refuses to create one with the earlier model."""
    three_models.sagemaker.status = "Failed"
    three_models.sagemaker.failures["CreateEndpoint"] = ["ResourceLimitExceeded"] * 21
    run = three_models.run()
    three_models.assert_restored(run, "SageMaker.AmazonSageMakerException")
    assert "RecreateEndpoint" in run.states()


def test_a_rollback_that_cannot_be_recorded_restores_the_champion(three_models: RollbackStage) -> None:
    three_models.stage.fail_invocations("record_rollback", *["ServiceException"] * 7, *["Throttled"] * 3)
    three_models.assert_restored(three_models.run(), "Lambda.ServiceException")


def test_a_failure_that_cannot_be_recorded_still_fails_with_its_error(three_models: RollbackStage) -> None:
    three_models.stage.respond = lambda image: EndpointError("ModelError", "worker died", 424)
    three_models.stage.fail_invocations("record_rollback", *["ServiceException"] * 20)
    ended = three_models.run().wait()
    assert (ended["status"], ended["error"]) == ("FAILED", "ModelUnavailable")
    three_models.sagemaker.finish_update()
    assert three_models.sagemaker.config == THIRD
