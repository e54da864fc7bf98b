"""retrain-model: a training job becomes the model behind the endpoint, or the endpoint stays as it is.

Input `{"dataset": "s3://…/", "source": "s3://…/sourcedir.tar.gz", "hyperparameters": {"epochs": "8", …}}`: the prefix
staged as the `training` channel, the script-mode tarball, and the training script's arguments (strings, may be empty).
The job, the model and the endpoint configuration share one name, `vehicles-{stage}-{yyyymmdd}-{hhmmss}` after the
execution's start.
Every ending is announced: `Model Promoted`, or `Model Rejected` with the reason.
"""

from typing import Any

from workflows.errors import ANY_FAILURE, SAGEMAKER_SDK_TRANSIENT, SAGEMAKER_TRANSIENT
from workflows.sdk import (
    Chain,
    Choice,
    ChoiceRule,
    EndpointConfigStep,
    EndpointStep,
    EventBridgePutEventsStep,
    Fail,
    Graph,
    ModelStep,
    Pass,
    Task,
    TrainingStep,
    Wait,
    estimator,
    model,
    model_monitor,
)
from workflows.tasks import offline_session, on_error, retry

TRAINING_PROGRAM = "training/train.py"
TRAINING_TIMEOUT_S = 3600
POLL_S = 5
# Half an hour: a SageMaker endpoint takes five to ten minutes.
POLLS = 360
CAPTURE_PERCENT = 20
API_TIMEOUT_S = 60

BUSY = retry(*SAGEMAKER_TRANSIENT, first_s=5, attempts=4)
SDK_BUSY = retry(*SAGEMAKER_SDK_TRANSIENT, first_s=2, attempts=6)
EVENTS_BUSY = retry(*ANY_FAILURE, first_s=2, attempts=6)

START = "States.StringSplit($$.Execution.StartTime, '-T:.Z+')"
NAME = (
    "States.Format('vehicles-${Stage}-{}{}{}-{}{}{}', "
    + ", ".join(f"States.ArrayGetItem({START}, {part})" for part in range(6))
    + ")"
)


