"""`make cost` reads the deployed definition and settings, and the durations in the logs of the functions."""

from operate import cost_model, cost_paths, cost_stage
from tests.support.upload_stage import UploadStage
from tests.support.waiting import eventually


def test_the_cost_is_that_of_the_deployed_stage(upload_stage: UploadStage) -> None:
    upload_stage.upload(upload_stage.photo_of("bicycle"))
    invented = dict.fromkeys(cost_stage.FUNCTIONS, 1e9)
    checkout = cost_stage.of_checkout(invented)

    def measured() -> tuple[cost_model.Stage, dict[str, int]]:
        return cost_stage.of_deployed(upload_stage.deployed, checkout)

    stage, counts = eventually(measured, lambda found: found[1]["classify-photo"] > 0)
    assert 0 < stage.lambda_ms["classify-photo"] < 30_000
    unused = [name for name, count in counts.items() if not count]
    assert {stage.lambda_ms[name] for name in unused} <= {1e9}
    assert "function:scones-" in str(stage.definition)
    assert cost_paths.paths(stage.definition) == cost_paths.paths(checkout.definition)
    assert (stage.instance_type, stage.min_instances, stage.target_per_minute) == ("ml.m5.large", 1, 1000)
