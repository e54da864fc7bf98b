"""The SageMaker states of the workflows, one function each.

The SDK builds the requests. Many of its arguments accept only fixed values, so `set_fields` then sets the fields that
depend on the execution or on the deployment. In retrain-model, `$.run.name` is the name of the training job, the model
and the endpoint configuration.
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
    processing,
)
from workflows.tasks import API_TIMEOUT_S, offline_session, payload_template, retry, to_number

# One hour for the job, and 15 minutes for finding and starting an instance.
JOB_TIMEOUT_S = 3600
JOB_START_S = 900

RETRY = retry(*SAGEMAKER_TRANSIENT, interval_s=5, max_attempts=4)
RETRY_SDK = retry(*SAGEMAKER_SDK_TRANSIENT, interval_s=2, max_attempts=6)
# SageMaker rejects a change while the endpoint is being updated, and for minutes after it was deleted.
RETRY_WHILE_CHANGING = retry(*SAGEMAKER_TRANSIENT, interval_s=5, max_attempts=20)

# The value of required SDK arguments that `set_fields` replaces.
PLACEHOLDER = "set-below"

PROCESSING_DIR = "/opt/ml/processing"
COMPARE_ARGUMENTS = (
    "States.Array('compare', '--champion-version', $.prepared.baseline.model_version,"
    " '--challenger-version', $.prepared.model_version, '--reference-version',"
    " $.prepared.reference.model_version)"
)

# The tags of the stacks: what the workflows create is found, and paid for, with them.
TAGS = [{"Key": "system", "Value": "scones-vehicles"}, {"Key": "stack", "Value": "scones-${Stage}"}]


def train(name: str, comment: str) -> Any:
    """Return the step of a training job on the data of `$.prepared`; `$.trained` is its name and artifact.

    The channel `features` holds the `output.tar.gz` of the champion's training job. When there is none, it holds a
    text file, because a channel without objects fails the job.
    """
    step = TrainingStep(
        name,
        estimator=estimator.Estimator(
            image_uri=PLACEHOLDER,
            role="${TrainingRoleArn}",
            instance_count=1,
            instance_type="ml.m5.xlarge",  # the SDK parses it, so it cannot be a substitution
            output_path="s3://${MlBucket}/models",
            max_run=JOB_TIMEOUT_S,
            disable_profiler=True,
            debugger_hook_config=False,
            sagemaker_session=offline_session(),
        ),
        job_name=PLACEHOLDER,
        data={"training": f"s3://{PLACEHOLDER}"},
        comment=comment,
        asl={
            "ResultSelector": {"job.$": "$.TrainingJobName", "artifact.$": "$.ModelArtifacts.S3ModelArtifacts"},
        },
        result_path="$.trained",
        timeout_seconds=JOB_TIMEOUT_S + JOB_START_S,
        retry=[RETRY],
    )
    set_fields(step, "ResourceConfig", InstanceType="${TrainingInstanceType}")
    set_fields(step, "AlgorithmSpecification", TrainingImage="$.prepared.image")
    set_fields(
        step,
        Tags=TAGS,
        RoleArn="${TrainingRoleArn}",
        TrainingJobName="$.run.name",
        EnableNetworkIsolation=True,
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
    """Return the step of a processing job that compares the models and writes `retraining/{name}/evaluation.json`."""
    inputs = {
        "challenger": "$.trained.artifact",
        "champion": "$.prepared.baseline.artifact",
        "reference": "$.prepared.reference.artifact",
        "base": "$.prepared.dataset",
        "snapshot": "$.prepared.snapshot",
        "labelled": "$.prepared.labelled",
    }
    step = ProcessingStep(
        name,
        processor=processing.Processor(
            role=f"arn:aws:iam::000000000000:role/{PLACEHOLDER}",
            image_uri=PLACEHOLDER,
            instance_count=1,
            instance_type="${TrainingInstanceType}",
            max_runtime_in_seconds=JOB_TIMEOUT_S,
            sagemaker_session=offline_session(),
        ),
        job_name=PLACEHOLDER,
        inputs=[
            processing.ProcessingInput(
                source=f"s3://{PLACEHOLDER}", destination=f"{PROCESSING_DIR}/input/{folder}", input_name=folder
            )
            for folder in inputs
        ],
        outputs=[
            processing.ProcessingOutput(
                source=f"{PROCESSING_DIR}/output", destination=f"s3://{PLACEHOLDER}", output_name="evaluation"
            )
        ],
        comment=comment,
        asl={"ResultSelector": {"job.$": "$.ProcessingJobName"}},
        result_path="$.evaluated",
        timeout_seconds=JOB_TIMEOUT_S + JOB_START_S,
        retry=[RETRY],
    )
    set_fields(
        step,
        Tags=TAGS,
        RoleArn="${EvaluationRoleArn}",
        ProcessingJobName="States.Format('{}-eval', $.run.name)",
        NetworkConfig={"EnableNetworkIsolation": True},
    )
    request = step.fields["parameters"]
    for declared in request["ProcessingInputs"]:
        _set_field(declared["S3Input"], "S3Uri", inputs[declared["InputName"]])
    (output,) = request["ProcessingOutputConfig"]["Outputs"]
    _set_field(output["S3Output"], "S3Uri", "States.Format('s3://${MlBucket}/retraining/{}', $.run.name)")
    application = request["AppSpecification"]
    _set_field(application, "ImageUri", "$.prepared.image")
    _set_field(application, "ContainerArguments", COMPARE_ARGUMENTS)
    return step


def create_model(name: str, comment: str) -> Any:
    """Return the step that creates a SageMaker model: the trained artifact, and the image that trained it."""
    step = ModelStep(
        name,
        model=model.Model(
            image_uri=PLACEHOLDER,
            role="${EndpointRoleArn}",
            sagemaker_session=offline_session(),
        ),
        comment=comment,
        asl={"ResultSelector": {"arn.$": "$.ModelArn"}},
        result_path="$.model",
        timeout_seconds=API_TIMEOUT_S,
        retry=[RETRY],
    )
    set_fields(step, Tags=TAGS, ModelName="$.run.name", EnableNetworkIsolation=True)
    set_fields(step, "PrimaryContainer", Image="$.prepared.image", ModelDataUrl="$.trained.artifact")
    return step


def create_endpoint_config(name: str, comment: str) -> Any:
    """Return the step that creates an endpoint configuration with the least number of instances of the model.

    It captures no requests: they are photos, and their copies would not be found when a photo is deleted.
    """
    step = EndpointConfigStep(
        name,
        endpoint_config_name=PLACEHOLDER,
        model_name=PLACEHOLDER,
        initial_instance_count=1,
        instance_type="${EndpointInstanceType}",
        comment=comment,
        asl={"ResultSelector": {"arn.$": "$.EndpointConfigArn"}},
        result_path="$.config",
        timeout_seconds=API_TIMEOUT_S,
        retry=[RETRY],
    )
    set_fields(step, Tags=TAGS, EndpointConfigName="$.run.name")
    (variant,) = step.fields["parameters"]["ProductionVariants"]
    _set_field(variant, "ModelName", "$.run.name")
    _set_field(variant, "InitialInstanceCount", to_number("${EndpointMinInstances}"))
    return step


def create_endpoint(name: str, comment: str, *, config: str) -> Any:
    """Return the step that creates the endpoint with the configuration at the path `config`."""
    return _change_endpoint(name, comment, config, RETRY_WHILE_CHANGING, update=False)


def update_endpoint(
    name: str, comment: str, *, config: str, rollout: str | None = None, retry_while_changing: bool = False
) -> Any:
    """Return the step that updates the endpoint to the configuration at the path `config`.

    It keeps the number of instances to which the endpoint was scaled. `rollout` is the path of the DeploymentConfig.
    """
    retrier = RETRY_WHILE_CHANGING if retry_while_changing else RETRY
    step = _change_endpoint(name, comment, config, retrier, update=True)
    set_fields(step, RetainAllVariantProperties=True, **({"DeploymentConfig": rollout} if rollout else {}))
    return step


def describe_endpoint(name: str, comment: str, *, result_path: str = "$.endpoint") -> Any:
    """Return the step that writes the endpoint's status and configuration name to `result_path`."""
    return Task(
        name,
        resource="arn:aws:states:::aws-sdk:sagemaker:describeEndpoint",
        comment=comment,
        parameters={"EndpointName": "${EndpointName}"},
        asl={"ResultSelector": {"status.$": "$.EndpointStatus", "config.$": "$.EndpointConfigName"}},
        result_path=result_path,
        timeout_seconds=API_TIMEOUT_S,
        retry=[RETRY_SDK],
    )


