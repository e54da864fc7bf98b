"""retrain-model: what is better goes live, everything else leaves the champion serving, and somebody is told."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.workflow import harness
from tests.workflow.harness import EndpointError, Execution, Stage, confident

DATA: dict[str, Any] = {
    "dataset": "s3://scones-ml/datasets/base/abc/",
    "source": "s3://scones-ml/source/abc/sourcedir.tar.gz",
    "hyperparameters": {"seed": "3"},
}
CHAMPION = "vehicles-test-before"


def model(version: str, accuracy: float = 0.95, **other: Any) -> dict[str, Any]:
    figures = {"accuracy": accuracy, "ece": 0.02, "auroc": 0.97, "coverage": 0.9, "latency_ms": 5.0, "size_mb": 3.0}
    recall = {"bicycle": accuracy, "motorcycle": accuracy}
    return {"model_version": version, "threshold": 0.9, "recall": recall, **figures, **other}


def report(challenger: dict[str, Any], champion: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    """An evaluation whose bootstrap intervals are a hundredth wide on each side."""
    differences = {
        figure: {"mean": gap, "low": gap - 0.01, "high": gap + 0.01}
        for figure in ("accuracy", "ece", "auroc")
        if champion
        for gap in [challenger[figure] - champion[figure]]
    }
    return {
        "challenger": challenger,
        "champion": champion,
        "holdout": {"photos": 500, "others": 200, "differences": differences},
        "labelled": None,
        **more,
    }


class Laboratory:
    """A stage in which jobs leave reports behind and the endpoint answers as whatever model it serves."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.accuracy = 0.97
        self.report: Callable[[str, str], dict[str, Any]] = self._report
        stage.sagemaker.before = self.work
        stage.model = self.answer

    def _report(self, challenger: str, champion: str) -> dict[str, Any]:
        return report(model(challenger, self.accuracy), model(champion) if champion != "none" else None)

    def work(self, api: str, request: dict[str, Any]) -> None:
        """What the processing job does."""
        if api != "CreateProcessingJob":
            return
        arguments = request["AppSpecification"]["ContainerArguments"]
        options = dict(zip(arguments[::2], arguments[1::2], strict=True))
        written = self.report(options["--challenger-version"], options["--champion-version"])
        (output,) = request["ProcessingOutputConfig"]["Outputs"]
        key = output["S3Output"]["S3Uri"].removeprefix("s3://scones-ml/") + "/evaluation.json"
        self.stage.aws["s3"].put_object(Bucket="scones-ml", Key=key, Body=json.dumps(written).encode())

    def answer(self, image: bytes) -> dict[str, Any] | EndpointError:
        """What the endpoint says."""
        return {**confident(), "model_version": self.stage.sagemaker.serving or "nobody"}

    def run(self, **request: Any) -> Execution:
        """A retraining."""
        return self.stage.start(self.stage.deploy_retrain(), {**DATA, **request})

    def label(self, name: str, vehicle: str, at: str = "2026-11-20T10:00:00.000Z") -> dict[str, Any]:
        """A photo and a reviewer's answer about it."""
        photo = self.stage.upload(name.encode(), f"uploads/driver/{name}.jpg")
        photo["photo_id"] = photo_id(photo)
        body = {"photo": photo, "vehicle": vehicle, "reviewer": "ann", "answered_at": at}
        key = f"labels/{at[:10].replace('-', '/')}/{photo['photo_id']}.json"
        self.stage.aws["s3"].put_object(Bucket="scones-ml", Key=key, Body=json.dumps(body).encode())
        return photo

    def put(self, key: str, content: bytes) -> str:
        """Put a golden photo; returns the prefix of the golden photos it is one of."""
        self.stage.aws["s3"].put_object(Bucket="scones-ml", Key=key, Body=content)
        return f"s3://scones-ml/{'/'.join(key.split('/')[:2])}/"

    def describe(self, source: str, **counts: int) -> None:
        """Say of the base data where it comes from and what it shows, as staging does."""
        about = json.dumps({"source": source, "sha256": "a", "counts": counts}).encode()
        key = DATA["dataset"].removeprefix("s3://scones-ml/") + "about.json"
        self.stage.aws["s3"].put_object(Bucket="scones-ml", Key=key, Body=about)

    @property
    def training_input(self) -> Any:
        """What a retraining uses that nobody starts by hand; None when nothing is recorded."""
        listed = self.stage.aws["s3"].list_objects_v2(Bucket="scones-ml", Prefix="training/")
        if not listed["KeyCount"]:
            return None
        found = self.stage.aws["s3"].get_object(Bucket="scones-ml", Key="training/current.json")
        return json.loads(found["Body"].read())

    @property
    def lock(self) -> dict[str, Any] | None:
        """The lock's item."""
        item: dict[str, Any] | None = self.item("lock")
        return item

    def item(self, name: str) -> Any:
        """An item of the model table."""
        return self.stage.aws["dynamodb"].get_item(TableName="models", Key={"id": {"S": name}}).get("Item")


