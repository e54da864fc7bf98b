"""The SageMaker states of the workflows, each made by one function.

The SDK builds the requests; what depends on the execution is set with `dynamic`, because its placeholders do not reach
everywhere. In retrain-model one name, `$.run.name`, is that of the job, the model and the endpoint configuration.
"""

from typing import Any

from workflows.errors import SAGEMAKER_SDK_TRANSIENT, SAGEMAKER_TRANSIENT
from workflows.sdk import (
    EndpointConfigStep,
    EndpointStep,
    ModelStep,
    ProcessingStep,
    Task,
    TrainingStep,
    estimator,
    model,
    model_monitor,
    processing,
)
from workflows.tasks import API_TIMEOUT_S, offline_session, retry

# An hour for the job itself, a quarter for finding and starting an instance.
JOB_TIMEOUT_S = 3600
JOB_START_S = 900
CAPTURE_PERCENT = 20
# The container takes 6.5 MB unless told otherwise; a photo may have 20, a request to an endpoint 25.
LARGEST_REQUEST_BYTES = 25 * 1024 * 1024

BUSY = retry(*SAGEMAKER_TRANSIENT, first_s=5, attempts=4)
SDK_BUSY = retry(*SAGEMAKER_SDK_TRANSIENT, first_s=2, attempts=6)
# After a replaced endpoint is deleted, or while an earlier update still runs, SageMaker refuses for minutes.
PATIENT = retry(*SAGEMAKER_TRANSIENT, first_s=5, attempts=20)

INSIDE = "/opt/ml/processing"
# The container of a processing job knows no script mode: unpack the code, install what the image lacks, compare.
COMPARE = (
    f"cd {INSIDE}/input/code && tar -xzf sourcedir.tar.gz"
    " && { python3 -c 'import onnxruntime' 2>/dev/null || python3 -m pip install --quiet -r requirements.txt; }"
    ' && exec python3 -m training.compare "$@"'
)


def train(name: str, comment: str) -> Any:
    """A training job in script mode on `$.prepared`'s data; `$.trained` is its name and artifact.

    The channel `features` holds `output.tar.gz`, what the champion's training job left beside its model, or else a note
    alone.
    """
    step = TrainingStep(
        name,
        estimator=estimator.Estimator(
            image_uri="${TrainingImage}",
            role="${SageMakerRoleArn}",
            instance_count=1,
            instance_type="ml.m5.xlarge",  # parsed by the SDK, so the placeholder comes below
            output_path="s3://${MlBucket}/models",
            max_run=JOB_TIMEOUT_S,
            disable_profiler=True,
            debugger_hook_config=False,
            sagemaker_session=offline_session(),
        ),
        job_name="set-below",
        data={"training": "s3://set/below"},
        comment=comment,
        asl={
            "ResultSelector": {"job.$": "$.TrainingJobName", "artifact.$": "$.ModelArtifacts.S3ModelArtifacts"},
        },
        result_path="$.trained",
        timeout_seconds=JOB_TIMEOUT_S + JOB_START_S,
        retry=[BUSY],
    )
    dynamic(step, "ResourceConfig", InstanceType="${TrainingInstanceType}")
    dynamic(
        step,
        RoleArn="${SageMakerRoleArn}",
        TrainingJobName="$.run.name",
        HyperParameters="$.prepared.hyperparameters",
        InputDataConfig=[
            _channel("training", "$.prepared.dataset"),
            _channel("snapshot", "$.prepared.snapshot"),
            _channel("labelled", "$.prepared.labelled"),
            _channel("features", "$.prepared.features"),
        ],
    )
    return step


def evaluate(name: str, comment: str) -> Any:
    """A processing job that compares challenger and champion; its report is `retraining/{name}/evaluation.json`."""
    inputs = {
        "code": "$.prepared.source",
        "challenger": "$.trained.artifact",
        "champion": "$.prepared.baseline.artifact",
        "base": "$.prepared.dataset",
        "snapshot": "$.prepared.snapshot",
        "labelled": "$.prepared.labelled",
    }
    step = ProcessingStep(
        name,
        processor=processing.Processor(
            role="arn:aws:iam::000000000000:role/set-below",
            image_uri="${TrainingImage}",
            instance_count=1,
            instance_type="${TrainingInstanceType}",
            max_runtime_in_seconds=JOB_TIMEOUT_S,
            sagemaker_session=offline_session(),
        ),
        job_name="set-below",
        inputs=[
            processing.ProcessingInput(
                source="s3://set/below", destination=f"{INSIDE}/input/{folder}", input_name=folder
            )
            for folder in inputs
        ],
        outputs=[
            processing.ProcessingOutput(
                source=f"{INSIDE}/output", destination="s3://set/below", output_name="evaluation"
            )
        ],
        container_entrypoint=["bash", "-c", COMPARE, "compare"],
        comment=comment,
        asl={"ResultSelector": {"job.$": "$.ProcessingJobName"}},
        result_path="$.evaluated",
        timeout_seconds=JOB_TIMEOUT_S + JOB_START_S,
        retry=[BUSY],
    )
    dynamic(step, RoleArn="${SageMakerRoleArn}", ProcessingJobName="States.Format('{}-eval', $.run.name)")
    request = step.fields["parameters"]
    for declared in request["ProcessingInputs"]:
        _replace(declared["S3Input"], "S3Uri", inputs[declared["InputName"]])
    (output,) = request["ProcessingOutputConfig"]["Outputs"]
    _replace(output["S3Output"], "S3Uri", "States.Format('s3://${MlBucket}/retraining/{}', $.run.name)")
    folders = [word for folder in inputs if folder != "code" for word in (f"--{folder}", f"{INSIDE}/input/{folder}")]
    written = [f"'{word}'" for word in [*folders, "--out", f"{INSIDE}/output"]]
    versions = ["'--champion-version'", "$.prepared.baseline.model_version", "'--challenger-version'", "$.run.name"]
    _replace(request["AppSpecification"], "ContainerArguments", f"States.Array({', '.join([*written, *versions])})")
    return step


