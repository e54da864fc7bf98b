"""Which errors are worth another try, by the service that raises them, and how patiently to try.

The names come from "Handle Lambda service exceptions" and "Handling errors in Step Functions workflows" in the AWS Step
Functions Developer Guide. The graph check holds every task to `TRANSIENT`.
"""

LAMBDA_TRANSIENT = (
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
)

# What the death of one Lambda environment looks like: out of memory, a crash, a function timeout.
LAMBDA_ACCIDENTS = ("Lambda.Unknown", "Runtime.ExitError", "Sandbox.Timedout")

# The optimised integration names every refusal alike, throttling included.
SAGEMAKER_TRANSIENT = ("SageMaker.AmazonSageMakerException",)

# The AWS SDK integration names modelled errors; SageMaker.SageMakerException is its ValidationException, which no
# retry repairs ("could not find endpoint" is one).
SAGEMAKER_SDK_TRANSIENT = ("SageMaker.SdkClientException", "SageMaker.ThrottlingException")

# States.TaskFailed is any error but a timeout. SQS and EventBridge refuse nothing of ours for good, and the guide lists
# no names for them.
ANY_FAILURE = ("States.TaskFailed",)

TRANSIENT = {
    "lambda": LAMBDA_TRANSIENT,
    "sagemaker": SAGEMAKER_TRANSIENT,
    "aws-sdk:sagemaker": SAGEMAKER_SDK_TRANSIENT,
    "sqs": ANY_FAILURE,
    "events": ANY_FAILURE,
    "dynamodb": ("DynamoDB.ProvisionedThroughputExceededException", "DynamoDB.SdkClientException"),
    "states": ("StepFunctions.SdkClientException",),
}