def photo_id(photo: dict[str, Any]) -> str:
    return hashlib.sha256(f"{photo['bucket']}\0{photo['key']}\0{photo['etag']}".encode()).hexdigest()[:32]


@pytest.fixture
def lab(stage: Stage) -> Laboratory:
    """A stage without any model."""
    return Laboratory(stage)


@pytest.fixture
def reigned(lab: Laboratory) -> Laboratory:
    """A stage with a champion that was promoted, and serves."""
    lab.stage.sagemaker.serving = CHAMPION
    item = {
        "id": {"S": "champion"},
        "model_version": {"S": CHAMPION},
        "endpoint_config": {"S": CHAMPION},
        "artifact": {"S": f"s3://scones-ml/models/{CHAMPION}/output/model.tar.gz"},
    }
    lab.stage.aws["dynamodb"].put_item(TableName="models", Item=item)
    return lab


def assert_champion_stays(lab: Laboratory, run: Execution, reason: str, *, failed: bool) -> dict[str, Any]:
    ended = run.wait()
    assert ended["status"] == ("FAILED" if failed else "SUCCEEDED"), (ended.get("error"), ended.get("cause"))
    lab.stage.sagemaker.settle()
    assert lab.stage.sagemaker.serving == CHAMPION
    assert lab.stage.sagemaker.status == "InService"
    assert lab.item("champion")["model_version"]["S"] == CHAMPION
    assert lab.lock is None
    (event,) = lab.stage.events("Model Rejected")
    assert (event["reason"], event["champion"], event["execution"]) == (reason, CHAMPION, run.arn)
    if failed:
        assert ended["error"] == reason
    else:
        output = json.loads(ended["output"])
        assert (output["outcome"], output["reason"]) == ("rejected", reason)
    return event


def test_the_first_model_that_is_good_enough_creates_the_endpoint(lab: Laboratory) -> None:
    lab.stage.sagemaker.statuses = ["Creating", "Creating"]
    run = lab.run()
    output = run.output()
    name = output["model_version"]
    assert output["outcome"] == "promoted"
    assert lab.stage.sagemaker.serving == name
    assert lab.item("champion")["model_version"]["S"] == name
    assert lab.lock is None
    assert lab.stage.waits == [5, 5, 5, 30]
    (event,) = lab.stage.events("Model Promoted")
    assert (event["model_version"], event["previous_model_version"]) == (name, None)
    assert "first model" in event["verdict"]
    (package,) = lab.stage.sagemaker.named("CreateModelPackage")
    assert package["ModelApprovalStatus"] == "Approved"