def build() -> Any:
    """The SDK graph of retrain-model."""
    name_it = Pass(
        "NameTheModel",
        comment="One name for job, model and endpoint configuration.",
        parameters={
            "name.$": NAME,
            "script": {"sagemaker_program": TRAINING_PROGRAM, "sagemaker_submit_directory.$": "$.source"},
            "polls": 0,
        },
        result_path="$.run",
    )
    train = TrainingStep(
        "Train",
        estimator=estimator.Estimator(
            image_uri="${TrainingImage}",
            role="${SageMakerRoleArn}",
            instance_count=1,
            instance_type="ml.m5.xlarge",  # parsed by the SDK, so the placeholder comes below
            output_path="s3://${MlBucket}/models",
            max_run=TRAINING_TIMEOUT_S,
            disable_profiler=True,
            debugger_hook_config=False,
            sagemaker_session=offline_session(),
        ),
        job_name="overridden-below",
        data={"training": "s3://overridden/below"},
        comment="Script mode: the tarball's training script on the staged data set.",
        asl={
            "ResultSelector": {
                "job.$": "$.TrainingJobName",
                "artifact.$": "$.ModelArtifacts.S3ModelArtifacts",
            }
        },
        result_path="$.trained",
        timeout_seconds=TRAINING_TIMEOUT_S + 900,
        retry=[BUSY],
    )
    dynamic(train, "ResourceConfig", InstanceType="${TrainingInstanceType}")
    dynamic(
        train,
        RoleArn="${SageMakerRoleArn}",
        TrainingJobName="$.run.name",
        HyperParameters="States.JsonMerge($.hyperparameters, $.run.script, false)",
        InputDataConfig=[
            {
                "ChannelName": "training",
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3DataDistributionType": "FullyReplicated",
                        "S3Uri.$": "$.dataset",
                    }
                },
            }
        ],
    )
    create_model = ModelStep(
        "CreateModel",
        model=model.Model(
            image_uri="${InferenceImage}",
            role="${SageMakerRoleArn}",
            env={"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"},
            sagemaker_session=offline_session(),
        ),
        comment="The artifact and the container that serves it.",
        asl={"ResultSelector": {"arn.$": "$.ModelArn"}},
        result_path="$.model",
        timeout_seconds=API_TIMEOUT_S,
        retry=[BUSY],
    )
    dynamic(create_model, ModelName="$.run.name")
    dynamic(create_model, "PrimaryContainer", ModelDataUrl="$.trained.artifact")
    create_model.fields["parameters"]["PrimaryContainer"]["Environment"]["TRAINING_JOB_NAME.$"] = "$.run.name"
    configure_endpoint = EndpointConfigStep(
        "ConfigureEndpoint",
        endpoint_config_name="overridden-below",
        model_name="overridden-below",
        initial_instance_count=1,
        instance_type="${EndpointInstanceType}",
        data_capture_config=model_monitor.DataCaptureConfig(
            enable_capture=True,
            sampling_percentage=CAPTURE_PERCENT,
            destination_s3_uri="s3://${MlBucket}/captured",
            sagemaker_session=offline_session(),
        ),
        comment=f"One instance, {CAPTURE_PERCENT}% of requests and answers captured.",
        asl={"ResultSelector": {"arn.$": "$.EndpointConfigArn"}},
        result_path="$.config",
        timeout_seconds=API_TIMEOUT_S,
        retry=[BUSY],
    )
    dynamic(configure_endpoint, EndpointConfigName="$.run.name")
    variant = configure_endpoint.fields["parameters"]["ProductionVariants"][0]
    variant.pop("ModelName")
    variant["ModelName.$"] = "$.run.name"
    find_endpoint = describe_endpoint("FindEndpoint", "Is there an endpoint to update?", result_path="$.previous")
    update_endpoint = EndpointStep(
        "UpdateEndpoint",
        endpoint_name="${EndpointName}",
        endpoint_config_name="overridden-below",
        update=True,
        comment="Blue/green: the previous model answers until the new one is healthy.",
        asl={"ResultSelector": {"arn.$": "$.EndpointArn"}},
        result_path="$.endpoint",
        timeout_seconds=API_TIMEOUT_S,
        retry=[BUSY],
    )
    dynamic(update_endpoint, EndpointConfigName="$.run.name")
    create_endpoint = EndpointStep(
        "CreateEndpoint",
        endpoint_name="${EndpointName}",
        endpoint_config_name="overridden-below",
        comment="The first model of this stage.",
        asl={"ResultSelector": {"arn.$": "$.EndpointArn"}},
        result_path="$.endpoint",
        timeout_seconds=API_TIMEOUT_S,
        retry=[BUSY],
    )
    dynamic(create_endpoint, EndpointConfigName="$.run.name")
    wait = Wait("WaitForEndpoint", comment="Endpoints have no .sync integration, so poll.", seconds=POLL_S)
    look = describe_endpoint("LookAtEndpoint", "Which configuration serves, and how is it?", result_path="$.endpoint")
    count = Pass(
        "CountLooks",
        comment="So that waiting has an end.",
        parameters={
            "name.$": "$.run.name",
            "script.$": "$.run.script",
            "polls.$": "States.MathAdd($.run.polls, 1)",
        },
        result_path="$.run",
    )
    in_service = Choice(
        "InService?", comment="In service with the new configuration; a rollback is in service with the old."
    )
    never_in_service = Pass(
        "NeverInService",
        comment="SageMaker rolled back, gave up, or took half an hour.",
        parameters={
            "Error": "EndpointNotInService",
            "Cause.$": "States.Format('Endpoint ${EndpointName} is {} with configuration {}.', "
            "$.endpoint.status, $.endpoint.config)",
        },
        result_path="$.error",
    )
    promoted = EventBridgePutEventsStep(
        "AnnouncePromotion",
        comment="`Model Promoted`: this model answers from now on.",
        parameters=event(
            "Model Promoted",
            {
                "model_version.$": "$.run.name",
                "endpoint": "${EndpointName}",
                "artifact.$": "$.trained.artifact",
                "execution.$": "$$.Execution.Id",
                "promoted_at.$": "$$.State.EnteredTime",
            },
        ),
        result_path="$.announced",
        output_path="$.run",
        timeout_seconds=API_TIMEOUT_S,
        retry=[EVENTS_BUSY],
    )
    rejected = EventBridgePutEventsStep(
        "AnnounceRejection",
        comment="`Model Rejected`, with the reason: the previous endpoint stays.",
        parameters=event(
            "Model Rejected",
            {
                "model_version.$": "$.run.name",
                "reason.$": "$.error.Error",
                "message.$": "$.error.Cause",
                "execution.$": "$$.Execution.Id",
                "rejected_at.$": "$$.State.EnteredTime",
            },
        ),
        result_path="$.announced",
        timeout_seconds=API_TIMEOUT_S,
        retry=[EVENTS_BUSY],
    )
    failed = Fail(
        "Rejected",
        comment="The reason is also in the event.",
        asl={"ErrorPath": "$.error.Error", "CausePath": "$.error.Cause"},
    )

    # The picture: the straight way first, then everything that leaves it.
    Chain(
        [
            name_it,
            train,
            create_model,
            configure_endpoint,
            find_endpoint,
            update_endpoint,
            wait,
            look,
            count,
            in_service,
        ]
    )
    find_endpoint_missing(find_endpoint, create_endpoint)
    Chain([create_endpoint, wait])
    in_service.add_choice(
        ChoiceRule.And(
            [
                ChoiceRule.StringEquals("$.endpoint.status", "InService"),
                ChoiceRule.StringEqualsPath("$.endpoint.config", "$.run.name"),
            ]
        ),
        promoted,
    )
    in_service.add_choice(
        ChoiceRule.And(
            [
                ChoiceRule.Or(
                    [
                        ChoiceRule.StringEquals("$.endpoint.status", busy)
                        for busy in ("Creating", "Updating", "RollingBack")
                    ]
                ),
                ChoiceRule.NumericLessThan("$.run.polls", POLLS),
            ]
        ),
        wait,
    )
    in_service.default_choice(never_in_service)
    Chain([never_in_service, rejected, failed])
    for step in (train, create_model, configure_endpoint, find_endpoint, update_endpoint, create_endpoint, look):
        on_error(step, ["States.ALL"], rejected)

    return Graph(
        name_it, comment="A training job becomes the model behind the endpoint, or the endpoint stays as it is."
    )


def dynamic(step: Any, *within: str, **paths: Any) -> None:
    """Sets request fields the SDK only takes as constants; strings starting with `$.` or `States.` as JSONPath."""
    target = step.fields["parameters"]
    for key in within:
        target = target[key]
    for key, value in paths.items():
        target.pop(key, None)
        target[f"{key}.$" if isinstance(value, str) and value.startswith(("$.", "States.")) else key] = value


def describe_endpoint(name: str, comment: str, *, result_path: str) -> Any:
    """A state that reads the endpoint's status and configuration name."""
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


def find_endpoint_missing(find: Any, then: Any) -> None:
    """DescribeEndpoint answers a name it does not know with a ValidationException, which has no name of its own."""
    on_error(find, ["SageMaker.SageMakerException"], then)


def event(detail_type: str, detail: dict[str, Any]) -> dict[str, Any]:
    """Parameters that publish one of our events."""
    return {
        "Entries": [
            {"EventBusName": "${EventBus}", "Source": "scones.vehicles", "DetailType": detail_type, "Detail": detail}
        ]
    }
