"""retrain-model compares each challenger with the reference model, too, and promotions replace it only upward."""

from typing import Any

from tests.workflow.retrain_stage import CHAMPION, RetrainStage, model, report


def evaluations(stage: RetrainStage) -> list[tuple[dict[str, str], dict[str, str]]]:
    """The inputs and the options of each evaluation job."""
    found = []
    for job in stage.sagemaker.requests_to("CreateProcessingJob"):
        program, *arguments = job["AppSpecification"]["ContainerArguments"]
        assert program == "compare"
        inputs = {item["InputName"]: item["S3Input"]["S3Uri"] for item in job["ProcessingInputs"]}
        found.append((inputs, dict(zip(arguments[::2], arguments[1::2], strict=True))))
    return found


def reference(stage: RetrainStage) -> dict[str, Any]:
    return {name: value["S"] for name, value in (stage.item("reference") or {}).items()}


def artifact(name: str) -> str:
    return f"s3://scones-ml/models/{name}/output/model.tar.gz"


def offer(stage: RetrainStage, accuracy: float, **more: Any) -> dict[str, Any]:
    """Retrain; the challenger has this accuracy, and is better on the labelled photos."""
    labels = {"photos": 100, "challenger_accuracy": 0.9, "champion_accuracy": 0.8, "difference": None}

    def written(name: str, champion: str) -> dict[str, Any]:
        stage.accuracies[name] = accuracy
        return report(model(name, accuracy), model(champion, stage.accuracies[champion]), labelled=labels)

    stage.report = written
    output: dict[str, Any] = stage.run(**more).output()
    return output


def test_small_losses_of_several_promotions_do_not_add_up(with_champion: RetrainStage) -> None:
    with_champion.accuracies[CHAMPION] = accuracy = 0.95
    reasons = []
    for _ in range(3):
        output = offer(with_champion, accuracy - 0.009)
        reasons.append(output["reason"])
        if output["outcome"] == "promoted":
            accuracy -= 0.009
    assert reasons == [None, "WorseThanReference", "WorseThanReference"]
    champion = with_champion.item("champion")["model_version"]["S"]
    assert with_champion.accuracies[champion] >= 0.95 - 0.02
    (first, options), (inputs, compared), _ = evaluations(with_champion)
    assert (first["reference"], options["--reference-version"]) == (artifact(CHAMPION), CHAMPION)
    assert (inputs["champion"], compared["--champion-version"]) == (artifact(champion), champion)
    assert (inputs["reference"], compared["--reference-version"]) == (artifact(CHAMPION), CHAMPION)
    assert reference(with_champion)["reason"] == "the first champion"


def test_a_first_model_becomes_the_reference(without_champion: RetrainStage) -> None:
    output = without_champion.run().output()
    name = output["model_version"]
    assert output["new_reference"] == name
    recorded = reference(without_champion)
    assert (recorded["model_version"], recorded["artifact"]) == (name, artifact(name))
    ((inputs, options),) = evaluations(without_champion)
    assert (inputs["reference"], options["--reference-version"]) == (artifact(name), "none")


def test_a_challenger_that_is_more_accurate_replaces_the_reference(with_champion: RetrainStage) -> None:
    output = with_champion.run().output()
    assert output["new_reference"] == output["model_version"] == reference(with_champion)["model_version"]
    assert "replaces the less accurate reference model" in output["verdict"]


def test_a_dry_run_and_a_rejection_record_no_reference(with_champion: RetrainStage) -> None:
    with_champion.run(dry_run=True).output()
    with_champion.accuracy = 0.90
    with_champion.run().output()
    assert reference(with_champion) == {}


def test_a_reference_without_an_artifact_ends_the_retraining_before_training(with_champion: RetrainStage) -> None:
    lost = {"model_version": "v0", "artifact": "s3://scones-ml/models/v0/output/model.tar.gz"}
    item = {"id": "reference", **lost, "since": "2026-11-26T10:00:00.000Z", "reason": "the first champion"}
    with_champion.stage.aws["dynamodb"].put_item(
        TableName="models", Item={name: {"S": value} for name, value in item.items()}
    )
    event = with_champion.assert_champion_stays(with_champion.run(), "ReferenceMissing", failed=True)
    assert lost["artifact"] in event["verdict"]
    assert "make reference MODEL=champion" in event["verdict"]
    assert with_champion.sagemaker.requests_to("CreateTrainingJob") == []


def test_a_report_of_older_code_without_the_reference_is_refused(with_champion: RetrainStage) -> None:
    with_champion.report = lambda name, champion: report(model(name, 0.97), model(champion), reference=None)
    event = with_champion.assert_champion_stays(with_champion.run(), "InvalidDocument", failed=True)
    assert "reference" in event["verdict"]