def test_a_better_challenger_becomes_champion(reigned: Laboratory) -> None:
    reigned.stage.sagemaker.statuses = ["Updating"]
    run = reigned.run()
    output = run.output()
    assert output["outcome"] == "promoted"
    assert output["previous_model_version"] == CHAMPION
    assert (output["challenger"]["accuracy"], output["compared_with"]["accuracy"]) == (0.97, 0.95)
    assert reigned.stage.sagemaker.serving == output["model_version"]
    assert reigned.stage.sagemaker.named("CreateEndpoint") == []
    assert run.states()[-2:] == ["AnnouncePromotion", "Promoted"]


def test_jobs_model_and_configuration_share_one_name_sagemaker_accepts(lab: Laboratory) -> None:
    lab.run().output()
    sagemaker = lab.stage.sagemaker
    names = {
        sagemaker.named("CreateTrainingJob")[0]["TrainingJobName"],
        sagemaker.named("CreateProcessingJob")[0]["ProcessingJobName"].removesuffix("-eval"),
        sagemaker.named("CreateModel")[0]["ModelName"],
        sagemaker.named("CreateModel")[0]["PrimaryContainer"]["Environment"]["TRAINING_JOB_NAME"],
        sagemaker.named("CreateEndpointConfig")[0]["EndpointConfigName"],
        sagemaker.named("CreateEndpointConfig")[0]["ProductionVariants"][0]["ModelName"],
    }
    assert len(names) == 1
    assert len(names.pop() + "-eval") <= 63


def test_the_training_job_gets_code_data_labels_and_plain_strings(lab: Laboratory) -> None:
    lab.run(classes=["bicycle"]).output()
    (job,) = lab.stage.sagemaker.named("CreateTrainingJob")
    assert job["HyperParameters"] == {
        "seed": "3",
        "classes": "bicycle",
        "sagemaker_program": "training/train.py",
        "sagemaker_submit_directory": DATA["source"],
    }
    channels = {c["ChannelName"]: c["DataSource"]["S3DataSource"]["S3Uri"] for c in job["InputDataConfig"]}
    assert channels["training"] == DATA["dataset"]
    assert channels["snapshot"].startswith("s3://scones-ml/datasets/snapshots/")
    assert channels["labelled"] == "s3://scones-ml/datasets/photos/"
    assert channels["features"] == "s3://scones-ml/datasets/features/"
    # A channel without objects would fail the job.
    for uri in (channels["snapshot"], channels["labelled"], channels["features"]):
        listed = lab.stage.aws["s3"].list_objects_v2(Bucket="scones-ml", Prefix=uri.removeprefix("s3://scones-ml/"))
        assert listed["KeyCount"] > 0


def test_the_training_job_gets_the_features_that_the_champions_job_kept(reigned: Laboratory) -> None:
    key = f"models/{CHAMPION}/output/output.tar.gz"
    reigned.stage.aws["s3"].put_object(Bucket="scones-ml", Key=key, Body=b"features")
    # The second time the champion is the model that the first job trained, which kept none.
    reigned.report = lambda name, champion: report(model(name, 0.99), model(champion, 0.97))
    for _ in range(2):
        assert reigned.run().output()["outcome"] == "promoted"
    read = [
        {channel["ChannelName"]: channel["DataSource"]["S3DataSource"]["S3Uri"] for channel in job["InputDataConfig"]}
        for job in reigned.stage.sagemaker.named("CreateTrainingJob")
    ]
    assert [channels["features"] for channels in read] == [
        f"s3://scones-ml/{key}",
        "s3://scones-ml/datasets/features/",
    ]


def test_the_evaluation_sees_both_models_and_the_same_data(reigned: Laboratory) -> None:
    reigned.run().output()
    (job,) = reigned.stage.sagemaker.named("CreateProcessingJob")
    inputs = {i["InputName"]: i["S3Input"]["S3Uri"] for i in job["ProcessingInputs"]}
    assert inputs["champion"] == f"s3://scones-ml/models/{CHAMPION}/output/model.tar.gz"
    assert inputs["challenger"].endswith("/output/model.tar.gz")
    assert inputs["base"] == DATA["dataset"]
    assert inputs["code"] == DATA["source"]
    # The API's own limits, which botocore does not check.
    specification = job["AppSpecification"]
    assert max(map(len, specification["ContainerEntrypoint"] + specification["ContainerArguments"])) <= 256


