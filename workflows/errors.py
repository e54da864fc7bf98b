"""Transient errors, which a retry can resolve, by the service that raises them.

The names come from "Handle Lambda service exceptions" and "Handling errors in Step Functions workflows" in the AWS Step
Functions Developer Guide. `workflows.graph` checks that every task retries the errors that `TRANSIENT` lists for its
service.
"""

LAMBDA_TRANSIENT = (
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
)

# The execution environment ended before the function returned: out of memory, a crash or a function timeout.
LAMBDA_CRASHES = ("Lambda.Unknown", "Runtime.ExitError", "Sandbox.Timedout")

# The optimised integration has one error name for every refused request, throttled ones included.
SAGEMAKER_TRANSIENT = ("SageMaker.AmazonSageMakerException",)

# The AWS SDK integration has a name for each modelled error. SageMaker.SageMakerException is its name for a
# ValidationException ("Could not find endpoint" is one), which no retry resolves.
SAGEMAKER_SDK_TRANSIENT = ("SageMaker.SdkClientException", "SageMaker.ThrottlingException")

# "Errors" of the actions in the Application Auto Scaling API Reference. A target that was registered a moment ago may
# not be found yet.
SCALING_TRANSIENT = (
    "ApplicationAutoScaling.SdkClientException",
    "ApplicationAutoScaling.ThrottlingException",
    "ApplicationAutoScaling.ConcurrentUpdateException",
    "ApplicationAutoScaling.InternalServiceException",
)
SCALING_TARGET_MISSING = "ApplicationAutoScaling.ObjectNotFoundException"

# States.TaskFailed matches every error except a timeout. The guide lists no error names for SQS and EventBridge, and
# the requests of these workflows are never invalid.
ANY_FAILURE = ("States.TaskFailed",)

TRANSIENT = {
    "lambda": LAMBDA_TRANSIENT,
    "sagemaker": SAGEMAKER_TRANSIENT,
    "aws-sdk:sagemaker": SAGEMAKER_SDK_TRANSIENT,
    "aws-sdk:applicationautoscaling": SCALING_TRANSIENT,
    "sqs": ANY_FAILURE,
    "events": ANY_FAILURE,
    "dynamodb": ("DynamoDB.ProvisionedThroughputExceededException", "DynamoDB.SdkClientException"),
    "states": ("StepFunctions.SdkClientException",),
}
