"""retrain-model trains, evaluates and promotes a challenger."""

import json
from typing import Any

from tests.workflow.retrain_stage import CHAMPION, DATA, RetrainStage, model, report
from tests.workflow.stage import classification


def test_the_first_model_that_is_good_enough_creates_the_endpoint(without_champion: RetrainStage) -> None:
    without_champion.sagemaker.next_statuses = ["Creating", "Creating"]
    run = without_champion.run()
    output = run.output()
    name = output["model_version"]
    assert output["outcome"] == "promoted"
    assert without_champion.sagemaker.config == name
    assert without_champion.item("champion")["model_version"]["S"] == name
    assert without_champion.lock is None
    assert without_champion.stage.waits == [5, 5, 5, 30]
    (event,) = without_champion.stage.events("Model Promoted")
    assert (event["model_version"], event["previous_model_version"]) == (name, None)
    assert "first model" in event["verdict"]
    (package,) = without_champion.sagemaker.requests_to("CreateModelPackage")
    assert package["ModelApprovalStatus"] == "Approved"


def test_a_better_challenger_becomes_champion(with_champion: RetrainStage) -> None:
    with_champion.sagemaker.next_statuses = ["Updating"]
    run = with_champion.run()
    output = run.output()
    assert output["outcome"] == "promoted"
    assert output["previous_model_version"] == CHAMPION
    assert (output["challenger"]["accuracy"], output["compared_with"]["accuracy"]) == (0.97, 0.95)
    assert with_champion.sagemaker.config == output["model_version"]
    assert with_champion.sagemaker.requests_to("CreateEndpoint") == []
    assert run.states()[-2:] == ["AnnouncePromotion", "ReturnPromotion"]


def test_jobs_model_and_endpoint_configuration_share_one_valid_name(without_champion: RetrainStage) -> None:
    without_champion.run().output()
    sagemaker = without_champion.sagemaker
    names = {
        sagemaker.requests_to("CreateTrainingJob")[0]["TrainingJobName"],
        sagemaker.requests_to("CreateProcessingJob")[0]["ProcessingJobName"].removesuffix("-eval"),
        sagemaker.requests_to("CreateModel")[0]["ModelName"],
        sagemaker.requests_to("CreateEndpointConfig")[0]["EndpointConfigName"],
        sagemaker.requests_to("CreateEndpointConfig")[0]["ProductionVariants"][0]["ModelName"],
    }
    assert len(names) == 1
    assert len(names.pop() + "-eval") <= 63


def test_the_training_job_gets_data_and_labels(without_champion: RetrainStage) -> None:
    without_champion.run(classes=["bicycle"]).output()
    (job,) = without_champion.sagemaker.requests_to("CreateTrainingJob")
    assert job["HyperParameters"] == {
        "seed": "3",
        "classes": "bicycle",
    }
    channels = {c["ChannelName"]: c["DataSource"]["S3DataSource"]["S3Uri"] for c in job["InputDataConfig"]}
    assert channels["training"] == DATA["dataset"]
    assert channels["snapshot"].startswith("s3://scones-ml/datasets/snapshots/")
    assert channels["labelled"] == "s3://scones-ml/datasets/photos/"
    assert channels["features"] == "s3://scones-ml/datasets/features/"
    # A channel without objects fails the job.
    for uri in (channels["snapshot"], channels["labelled"], channels["features"]):
        listed = without_champion.stage.aws["s3"].list_objects_v2(
            Bucket="scones-ml", Prefix=uri.removeprefix("s3://scones-ml/")
        )
        assert listed["KeyCount"] > 0


def test_the_training_job_gets_the_features_of_the_champions_job(with_champion: RetrainStage) -> None:
    key = f"models/{CHAMPION}/output/output.tar.gz"
    with_champion.put(key, b"features")
    # In the second retraining, the champion is the model of the first job, which left no features.
    with_champion.report = lambda name, champion: report(model(name, 0.99), model(champion, 0.97))
    for _ in range(2):
        assert with_champion.run().output()["outcome"] == "promoted"
    read = [
        {channel["ChannelName"]: channel["DataSource"]["S3DataSource"]["S3Uri"] for channel in job["InputDataConfig"]}
        for job in with_champion.sagemaker.requests_to("CreateTrainingJob")
    ]
    assert [channels["features"] for channels in read] == [
        f"s3://scones-ml/{key}",
        "s3://scones-ml/datasets/features/",
    ]