def test_requests_to_the_endpoint_are_captured(lab: Laboratory) -> None:
    lab.run().output()
    (config,) = lab.stage.sagemaker.named("CreateEndpointConfig")
    assert config["DataCaptureConfig"]["EnableCapture"] is True


def test_a_challenger_that_is_worse_is_rejected(reigned: Laboratory) -> None:
    reigned.accuracy = 0.90
    event = assert_champion_stays(reigned, reigned.run(), "WorseThanChampion", failed=False)
    assert "possible loss in accuracy is 0.060, at most 0.020 is allowed" in event["verdict"]
    failed = [row for row in event["checks"] if not row["passed"]]
    assert {"check": "possible loss in accuracy", "limit": 0.02, "direction": "at most"}.items() <= failed[0].items()
    assert reigned.stage.sagemaker.named("CreateModel") == []
    (package,) = reigned.stage.sagemaker.named("CreateModelPackage")
    assert package["ModelApprovalStatus"] == "Rejected"


def test_a_challenger_that_is_only_as_good_is_rejected(reigned: Laboratory) -> None:
    reigned.accuracy = 0.95
    assert_champion_stays(reigned, reigned.run(), "NotBetter", failed=False)


def test_a_challenger_blind_to_one_class_is_rejected_however_good_its_average(reigned: Laboratory) -> None:
    blind = {"bicycle": 1.0, "motorcycle": 0.6}
    reigned.report = lambda name, champion: report(model(name, 0.97, recall=blind), model(champion))
    event = assert_champion_stays(reigned, reigned.run(), "BlindToAClass", failed=False)
    assert "motorcycle" in event["verdict"]


def test_a_first_model_below_the_minimum_is_rejected(lab: Laboratory) -> None:
    lab.accuracy = 0.5
    output = lab.run().output()
    assert output["reason"] == "BelowMinimum"
    assert lab.stage.sagemaker.named("CreateEndpoint") == []
    (event,) = lab.stage.events("Model Rejected")
    assert event["champion"] is None


def test_force_promotes_past_the_gate(reigned: Laboratory) -> None:
    reigned.accuracy = 0.90
    output = reigned.run(force=True).output()
    assert output["outcome"] == "promoted"
    assert output["verdict"].startswith("forced")


def test_only_a_promotion_records_what_later_retrainings_train_on(reigned: Laboratory) -> None:
    recorded = {**DATA, "classes": [], "golden": None}
    other = {"dataset": "s3://scones-ml/datasets/base/other/"}
    reigned.run(**other, dry_run=True).output()
    reigned.accuracy = 0.90
    reigned.run(**other).output()
    reigned.accuracy = 0.97
    reigned.stage.sagemaker.fate["UpdateEndpoint"] = ["ResourceLimitExceeded"] * 5
    reigned.run(**other).wait()
    assert reigned.training_input is None
    del reigned.stage.sagemaker.fate["UpdateEndpoint"]
    assert reigned.run().output()["outcome"] == "promoted"
    assert reigned.training_input == recorded
    photos = [reigned.label(f"photo-{number}", "bicycle") for number in range(5)]
    reigned.report = lambda name, champion: report(model(name, 0.99), model(champion, 0.97))
    output = reigned.stage.start(reigned.stage.deploy_retrain(), {"trigger": "labels"}).output()
    assert (output["outcome"], output["new_labels"]) == ("promoted", len(photos))


def test_a_dry_run_says_what_would_have_happened(reigned: Laboratory) -> None:
    event = assert_champion_stays(reigned, reigned.run(dry_run=True), "DryRun", failed=False)
    assert "would be promoted" in event["verdict"]