def delete_endpoint(name: str, comment: str) -> Any:
    """Return the step that deletes the endpoint; its configuration and model remain."""
    return Task(
        name,
        resource="arn:aws:states:::aws-sdk:sagemaker:deleteEndpoint",
        comment=comment,
        parameters={"EndpointName": "${EndpointName}"},
        result_path="$.deleted",
        timeout_seconds=API_TIMEOUT_S,
        retry=[RETRY_SDK],
    )


def set_fields(step: Any, *within: str, **values: Any) -> None:
    """Set fields of a step's request, in the object at the keys `within`; paths get the key `{name}.$`."""
    target = step.fields["parameters"]
    for key in within:
        target = target[key]
    for key, value in values.items():
        _set_field(target, key, value)


def _change_endpoint(name: str, comment: str, config: str, retrier: Any, *, update: bool) -> Any:
    step = EndpointStep(
        name,
        endpoint_name="${EndpointName}",
        endpoint_config_name=PLACEHOLDER,
        update=update,
        comment=comment,
        asl={"ResultSelector": {"arn.$": "$.EndpointArn"}},
        result_path="$.endpoint",
        timeout_seconds=API_TIMEOUT_S,
        retry=[retrier],
    )
    set_fields(step, EndpointConfigName=config)
    if not update:  # UpdateEndpoint has no tags; the endpoint keeps those that it has.
        set_fields(step, Tags=TAGS)
    return step


def _set_field(target: dict[str, Any], key: str, value: Any) -> None:
    target.pop(key, None)
    target.update(payload_template(**{key: value}))


def _channel(name: str, path: str) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3DataDistributionType": "FullyReplicated", "S3Uri.$": path}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}}