def create_model(name: str, comment: str) -> Any:
    """The trained artifact and the container that serves it."""
    step = ModelStep(
        name,
        model=model.Model(
            image_uri="${InferenceImage}",
            role="${SageMakerRoleArn}",
            env={
                "SAGEMAKER_PROGRAM": "inference.py",
                "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
                "TS_MAX_REQUEST_SIZE": str(LARGEST_REQUEST_BYTES),
            },
            sagemaker_session=offline_session(),
        ),
        comment=comment,
        asl={"ResultSelector": {"arn.$": "$.ModelArn"}},
        result_path="$.model",
        timeout_seconds=API_TIMEOUT_S,
        retry=[BUSY],
    )
    dynamic(step, ModelName="$.run.name")
    dynamic(step, "PrimaryContainer", ModelDataUrl="$.trained.artifact")
    dynamic(step, "PrimaryContainer", "Environment", TRAINING_JOB_NAME="$.run.name")
    return step


def configure_endpoint(name: str, comment: str) -> Any:
    """One instance of the model, with data capture."""
    step = EndpointConfigStep(
        name,
        endpoint_config_name="set-below",
        model_name="set-below",
        initial_instance_count=1,
        instance_type="${EndpointInstanceType}",
        data_capture_config=model_monitor.DataCaptureConfig(
            enable_capture=True,
            sampling_percentage=CAPTURE_PERCENT,
            destination_s3_uri="s3://${MlBucket}/captured",
            sagemaker_session=offline_session(),
        ),
        comment=comment,
        asl={"ResultSelector": {"arn.$": "$.EndpointConfigArn"}},
        result_path="$.config",
        timeout_seconds=API_TIMEOUT_S,
        retry=[BUSY],
    )
    dynamic(step, EndpointConfigName="$.run.name")
    _replace(step.fields["parameters"]["ProductionVariants"][0], "ModelName", "$.run.name")
    return step


def put_endpoint(name: str, comment: str, *, config: str, update: bool, patient: bool = False) -> Any:
    """Creates or updates the endpoint, to the configuration at the path `config`."""
    step = EndpointStep(
        name,
        endpoint_name="${EndpointName}",
        endpoint_config_name="set-below",
        update=update,
        comment=comment,
        asl={"ResultSelector": {"arn.$": "$.EndpointArn"}},
        result_path="$.endpoint",
        timeout_seconds=API_TIMEOUT_S,
        retry=[PATIENT if patient else BUSY],
    )
    dynamic(step, EndpointConfigName=config)
    return step


def describe_endpoint(name: str, comment: str, *, result_path: str = "$.endpoint") -> Any:
    """The endpoint's status and the configuration it serves."""
    return Task(
        name,
        resource="arn:aws:states:::aws-sdk:sagemaker:describeEndpoint",
        comment=comment,
        parameters={"EndpointName": "${EndpointName}"},
        asl={"ResultSelector": {"status.$": "$.EndpointStatus", "config.$": "$.EndpointConfigName"}},
        result_path=result_path,
        timeout_seconds=API_TIMEOUT_S,
        retry=[SDK_BUSY],
    )


def delete_endpoint(name: str, comment: str) -> Any:
    """Removes the endpoint; its configuration and model stay."""
    return Task(
        name,
        resource="arn:aws:states:::aws-sdk:sagemaker:deleteEndpoint",
        comment=comment,
        parameters={"EndpointName": "${EndpointName}"},
        result_path="$.dropped",
        timeout_seconds=API_TIMEOUT_S,
        retry=[SDK_BUSY],
    )


def dynamic(step: Any, *within: str, **values: Any) -> None:
    """Sets request fields of a step, those starting with `$.` or `States.` as JSONPath."""
    target = step.fields["parameters"]
    for key in within:
        target = target[key]
    for key, value in values.items():
        _replace(target, key, value)


def _replace(target: dict[str, Any], key: str, value: Any) -> None:
    target.pop(key, None)
    is_path = isinstance(value, str) and value.startswith(("$.", "States."))
    target[f"{key}.$" if is_path else key] = value


def _channel(name: str, path: str) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3DataDistributionType": "FullyReplicated", "S3Uri.$": path}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}}
