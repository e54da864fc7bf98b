"""After an error in retrain-model, the champion is in service and the rejection is published."""

from typing import Any

import pytest

from tests.workflow.retrain_stage import CHAMPION, RetrainStage
from tests.workflow.stage import EndpointError, classification


def test_a_failed_training_job_rejects_the_challenger(with_champion: RetrainStage) -> None:
    with_champion.sagemaker.failures["CreateTrainingJob"] = ["AlgorithmError: out of memory"]
    event = with_champion.assert_champion_stays(with_champion.run(), "TrainingFailed", failed=True)
    assert event["verdict"] == "AlgorithmError: out of memory"
    assert event["model_version"] is None


def test_a_failed_evaluation_job_rejects_the_challenger(with_champion: RetrainStage) -> None:
    with_champion.sagemaker.failures["CreateProcessingJob"] = ["AlgorithmError: no holdout"]
    with_champion.assert_champion_stays(with_champion.run(), "EvaluationFailed", failed=True)


def test_an_evaluation_without_a_report_rejects_the_challenger(with_champion: RetrainStage) -> None:
    with_champion.sagemaker.on_request = lambda api, request: None
    with_champion.assert_champion_stays(with_champion.run(), "EvaluationMissing", failed=True)


@pytest.mark.parametrize("api", ["CreateModel", "CreateEndpointConfig", "UpdateEndpoint"])
def test_a_call_that_keeps_failing_rejects_the_challenger(with_champion: RetrainStage, api: str) -> None:
    with_champion.sagemaker.failures[api] = ["ResourceLimitExceeded"] * 5
    with_champion.assert_champion_stays(with_champion.run(), "SageMaker.AmazonSageMakerException", failed=True)


def test_a_throttled_call_is_retried(with_champion: RetrainStage) -> None:
    with_champion.sagemaker.failures["CreateModel"] = ["Rate exceeded", "Rate exceeded"]
    assert with_champion.run().output()["outcome"] == "promoted"
    assert len(with_champion.stage.retry_delays) == 2


@pytest.mark.parametrize(
    "statuses", [["Updating", "rolled back"], ["Updating", "Failed"], ["Updating", "UpdateRollbackFailed"]]
)
def test_an_update_that_fails_restores_the_champion(with_champion: RetrainStage, statuses: list[str]) -> None:
    with_champion.sagemaker.next_statuses = statuses
    with_champion.assert_champion_stays(with_champion.run(), "EndpointNotInService", failed=True)