@pytest.mark.parametrize("trigger", ["schedule", "labels", "drift"])
def test_an_automatic_retraining_without_new_labels_ends_early(reigned: Laboratory, trigger: str) -> None:
    assert_champion_stays(reigned, reigned.run(trigger=trigger), "NothingNew", failed=False)
    assert reigned.stage.sagemaker.named("CreateTrainingJob") == []


def test_new_labels_are_worth_a_retraining_until_they_are_learned(reigned: Laboratory) -> None:
    photos = [reigned.label(f"photo-{number}", "bicycle") for number in range(5)]
    output = reigned.run(trigger="labels").output()
    assert (output["outcome"], output["new_labels"]) == ("promoted", len(photos))
    again = reigned.run(trigger="labels").output()
    assert (again["reason"], again["new_labels"]) == ("NothingNew", 0)


@pytest.mark.parametrize("trigger", ["schedule", "labels", "drift"])
def test_without_a_champion_nothing_is_trained_by_itself(lab: Laboratory, trigger: str) -> None:
    for number in range(5):
        lab.label(f"photo-{number}", "bicycle")
    for _ in range(2):
        assert lab.stage.start(lab.stage.deploy_retrain(), {"trigger": trigger}).output()["reason"] == "NoChampion"
        assert lab.run(trigger=trigger, force=True).output()["reason"] == "NoChampion"
    assert lab.stage.sagemaker.named("CreateTrainingJob") == []
    assert lab.lock is None
    assert lab.run().output()["outcome"] == "promoted"


def test_labels_whose_challenger_was_rejected_start_no_retraining_again(reigned: Laboratory) -> None:
    reigned.accuracy = 0.90
    for number in range(5):
        reigned.label(f"photo-{number}", "bicycle")
    assert reigned.run(trigger="labels").output()["reason"] == "WorseThanChampion"
    for trigger in ("labels", "schedule", "drift"):
        output = reigned.run(trigger=trigger).output()
        assert (output["reason"], output["new_labels"]) == ("NothingNew", 5)
    assert len(reigned.stage.sagemaker.named("CreateTrainingJob")) == 1
    # A person may try again at any time, and one new label is a reason for the schedule but too little for its count.
    assert reigned.run().output()["reason"] == "WorseThanChampion"
    reigned.label("photo-5", "bicycle")
    assert reigned.run(trigger="labels").output()["reason"] == "NothingNew"
    reigned.accuracy = 0.97
    assert reigned.run(trigger="schedule").output()["outcome"] == "promoted"


def test_labels_whose_model_was_rolled_back_start_no_retraining_again(reigned: Laboratory) -> None:
    """The last judged snapshot alone does not say so: here it is one of fewer vehicles."""
    for number in range(5):
        reigned.label(f"bicycle-{number}", "bicycle")
        reigned.label(f"motorcycle-{number}", "motorcycle")
    assert reigned.run().output()["outcome"] == "promoted"
    reigned.accuracy = 0.90
    assert reigned.run(classes=["bicycle"]).output()["reason"] == "WorseThanChampion"
    reigned.accuracy = 0.97
    assert reigned.stage.start(reigned.stage.deploy_rollback(), {}).output()["champion"] == CHAMPION
    for trigger in ("labels", "schedule", "drift"):
        output = reigned.stage.start(reigned.stage.deploy_retrain(), {"trigger": trigger}).output()
        assert (output["reason"], output["new_labels"]) == ("NothingNew", 10)
    reigned.label("bicycle-5", "bicycle")
    output = reigned.stage.start(reigned.stage.deploy_retrain(), {"trigger": "schedule"}).output()
    assert (output["outcome"], output["new_labels"]) == ("promoted", 11)


def test_a_dry_run_leaves_its_labels_to_a_retraining_that_promotes(reigned: Laboratory) -> None:
    for number in range(5):
        reigned.label(f"photo-{number}", "bicycle")
    assert reigned.run(dry_run=True).output()["reason"] == "DryRun"
    assert reigned.run(trigger="labels").output()["outcome"] == "promoted"


