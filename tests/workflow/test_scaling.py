"""The endpoint is scaled whenever it is in service, and not while it is updated."""

import json

import pytest

import workflows
from operate import cost_paths
from tests.workflow.retrain_stage import CHAMPION, RetrainStage
from tests.workflow.rollback_stage import SECOND, THIRD, RollbackStage

REFUSED = "ApplicationAutoScaling.LimitExceededException"


def test_the_first_endpoint_is_scaled(without_champion: RetrainStage) -> None:
    assert without_champion.run().output()["outcome"] == "promoted"
    assert without_champion.stage.scaling.is_scaled()
    (config,) = without_champion.sagemaker.requests_to("CreateEndpointConfig")
    assert config["ProductionVariants"][0]["InitialInstanceCount"] == 1


def test_a_new_model_is_scaled_and_keeps_the_number_of_instances(with_champion: RetrainStage) -> None:
    assert with_champion.run().output()["outcome"] == "promoted"
    assert with_champion.stage.scaling.is_scaled()
    (update,) = with_champion.sagemaker.requests_to("UpdateEndpoint")
    assert update["RetainAllVariantProperties"] is True


def test_an_update_that_is_refused_leaves_the_champion_scaled(with_champion: RetrainStage) -> None:
    with_champion.sagemaker.failures["UpdateEndpoint"] = ["ResourceLimitExceeded"] * 5
    run = with_champion.run()
    with_champion.assert_champion_stays(run, "SageMaker.AmazonSageMakerException", failed=True)
    assert "EnsureScaling" in run.states()


@pytest.mark.parametrize("api", ["RegisterScalableTarget", "PutScalingPolicy"])
def test_a_model_that_cannot_be_scaled_is_not_promoted(with_champion: RetrainStage, api: str) -> None:
    with_champion.stage.scaling.failures[api] = ["LimitExceededException"]
    with_champion.assert_champion_stays(with_champion.run(), REFUSED, failed=True)


def test_a_first_model_that_cannot_be_scaled_leaves_no_endpoint(without_champion: RetrainStage) -> None:
    without_champion.stage.scaling.failures["PutScalingPolicy"] = ["LimitExceededException"]
    assert without_champion.run().wait()["error"] == REFUSED
    assert without_champion.sagemaker.config is None
    assert without_champion.stage.scaling.limits is None


def test_a_champion_that_cannot_be_scaled_is_still_restored(with_champion: RetrainStage) -> None:
    """The first error is the reason, and the lock is free."""
    with_champion.stage.scaling.failures["RegisterScalableTarget"] = ["LimitExceededException"] * 2
    assert with_champion.run().wait()["error"] == REFUSED
    with_champion.sagemaker.finish_update()
    assert with_champion.sagemaker.config == CHAMPION
    assert with_champion.lock is None


def test_a_target_that_is_not_found_at_once_is_tried_again(with_champion: RetrainStage) -> None:
    with_champion.stage.scaling.failures["PutScalingPolicy"] = ["ObjectNotFoundException"] * 2
    assert with_champion.run().output()["outcome"] == "promoted"


def test_a_retraining_with_nothing_new_scales_an_endpoint_that_is_not(with_champion: RetrainStage) -> None:
    """An execution that was stopped between two of its states leaves such an endpoint."""
    with_champion.put_manifest("photos", bicycle=50, motorcycle=50, other=50)
    with_champion.stage.scaling.limits = None
    run = with_champion.run(trigger="schedule")
    ended = run.wait()
    definition = json.loads(workflows.asl_path("retrain-model").read_text(encoding="utf-8"))
    assert tuple(run.states()) == cost_paths.nothing_new(definition).states
    assert json.loads(ended["output"])["reason"] == "NothingNew"
    assert with_champion.stage.scaling.is_scaled()


def test_the_champion_is_put_back_into_service_with_another_instance_type(with_champion: RetrainStage) -> None:
    """BuildDataset does that after an execution that was stopped; the fake refuses updates of a scalable target."""
    with_champion.sagemaker.config = "vehicles-test-stopped"
    assert with_champion.run(dry_run=True).output()["outcome"] == "rejected"
    assert with_champion.sagemaker.requests_to("UpdateEndpoint")[0]["EndpointConfigName"] == CHAMPION


def test_a_restored_model_is_scaled(three_models: RollbackStage) -> None:
    assert three_models.run().output()["champion"] == SECOND
    three_models.assert_serves(SECOND)


def test_a_rollback_that_cannot_scale_restores_the_champion(three_models: RollbackStage) -> None:
    three_models.stage.scaling.failures["RegisterScalableTarget"] = ["LimitExceededException"]
    three_models.assert_restored(three_models.run(), REFUSED)
    three_models.assert_serves(THIRD)