def test_a_challenger_is_deployed_with_the_alarms_and_the_champion_without(with_champion: RetrainStage) -> None:
    cloudwatch = with_champion.stage.aws["cloudwatch"]
    for name in ("scones-test-endpoint-errors", "scones-test-failed-executions"):
        cloudwatch.put_metric_alarm(
            AlarmName=name, Namespace="Test", MetricName="m", Statistic="Sum", Period=60, EvaluationPeriods=1,
            Threshold=0, ComparisonOperator="GreaterThanThreshold",
        )  # fmt: skip
    with_champion.stage.respond = lambda image: {**classification(), "model_version": "another-model"}
    with_champion.assert_champion_stays(with_champion.run(), "ProbeFailed", failed=True)
    update, restored = with_champion.sagemaker.requests_to("UpdateEndpoint")
    config = update["DeploymentConfig"]
    alarms = [alarm["AlarmName"] for alarm in config["AutoRollbackConfiguration"]["Alarms"]]
    assert alarms == ["scones-test-endpoint-errors", "scones-test-failed-executions"]
    assert config["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]["Type"] == "CANARY"
    # The alarms may have gone off because of the challenger: they must not keep it in service.
    assert "DeploymentConfig" not in restored


def test_an_update_that_does_not_end_restores_the_champion(with_champion: RetrainStage) -> None:
    def end_update_after_three_attempts(api: str, request: dict[str, Any]) -> None:
        with_champion.evaluate(api, request)
        if api == "UpdateEndpoint":
            updates.append(request["EndpointConfigName"])
        # SageMaker refuses a further update until this one has ended.
        if updates.count(CHAMPION) == 3:
            sagemaker.next_statuses, sagemaker.status, sagemaker.pending_config = [], "InService", None

    updates: list[str] = []
    sagemaker = with_champion.sagemaker
    sagemaker.on_request, sagemaker.next_statuses = end_update_after_three_attempts, ["Updating"] * 100
    with_champion.assert_champion_stays(with_champion.run(), "EndpointNotInService", failed=True)
    assert updates[1:] == [CHAMPION] * 3


def test_wrong_predictions_in_the_probe_restore_the_champion(with_champion: RetrainStage) -> None:
    golden = with_champion.put_golden("golden/abc/motorcycle/one.jpg", b"a motorcycle")
    with_champion.stage.respond = lambda image: {
        **classification("bicycle"),
        "model_version": with_champion.sagemaker.config,
    }
    event = with_champion.assert_champion_stays(with_champion.run(golden=golden), "ProbeFailed", failed=True)
    assert "0 of 1 golden photos" in event["verdict"]


def test_another_model_version_in_the_probe_restores_the_champion(with_champion: RetrainStage) -> None:
    with_champion.stage.respond = lambda image: {**classification(), "model_version": "another-model"}
    with_champion.assert_champion_stays(with_champion.run(), "ProbeFailed", failed=True)


def test_an_endpoint_that_does_not_answer_restores_the_champion(with_champion: RetrainStage) -> None:
    with_champion.stage.respond = lambda image: EndpointError("ModelError", "worker died", 424)
    with_champion.assert_champion_stays(with_champion.run(), "ModelUnavailable", failed=True)


def test_an_alarm_in_the_baking_period_restores_the_champion(with_champion: RetrainStage) -> None:
    def create_alarms(api: str, request: dict[str, Any]) -> None:
        with_champion.evaluate(api, request)
        if api == "UpdateEndpoint" and request["EndpointConfigName"] != CHAMPION:
            alarm = {"Namespace": "x", "MetricName": "y", "Period": 60, "EvaluationPeriods": 1, "Statistic": "Sum"}
            for name in ("scones-test-endpoint-errors", "scones-test-drift"):
                cloudwatch.put_metric_alarm(
                    AlarmName=name, Threshold=1, ComparisonOperator="GreaterThanThreshold", **alarm
                )

    def respond(image: bytes) -> Any:
        images.append(image)
        if len(images) == 2:
            for name in ("scones-test-endpoint-errors", "scones-test-drift"):
                cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="set by the test")
        return with_champion.respond(image)

    images: list[bytes] = []
    cloudwatch = with_champion.stage.aws["cloudwatch"]
    with_champion.sagemaker.on_request, with_champion.stage.respond = create_alarms, respond
    event = with_champion.assert_champion_stays(with_champion.run(), "AlarmAfterPromotion", failed=True)
    assert "endpoint-errors" in event["verdict"]
    assert "drift" not in event["verdict"]


def test_a_first_model_that_fails_leaves_no_endpoint(without_champion: RetrainStage) -> None:
    without_champion.sagemaker.next_statuses = ["Creating", "Failed"]
    ended = without_champion.run().wait()
    assert ended["error"] == "EndpointNotInService"
    assert without_champion.sagemaker.config is None
    assert without_champion.sagemaker.pending_config is None
    without_champion.sagemaker.next_statuses = []
    assert without_champion.run().output()["outcome"] == "promoted"


def test_a_rejection_that_cannot_be_recorded_is_still_published(with_champion: RetrainStage) -> None:
    with_champion.sagemaker.failures["CreateTrainingJob"] = ["AlgorithmError"]
    with_champion.stage.fail_invocations("record_retraining", *["ServiceException"] * 20)
    assert with_champion.run().wait()["status"] == "FAILED"
    (event,) = with_champion.stage.events("Model Rejected")
    assert event["reason"] == "States.TaskFailed"


def test_a_promotion_that_cannot_be_recorded_restores_the_champion(with_champion: RetrainStage) -> None:
    with_champion.stage.fail_invocations("record_retraining", *["ServiceException"] * 7, *["Throttled"] * 3)
    run = with_champion.run()
    with_champion.assert_champion_stays(run, "Lambda.ServiceException", failed=True)
    assert "RestoreEndpoint" in run.states()
