"""A canary fails while photos are uploaded: SageMaker withdraws it, and every photo has one outcome."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.retraining_stage import RetrainingStage, client
from tests.support.training_code import server_that_fails_after
from tests.support.upload_stage import wait_for_execution
from tests.support.waiting import eventually
from tests.system.photo_stream import executions, outcomes, photos_arriving, wait_for_no_alarm


def pending_status(stage: RetrainingStage) -> list[str]:
    """The status of the variants that an update puts into service; empty without an update."""
    found = client("sagemaker").describe_endpoint(EndpointName=stage.deployed.endpoint_name)
    variants = found.get("PendingDeploymentSummary", {}).get("ProductionVariants", ())
    return [status["Status"] for variant in variants for status in variant["VariantStatus"]]


@contextmanager
def canary_deployments(stage: RetrainingStage) -> Iterator[None]:
    """Run the endpoint with two instances during the block, and give a new model half of the traffic for a minute."""
    name = f"{stage.deployed.app_name}-build-dataset"
    lambdas, scaling = client("lambda"), client("application-autoscaling")
    before = lambdas.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    canary = {"ENDPOINT_MIN_INSTANCES": "2", "ROLLOUT_SECONDS": "60"}
    target = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{stage.deployed.endpoint_name}/variant/AllTraffic",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    scaling.register_scalable_target(**target, MinCapacity=2, MaxCapacity=2)
    lambdas.update_function_configuration(FunctionName=name, Environment={"Variables": {**before, **canary}})
    try:
        yield
    finally:
        lambdas.update_function_configuration(FunctionName=name, Environment={"Variables": before})
        scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=2)


def test_a_canary_that_fails_is_withdrawn_and_no_photo_is_lost(
    retraining_stage: RetrainingStage, tmp_path: Path
) -> None:
    wait_for_no_alarm(retraining_stage)
    sign = tmp_path / "fail"
    failing = retraining_stage.files_without_comparison() | server_that_fails_after(sign)
    champion = retraining_stage.champion.model_version
    image = retraining_stage.publish_image(failing)
    known = executions(retraining_stage)
    with canary_deployments(retraining_stage):
        retraining = retraining_stage.start(image=image, force=True)
        eventually(lambda: pending_status(retraining_stage) == ["Baking"], what="the canary", timeout_s=180)
        with photos_arriving(retraining_stage) as arriving:
            sign.touch()
            ended = retraining_stage.wait_for_execution(retraining)
    assert (ended["status"], ended["error"]) == ("FAILED", "EndpointNotInService")
    # SageMaker returned to the champion by itself: the workflow had nothing to restore.
    assert "RestoreEndpoint" not in retraining_stage.entered_states(retraining)
    assert "alarms were in ALARM" in retraining_stage.failure_reason()
    assert retraining_stage.champion.model_version == champion
    assert retraining_stage.serves_champion()
    # An alarm that starts a rollback is not about the champion.
    for rollback in executions(retraining_stage) - known:
        assert json.loads(wait_for_execution(rollback)["output"])["outcome"] == "ignored"

    photos = [future.result() for future in arriving]
    records = outcomes(retraining_stage, photos)
    decided = [dict(record.outcome or {}) for record in records.values()]
    people = sum(one["decided_by"] == "reviewer" for one in decided)
    assert {one["model_version"] for one in decided if one["decided_by"] == "model"} == {champion}
    assert len(decided) == len({photo.photo_id for photo in photos}) == len(photos)
    print(f"{len(photos)} photos, {people} of them to a reviewer")
