"""retrain-model rejects a challenger that is not better, and data or requests that are invalid."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.workflow.lambda_handlers import CONTEXT, ENVIRONMENT, load_handlers
from tests.workflow.retrain_stage import RetrainStage, model, report


def test_a_challenger_that_is_worse_is_rejected(with_champion: RetrainStage) -> None:
    with_champion.accuracy = 0.90
    event = with_champion.assert_champion_stays(with_champion.run(), "WorseThanChampion", failed=False)
    assert "possible loss in accuracy is 0.060, at most 0.020 is allowed" in event["verdict"]
    failed = [row for row in event["checks"] if not row["passed"]]
    assert {"check": "possible loss in accuracy", "limit": 0.02, "direction": "at most"}.items() <= failed[0].items()
    assert with_champion.sagemaker.requests_to("CreateModel") == []
    (package,) = with_champion.sagemaker.requests_to("CreateModelPackage")
    assert package["ModelApprovalStatus"] == "Rejected"


def expiring(stage: RetrainStage) -> set[str]:
    """The keys of the files of models that expire."""
    s3 = stage.stage.aws["s3"]
    keys = [found["Key"] for found in s3.list_objects_v2(Bucket="scones-ml", Prefix="models/").get("Contents", ())]
    tags = {key: s3.get_object_tagging(Bucket="scones-ml", Key=key)["TagSet"] for key in keys}
    return {key for key, found in tags.items() if found == [{"Key": "outcome", "Value": "rejected"}]}


def test_the_files_of_a_rejected_challenger_expire_and_no_others(with_champion: RetrainStage) -> None:
    promoted = with_champion.run().output()["model_version"]
    assert expiring(with_champion) == set()
    with_champion.accuracies[promoted], with_champion.accuracy = 0.97, 0.90
    with_champion.put("models/other/output/model.tar.gz", b"another model")
    output = with_champion.run().output()
    assert output["reason"] == "WorseThanChampion"
    assert expiring(with_champion) == {f"models/{output['model_version']}/output/model.tar.gz"}


def test_a_model_that_was_promoted_does_not_expire_when_an_error_follows(with_champion: RetrainStage) -> None:
    """Promote may have recorded the champion although it failed; then the endpoint is restored and Reject follows."""
    record = load_handlers(["record_retraining"])["record_retraining"]
    context = SimpleNamespace(function_name="record-retraining", **CONTEXT)
    name = "vehicles-test-late"
    with_champion.put(f"models/{name}/output/model.tar.gz", b"a model")
    state = {
        "run": {"name": name},
        "prepared": {"snapshot": None, "image": "i", "champion": None},
        "trained": {"artifact": f"s3://scones-ml/models/{name}/output/model.tar.gz"},
    }
    execution = {"execution": "arn:aws:states:eu-west-1:123456789012:execution:scones-test-retrain-model:late"}
    error = {"Error": "Lambda.Unknown", "Cause": "timed out"}
    lock = {"id": {"S": "lock"}, "execution": {"S": execution["execution"]}}
    with_champion.stage.aws["dynamodb"].put_item(TableName="models", Item=lock)
    record({**execution, "outcome": "promoted", "state": state}, context)
    record({**execution, "outcome": "rejected", "state": {**state, "error": error}}, context)
    assert expiring(with_champion) == set()


def test_a_challenger_that_equals_the_champion_is_rejected(with_champion: RetrainStage) -> None:
    with_champion.accuracy = 0.95
    with_champion.assert_champion_stays(with_champion.run(), "NotBetter", failed=False)


def test_a_challenger_that_loses_recall_of_one_class_is_rejected(with_champion: RetrainStage) -> None:
    recall = {"bicycle": 1.0, "motorcycle": 0.6}
    with_champion.report = lambda name, champion: report(model(name, 0.97, recall=recall), model(champion))
    event = with_champion.assert_champion_stays(with_champion.run(), "BlindToAClass", failed=False)
    assert "motorcycle" in event["verdict"]


def test_a_first_model_below_the_minimum_is_rejected(without_champion: RetrainStage) -> None:
    without_champion.accuracy = 0.5
    output = without_champion.run().output()
    assert output["reason"] == "BelowMinimum"
    assert without_champion.sagemaker.requests_to("CreateEndpoint") == []
    (event,) = without_champion.stage.events("Model Rejected")
    assert event["champion"] is None


def test_force_promotes_a_challenger_that_does_not_pass_the_gate(with_champion: RetrainStage) -> None:
    with_champion.accuracy = 0.90
    output = with_champion.run(force=True).output()
    assert output["outcome"] == "promoted"
    assert output["verdict"].startswith("forced")


def test_a_dry_run_reports_what_would_happen(with_champion: RetrainStage) -> None:
    event = with_champion.assert_champion_stays(with_champion.run(dry_run=True), "DryRun", failed=False)
    assert "would be promoted" in event["verdict"]


def test_data_without_other_photos_is_refused_before_training(with_champion: RetrainStage) -> None:
    with_champion.put_manifest("photos", bicycle=150, motorcycle=150)
    event = with_champion.assert_champion_stays(with_champion.run(), "TrainingDataRefused", failed=False)
    assert "nothing but bicycle, motorcycle" in event["verdict"]
    assert with_champion.sagemaker.requests_to("CreateTrainingJob") == []
    assert with_champion.run(force=True).output()["outcome"] == "promoted"


def test_drawn_pictures_are_refused_as_training_data(with_champion: RetrainStage) -> None:
    with_champion.put_manifest("generated", bicycle=150, motorcycle=150, house=150)
    event = with_champion.assert_champion_stays(with_champion.run(force=True), "TrainingDataRefused", failed=False)
    assert "drawn" in event["verdict"]
    assert with_champion.sagemaker.requests_to("CreateTrainingJob") == []


def test_the_verdict_on_drawn_pictures_does_not_call_the_model_better(
    with_champion: RetrainStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENVIRONMENT, "ALLOW_DRAWN_TRAINING_DATA", "yes")
    with_champion.stage.handlers = {**with_champion.stage.handlers, **load_handlers(["build_dataset"])}
    with_champion.put_manifest("generated", bicycle=150, motorcycle=150, house=150)
    output = with_champion.run().output()
    assert output["outcome"] == "promoted"
    assert "drawn pictures" in output["verdict"]
    assert "better" not in output["verdict"]


@pytest.mark.parametrize(
    ("request_", "value"),
    [({"trigger": "unknown"}, "unknown"), ({"classes": ["tank"]}, "tank"), ({"dataset": "nowhere"}, "nowhere")],
)
def test_an_invalid_request_is_rejected_with_the_invalid_value(
    with_champion: RetrainStage, request_: dict[str, Any], value: str
) -> None:
    event = with_champion.assert_champion_stays(with_champion.run(**request_), "InvalidInput", failed=True)
    assert value in event["verdict"]
