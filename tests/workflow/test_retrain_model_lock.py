"""One retraining runs at a time."""

import json
from typing import Any

from tests.workflow.retrain_stage import CHAMPION, RetrainStage
from tests.workflow.stage import Execution


def test_a_second_retraining_is_rejected_while_the_first_runs(with_champion: RetrainStage) -> None:
    runs: list[Execution] = []

    def start_another(api: str, request: dict[str, Any]) -> None:
        with_champion.evaluate(api, request)
        if api == "CreateTrainingJob" and not runs:
            runs.append(with_champion.run())
            assert json.loads(runs[0].wait()["output"])["reason"] == "RetrainingRunning"
            assert with_champion.lock

    with_champion.sagemaker.on_request = start_another
    first = with_champion.run()
    assert first.output()["outcome"] == "promoted"
    (event,) = with_champion.stage.events("Model Rejected")
    assert (event["execution"], event["champion"]) == (runs[0].arn, CHAMPION)
    assert len(with_champion.sagemaker.requests_to("CreateTrainingJob")) == 1


def test_the_lock_of_a_stopped_retraining_is_taken_over(with_champion: RetrainStage) -> None:
    """The execution was stopped after it changed the endpoint: the next one restores the champion first."""
    stopped = "arn:aws:states:eu-west-1:123456789012:execution:retrain-model:stopped"
    lock = {"id": {"S": "lock"}, "execution": {"S": stopped}, "expires_at": {"S": "2999-01-01T00:00:00.000Z"}}
    with_champion.stage.aws["dynamodb"].put_item(TableName="models", Item=lock)
    with_champion.sagemaker.config = "vehicles-test-never-promoted"
    with_champion.accuracy = 0.90
    with_champion.assert_champion_stays(with_champion.run(), "WorseThanChampion", failed=False)