def test_data_that_shows_nothing_but_vehicles_is_refused_before_training(reigned: Laboratory) -> None:
    reigned.describe("photos", bicycle=150, motorcycle=150)
    event = assert_champion_stays(reigned, reigned.run(), "TrainingDataRefused", failed=False)
    assert "nothing but bicycle, motorcycle" in event["verdict"]
    assert reigned.stage.sagemaker.named("CreateTrainingJob") == []
    assert reigned.run(force=True).output()["outcome"] == "promoted"


def test_drawn_pictures_train_no_model_that_may_serve(reigned: Laboratory) -> None:
    reigned.describe("generated", bicycle=150, motorcycle=150, house=150)
    event = assert_champion_stays(reigned, reigned.run(force=True), "TrainingDataRefused", failed=False)
    assert "drawn" in event["verdict"]
    assert reigned.stage.sagemaker.named("CreateTrainingJob") == []


def test_where_drawn_pictures_are_allowed_the_verdict_does_not_call_the_model_better(
    reigned: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(harness.ENVIRONMENT, "ALLOW_DRAWN_TRAINING_DATA", "yes")
    reigned.stage.handlers = {**reigned.stage.handlers, **harness.load_handlers(["build_dataset"])}
    reigned.describe("generated", bicycle=150, motorcycle=150, house=150)
    output = reigned.run().output()
    assert output["outcome"] == "promoted"
    assert "drawn pictures" in output["verdict"]
    assert "better" not in output["verdict"]


def test_a_training_job_that_fails_rejects(reigned: Laboratory) -> None:
    reigned.stage.sagemaker.fate["CreateTrainingJob"] = ["AlgorithmError: out of memory"]
    event = assert_champion_stays(reigned, reigned.run(), "TrainingFailed", failed=True)
    assert event["verdict"] == "AlgorithmError: out of memory"
    assert event["model_version"] is None


def test_an_evaluation_job_that_fails_rejects(reigned: Laboratory) -> None:
    reigned.stage.sagemaker.fate["CreateProcessingJob"] = ["AlgorithmError: no holdout"]
    assert_champion_stays(reigned, reigned.run(), "EvaluationFailed", failed=True)


def test_an_evaluation_that_leaves_no_report_rejects(reigned: Laboratory) -> None:
    reigned.stage.sagemaker.before = lambda api, request: None
    assert_champion_stays(reigned, reigned.run(), "EvaluationMissing", failed=True)


@pytest.mark.parametrize("api", ["CreateModel", "CreateEndpointConfig", "UpdateEndpoint"])
def test_a_call_that_sagemaker_refuses_for_good_rejects(reigned: Laboratory, api: str) -> None:
    reigned.stage.sagemaker.fate[api] = ["ResourceLimitExceeded"] * 5
    assert_champion_stays(reigned, reigned.run(), "SageMaker.AmazonSageMakerException", failed=True)


def test_a_busy_sagemaker_is_asked_again(reigned: Laboratory) -> None:
    reigned.stage.sagemaker.fate["CreateModel"] = ["Rate exceeded", "Rate exceeded"]
    assert reigned.run().output()["outcome"] == "promoted"
    assert len(reigned.stage.backoffs) == 2


@pytest.mark.parametrize(
    "statuses", [["Updating", "rolled back"], ["Updating", "Failed"], ["Updating", "UpdateRollbackFailed"]]
)
def test_an_endpoint_that_does_not_take_the_model_goes_back(reigned: Laboratory, statuses: list[str]) -> None:
    reigned.stage.sagemaker.statuses = statuses
    assert_champion_stays(reigned, reigned.run(), "EndpointNotInService", failed=True)


def test_an_endpoint_that_never_arrives_goes_back(reigned: Laboratory) -> None:
    def give_up_at_last(api: str, request: dict[str, Any]) -> None:
        reigned.work(api, request)
        if api == "UpdateEndpoint":
            updates.append(request["EndpointConfigName"])
        # SageMaker refuses a second update until the first is over, whatever it came to.
        if updates.count(CHAMPION) == 3:
            sagemaker.statuses, sagemaker.status, sagemaker.coming = [], "InService", None

    updates: list[str] = []
    sagemaker = reigned.stage.sagemaker
    sagemaker.before, sagemaker.statuses = give_up_at_last, ["Updating"] * 100
    assert_champion_stays(reigned, reigned.run(), "EndpointNotInService", failed=True)
    assert updates[1:] == [CHAMPION] * 3


def test_a_model_that_answers_wrongly_goes_back(reigned: Laboratory) -> None:
    golden = reigned.put("golden/abc/motorcycle/one.jpg", b"a motorcycle")
    reigned.stage.model = lambda image: {**confident("bicycle"), "model_version": reigned.stage.sagemaker.serving}
    event = assert_champion_stays(reigned, reigned.run(golden=golden), "ProbeFailed", failed=True)
    assert "0 of 1 golden photos" in event["verdict"]


def test_golden_photos_of_other_data_ask_a_model_nothing(lab: Laboratory) -> None:
    """Data with its folders swapped was published first; the right data must not be held to it."""
    lab.put("golden/swapped/bicycle/one.jpg", b"a motorcycle")
    lab.put("golden/bicycle/of-an-earlier-version.jpg", b"a motorcycle")
    asked = []

    def answer(image: bytes) -> Any:
        asked.append(image)
        vehicle = "bicycle" if b"bicycle" in image else "motorcycle"
        return {**confident(vehicle), "model_version": lab.stage.sagemaker.serving}

    lab.stage.model = answer
    golden = lab.put("golden/right/bicycle/one.jpg", b"a bicycle")
    assert lab.run(golden=golden).output()["outcome"] == "promoted"
    assert set(asked) == {b"a bicycle"}


def test_an_endpoint_that_answers_as_another_model_goes_back(reigned: Laboratory) -> None:
    reigned.stage.model = lambda image: {**confident(), "model_version": "somebody else"}
    assert_champion_stays(reigned, reigned.run(), "ProbeFailed", failed=True)


def test_an_endpoint_that_is_in_service_and_down_goes_back(reigned: Laboratory) -> None:
    reigned.stage.model = lambda image: EndpointError("ModelError", "worker died", 424)
    assert_champion_stays(reigned, reigned.run(), "ModelUnavailable", failed=True)


def test_an_alarm_in_the_first_minutes_goes_back(reigned: Laboratory) -> None:
    def ring(api: str, request: dict[str, Any]) -> None:
        reigned.work(api, request)
        if api == "UpdateEndpoint" and request["EndpointConfigName"] != CHAMPION:
            alarm = {"Namespace": "x", "MetricName": "y", "Period": 60, "EvaluationPeriods": 1, "Statistic": "Sum"}
            for name in ("scones-test-model-errors", "scones-test-drift"):
                cloudwatch.put_metric_alarm(
                    AlarmName=name, Threshold=1, ComparisonOperator="GreaterThanThreshold", **alarm
                )

    def answer(image: bytes) -> Any:
        asked.append(image)
        if len(asked) == 2:
            for name in ("scones-test-model-errors", "scones-test-drift"):
                cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="the test says so")
        return reigned.answer(image)

    asked: list[bytes] = []
    cloudwatch = reigned.stage.aws["cloudwatch"]
    reigned.stage.sagemaker.before, reigned.stage.model = ring, answer
    event = assert_champion_stays(reigned, reigned.run(), "AlarmAfterPromotion", failed=True)
    assert "model-errors" in event["verdict"]
    assert "drift" not in event["verdict"]


