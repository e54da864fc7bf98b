"""A stage for the tests of retrain-model, whose evaluation job writes a report."""

import json
from collections.abc import Callable
from typing import Any

from functions.shared.photo_table import PhotoTable
from tests.support.labels import photo_of, plant_label
from tests.workflow.lambda_handlers import IMAGE
from tests.workflow.stage import EndpointResponse, Execution, Stage, classification

DATA: dict[str, Any] = {
    "dataset": "s3://scones-ml/datasets/base/abc/",
    "image": f"{IMAGE.partition('@')[0]}@sha256:{'a' * 64}",
    "hyperparameters": {"seed": "3"},
}
CHAMPION = "vehicles-test-before"


class RetrainStage:
    """A stage in which evaluation jobs write `report` and the endpoint answers as the model that it serves.

    `accuracy` is that of the next challenger; the champion's and the reference model's are 0.95, unless `accuracies`
    has another one for the model's version.
    """

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.sagemaker = stage.sagemaker
        self.accuracy = 0.97
        self.accuracies: dict[str | None, float] = {}
        self.report: Callable[[str, str], dict[str, Any]] = self._report
        self.sagemaker.on_request = self.evaluate
        stage.respond = self.respond

    def _report(self, challenger: str, champion: str) -> dict[str, Any]:
        before = model(champion, self.accuracies.get(champion, 0.95)) if champion != "none" else None
        return report(model(challenger, self.accuracy), before)

    def evaluate(self, api: str, request: dict[str, Any]) -> None:
        """Write the artifact of a training job, and the report of a processing job."""
        if api == "CreateTrainingJob":
            self.put(f"models/{request['TrainingJobName']}/output/model.tar.gz", b"a model")
        if api != "CreateProcessingJob":
            return
        arguments = request["AppSpecification"]["ContainerArguments"]
        options = dict(zip(arguments[1::2], arguments[2::2], strict=True))
        written = self.report(options["--challenger-version"], options["--champion-version"])
        reference = options.get("--reference-version")
        if written["champion"] and "reference" not in written:
            is_champion = reference == options["--champion-version"]
            against = (
                written["champion"] if is_champion else model(str(reference), self.accuracies.get(reference, 0.95))
            )
            written["reference"] = compared_with_reference(written["challenger"], against)
        (output,) = request["ProcessingOutputConfig"]["Outputs"]
        prefix = output["S3Output"]["S3Uri"].removeprefix("s3://scones-ml/")
        self.put(f"{prefix}/evaluation.json", json.dumps(written).encode())

    def respond(self, image: bytes) -> EndpointResponse:
        """The endpoint's response, with the version of the model in service."""
        return {**classification(), "model_version": self.sagemaker.config or "none"}

    def run(self, **request: Any) -> Execution:
        """Start a retraining on `DATA`."""
        return self.run_with_input({**DATA, **request})

    def run_with_input(self, execution_input: dict[str, Any]) -> Execution:
        """Start a retraining with exactly this input."""
        return self.stage.start(self.stage.deploy_retrain(), execution_input)

    def put(self, key: str, content: bytes) -> None:
        """Put an object into the ML bucket."""
        self.stage.aws["s3"].put_object(Bucket="scones-ml", Key=key, Body=content)

    def put_golden(self, key: str, content: bytes) -> str:
        """Put a golden photo. Returns the prefix of the golden photos to which it belongs."""
        self.put(key, content)
        return f"s3://scones-ml/{'/'.join(key.split('/')[:2])}/"

    def put_label(self, name: str, vehicle: str) -> str:
        """Put a label of a photo that was reviewed. Returns its key."""
        photos = PhotoTable("photos", self.stage.aws["dynamodb"])
        photo = photo_of(name.encode(), f"uploads/driver/{name}.jpg")
        return plant_label(self.stage.aws, "scones-ml", photos, photo, vehicle, reviewer="ann")

    def put_manifest(self, source: str, **counts: int) -> None:
        """Put the manifest of the base data, with its source and the number of photos per class."""
        manifest = json.dumps({"source": source, "sha256": "a", "counts": counts}).encode()
        self.put(DATA["dataset"].removeprefix("s3://scones-ml/") + "about.json", manifest)

    def record_champion(self, name: str) -> None:
        """Record a model as the champion and put it into service."""
        self.sagemaker.config = name
        self.stage.scaling.scale()
        self.put(f"models/{name}/output/model.tar.gz", b"a model")
        item = {
            "id": {"S": "champion"},
            "model_version": {"S": name},
            "endpoint_config": {"S": name},
            "artifact": {"S": f"s3://scones-ml/models/{name}/output/model.tar.gz"},
        }
        self.stage.aws["dynamodb"].put_item(TableName="models", Item=item)

    def item(self, name: str) -> Any:
        """An item of the model table; None when there is none."""
        return self.stage.aws["dynamodb"].get_item(TableName="models", Key={"id": {"S": name}}).get("Item")

    @property
    def lock(self) -> dict[str, Any] | None:
        """The item of the lock; None when the lock is free."""
        item: dict[str, Any] | None = self.item("lock")
        return item

    @property
    def training_input(self) -> Any:
        """The recorded input of automatic retrainings; None when none is recorded."""
        listed = self.stage.aws["s3"].list_objects_v2(Bucket="scones-ml", Prefix="training/")
        if not listed["KeyCount"]:
            return None
        found = self.stage.aws["s3"].get_object(Bucket="scones-ml", Key="training/current.json")
        return json.loads(found["Body"].read())

    def assert_champion_stays(self, run: Execution, reason: str, *, failed: bool) -> dict[str, Any]:
        """Assert that the retraining ended with `reason` and the champion is in service. Returns its event."""
        ended = run.wait()
        assert ended["status"] == ("FAILED" if failed else "SUCCEEDED"), (ended.get("error"), ended.get("cause"))
        self.sagemaker.finish_update()
        assert self.sagemaker.config == CHAMPION
        assert self.sagemaker.status == "InService"
        assert self.stage.scaling.is_scaled()
        assert self.item("champion")["model_version"]["S"] == CHAMPION
        assert self.lock is None
        (event,) = self.stage.events("Model Rejected")
        assert (event["reason"], event["champion"], event["execution"]) == (reason, CHAMPION, run.arn)
        if failed:
            assert ended["error"] == reason
        else:
            output = json.loads(ended["output"])
            assert (output["outcome"], output["reason"]) == ("rejected", reason)
        return event


