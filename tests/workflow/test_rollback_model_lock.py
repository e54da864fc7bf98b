"""A rollback and a retraining do not run at the same time."""

from typing import Any

from tests.workflow.retrain_stage import DATA
from tests.workflow.rollback_stage import SECOND, THIRD, RollbackStage
from tests.workflow.stage import Execution


def test_while_a_retraining_runs_a_rollback_is_refused(three_models: RollbackStage) -> None:
    retraining: list[Execution] = []

    def start_rollback(api: str, request: dict[str, Any]) -> None:
        if api == "CreateTrainingJob":
            output = three_models.run().output()
            assert (output["outcome"], output["reason"]) == ("refused", "RetrainingRunning")
            assert retraining[0].arn in output["verdict"]
            assert three_models.item("lock")["execution"] == retraining[0].arn
            refused.append(output)

    refused: list[dict[str, Any]] = []
    three_models.sagemaker.on_request = start_rollback
    three_models.sagemaker.failures["CreateTrainingJob"] = ["AlgorithmError: the end of this test"]
    machine = three_models.stage.deploy_retrain()
    retraining.append(three_models.stage.start(machine, DATA))
    retraining[0].wait()
    assert len(refused) == 1
    three_models.assert_serves(THIRD)


def test_while_a_rollback_runs_a_retraining_is_rejected(three_models: RollbackStage) -> None:
    def start_retraining(api: str, request: dict[str, Any]) -> None:
        if api == "UpdateEndpoint":
            outputs.append(three_models.stage.start(three_models.stage.deploy_retrain(), DATA).output())

    outputs: list[dict[str, Any]] = []
    three_models.sagemaker.on_request = start_retraining
    assert three_models.run().output()["champion"] == SECOND
    assert [output["reason"] for output in outputs] == ["RetrainingRunning"]


def test_the_lock_of_a_stopped_execution_is_taken_over(three_models: RollbackStage) -> None:
    stopped = "arn:aws:states:eu-west-1:123456789012:execution:retrain-model:stopped"
    three_models.put_item("lock", execution=stopped, expires_at="2999-01-01T00:00:00.000Z")
    assert three_models.run().output()["outcome"] == "rolled back"
    assert three_models.item("lock") == {}