def test_a_first_model_that_fails_leaves_no_endpoint_behind(lab: Laboratory) -> None:
    lab.stage.sagemaker.statuses = ["Creating", "Failed"]
    ended = lab.run().wait()
    assert ended["error"] == "EndpointNotInService"
    assert lab.stage.sagemaker.serving is None
    assert lab.stage.sagemaker.coming is None
    lab.stage.sagemaker.statuses = []
    assert lab.run().output()["outcome"] == "promoted"


def test_a_failed_endpoint_is_replaced(lab: Laboratory) -> None:
    lab.stage.sagemaker.serving, lab.stage.sagemaker.status = "vehicles-test-broken", "Failed"
    run = lab.run()
    assert run.output()["outcome"] == "promoted"
    assert "ReplaceEndpoint" in run.states()


def test_a_second_retraining_ends_at_once_while_the_first_runs(reigned: Laboratory) -> None:
    lab, runs = reigned, list[Execution]()

    def start_another(api: str, request: dict[str, Any]) -> None:
        lab.work(api, request)
        if api == "CreateTrainingJob" and not runs:
            runs.append(lab.run())
            assert json.loads(runs[0].wait()["output"])["reason"] == "RetrainingRunning"
            assert lab.lock

    lab.stage.sagemaker.before = start_another
    first = lab.run()
    assert first.output()["outcome"] == "promoted"
    (event,) = lab.stage.events("Model Rejected")
    assert (event["execution"], event["champion"]) == (runs[0].arn, CHAMPION)
    assert len(lab.stage.sagemaker.named("CreateTrainingJob")) == 1