def model(version: str, accuracy: float = 0.95, **other: Any) -> dict[str, Any]:
    """The figures of a model in an evaluation report."""
    figures = {"accuracy": accuracy, "ece": 0.02, "auroc": 0.97, "coverage": 0.9, "latency_ms": 5.0, "size_mb": 3.0}
    recall = {"bicycle": accuracy, "motorcycle": accuracy}
    return {"model_version": version, "threshold": 0.9, "recall": recall, **figures, **other}


def report(challenger: dict[str, Any], champion: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    """An evaluation report whose bootstrap intervals reach 0.01 to each side; without the reference model."""
    return {
        "challenger": challenger,
        "champion": champion,
        "holdout": {
            "photos": 500,
            "photos_by_vehicle": {"bicycle": 250, "motorcycle": 250},
            "others": 200,
            "differences": differences(challenger, champion) if champion else {},
        },
        "labels": {"distrusted": [], "left_out": {}},
        "labelled": None,
        **more,
    }


def compared_with_reference(challenger: dict[str, Any], reference: dict[str, Any]) -> dict[str, Any]:
    """The part of an evaluation report about the reference model, with the same intervals."""
    version, gaps = reference["model_version"], differences(challenger, reference)
    return {"model_version": version, "error": None, "metrics": reference, "differences": gaps}


def differences(challenger: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """The differences of two models, with intervals that reach 0.01 to each side."""
    gaps = {figure: challenger[figure] - other[figure] for figure in ("accuracy", "ece", "auroc")}
    return {figure: {"mean": gap, "low": gap - 0.01, "high": gap + 0.01} for figure, gap in gaps.items()}