def test_the_evaluation_job_gets_both_models_and_the_same_data(with_champion: RetrainStage) -> None:
    with_champion.run().output()
    (job,) = with_champion.sagemaker.requests_to("CreateProcessingJob")
    inputs = {i["InputName"]: i["S3Input"]["S3Uri"] for i in job["ProcessingInputs"]}
    assert inputs["champion"] == f"s3://scones-ml/models/{CHAMPION}/output/model.tar.gz"
    assert inputs["challenger"].endswith("/output/model.tar.gz")
    assert inputs["base"] == DATA["dataset"]
    # A limit of the API that botocore does not check.
    assert max(map(len, job["AppSpecification"]["ContainerArguments"])) <= 256


def test_one_image_trains_compares_and_serves_without_a_network(without_champion: RetrainStage) -> None:
    without_champion.run().output()
    sagemaker = without_champion.sagemaker
    (training,) = sagemaker.requests_to("CreateTrainingJob")
    (comparison,) = sagemaker.requests_to("CreateProcessingJob")
    (served,) = sagemaker.requests_to("CreateModel")
    (package,) = sagemaker.requests_to("CreateModelPackage")
    assert {
        training["AlgorithmSpecification"]["TrainingImage"],
        comparison["AppSpecification"]["ImageUri"],
        served["PrimaryContainer"]["Image"],
        package["InferenceSpecification"]["Containers"][0]["Image"],
    } == {DATA["image"]}
    isolated = (training, comparison["NetworkConfig"], served)
    assert [request["EnableNetworkIsolation"] for request in isolated] == [True, True, True]


def test_an_image_of_another_repository_is_refused(without_champion: RetrainStage) -> None:
    ended = without_champion.run(image="123456789012.dkr.ecr.eu-west-1.amazonaws.com/scones-test2:1").wait()
    assert ended["error"] == "InvalidInput"
    assert not without_champion.sagemaker.requests_to("CreateTrainingJob")


def test_the_endpoint_keeps_no_copy_of_the_photos_that_it_classifies(without_champion: RetrainStage) -> None:
    without_champion.run().output()
    (config,) = without_champion.sagemaker.requests_to("CreateEndpointConfig")
    assert "DataCaptureConfig" not in config


def test_only_a_promotion_records_the_input_of_automatic_retrainings(with_champion: RetrainStage) -> None:
    recorded = {**DATA, "classes": [], "golden": None}
    other = {"dataset": "s3://scones-ml/datasets/base/other/"}
    with_champion.run(**other, dry_run=True).output()
    with_champion.accuracy = 0.90
    with_champion.run(**other).output()
    with_champion.accuracy = 0.97
    with_champion.sagemaker.failures["UpdateEndpoint"] = ["ResourceLimitExceeded"] * 5
    with_champion.run(**other).wait()
    assert with_champion.training_input is None
    del with_champion.sagemaker.failures["UpdateEndpoint"]
    assert with_champion.run().output()["outcome"] == "promoted"
    assert with_champion.training_input == recorded
    photos = [with_champion.put_label(f"photo-{number}", "bicycle") for number in range(5)]
    with_champion.report = lambda name, champion: report(model(name, 0.99), model(champion, 0.97))
    output = with_champion.run_with_input({"trigger": "labels"}).output()
    assert (output["outcome"], output["new_labels"]) == ("promoted", len(photos))


def test_an_empty_input_uses_the_recorded_input(without_champion: RetrainStage) -> None:
    without_champion.put("training/current.json", json.dumps(DATA).encode())
    assert without_champion.run_with_input({}).output()["outcome"] == "promoted"


def test_a_model_is_not_probed_with_the_golden_photos_of_other_data(without_champion: RetrainStage) -> None:
    """Data with swapped class folders was published first, with golden photos under its own prefix."""
    without_champion.put_golden("golden/swapped/bicycle/one.jpg", b"a motorcycle")
    without_champion.put_golden("golden/bicycle/of-an-earlier-version.jpg", b"a motorcycle")
    images = []

    def respond(image: bytes) -> Any:
        images.append(image)
        vehicle = "bicycle" if b"bicycle" in image else "motorcycle"
        return {**classification(vehicle), "model_version": without_champion.sagemaker.config}

    without_champion.stage.respond = respond
    golden = without_champion.put_golden("golden/right/bicycle/one.jpg", b"a bicycle")
    assert without_champion.run(golden=golden).output()["outcome"] == "promoted"
    assert set(images) == {b"a bicycle"}


def test_a_failed_endpoint_is_replaced(without_champion: RetrainStage) -> None:
    without_champion.sagemaker.config, without_champion.sagemaker.status = "vehicles-test-broken", "Failed"
    run = without_champion.run()
    assert run.output()["outcome"] == "promoted"
    assert "DeleteOldEndpoint" in run.states()


def test_a_champion_without_a_record_is_found_through_its_endpoint(without_champion: RetrainStage) -> None:
    without_champion.sagemaker.config = CHAMPION
    assert without_champion.run().output()["previous_model_version"] == CHAMPION