def test_the_lock_of_a_stopped_retraining_is_taken_over_and_its_endpoint_put_right(reigned: Laboratory) -> None:
    """Somebody stops the execution after it switched the endpoint: the next one first puts the champion back."""
    dead = "arn:aws:states:eu-west-1:123456789012:execution:retrain-model:stopped"
    lock = {"id": {"S": "lock"}, "execution": {"S": dead}, "expires_at": {"S": "2999-01-01T00:00:00.000Z"}}
    reigned.stage.aws["dynamodb"].put_item(TableName="models", Item=lock)
    reigned.stage.sagemaker.serving = "vehicles-test-never-promoted"
    reigned.accuracy = 0.90
    assert_champion_stays(reigned, reigned.run(), "WorseThanChampion", failed=False)


def test_a_champion_from_before_there_was_a_record_is_found_behind_the_endpoint(lab: Laboratory) -> None:
    lab.stage.sagemaker.serving = CHAMPION
    assert lab.run().output()["previous_model_version"] == CHAMPION


@pytest.mark.parametrize(
    ("request_", "words"),
    [({"trigger": "boredom"}, "boredom"), ({"classes": ["tank"]}, "tank"), ({"dataset": "nowhere"}, "nowhere")],
)
def test_a_request_that_makes_no_sense_is_rejected_in_words(
    reigned: Laboratory, request_: dict[str, Any], words: str
) -> None:
    assert words in assert_champion_stays(reigned, reigned.run(**request_), "InvalidInput", failed=True)["verdict"]


def test_an_empty_input_uses_what_is_recorded(lab: Laboratory) -> None:
    lab.stage.aws["s3"].put_object(Bucket="scones-ml", Key="training/current.json", Body=json.dumps(DATA).encode())
    assert lab.stage.start(lab.stage.deploy_retrain(), {}).output()["outcome"] == "promoted"


def test_a_rejection_that_cannot_be_recorded_is_announced_all_the_same(reigned: Laboratory) -> None:
    reigned.stage.sagemaker.fate["CreateTrainingJob"] = ["AlgorithmError"]
    reigned.stage.refuse("record_retraining", *["ServiceException"] * 20)
    assert reigned.run().wait()["status"] == "FAILED"
    (event,) = reigned.stage.events("Model Rejected")
    assert event["reason"] == "States.TaskFailed"


def test_a_promotion_that_cannot_be_recorded_goes_back(reigned: Laboratory) -> None:
    reigned.stage.refuse("record_retraining", *["ServiceException"] * 7, *["Throttled"] * 3)
    run = reigned.run()
    assert_champion_stays(reigned, run, "Lambda.ServiceException", failed=True)
    assert "RestoreEndpoint" in run.states()
