"""The permissions that a reviewer needs: the policy of the IAM user with which the console runs."""

from typing import Any

from deploy.outputs import Deployed
from functions.shared.events import SOURCE

OWN_LABELS = "labels/*/${aws:userid}/*"
# A pattern has no classes of characters: `?` is any character.
REVIEW_STATES = "reviews/????/??/??/*.json"


def policy(deployed: Deployed) -> dict[str, Any]:
    """Return an IAM policy for everything that the pages of the console read and their buttons do, and nothing else.

    A reviewer writes labels under their own identity only (`aws:userid`), and no model, data set or record. They start
    no retraining, whose input chooses code and data: an operator replays one. The only event that they send is that a
    review was completed.
    """
    partition, region, account = (deployed.classify_photo_arn.split(":")[index] for index in (1, 3, 4))

    def arn(service: str, resource: str) -> str:
        return f"arn:{partition}:{service}:{region}:{account}:{resource}"

    def queue(url: str) -> str:
        return arn("sqs", url.rpartition("/")[2])

    def objects(bucket: str, *keys: str) -> list[str]:
        return [f"arn:{partition}:s3:::{bucket}/{key}" for key in keys]

    photos, models = (arn("dynamodb", f"table/{name}") for name in (deployed.photo_table, deployed.model_table))
    executions = deployed.classify_photo_arn.replace(":stateMachine:", ":execution:") + ":*"
    buckets = [f"arn:{partition}:s3:::{bucket}" for bucket in (deployed.uploads_bucket, deployed.ml_bucket)]
    failed = [queue(deployed.review_dead_letter_queue_url), queue(deployed.unrouted_queue_url)]
    take = ["sqs:ReceiveMessage", "sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
    statements: list[tuple[str | list[str], str | list[str]]] = [
        ([*take, "sqs:SendMessage"], queue(deployed.review_queue_url)),
        (take, failed),
        # Without s3:ListBucket, S3 answers 403 instead of 404 for an object that does not exist.
        ("s3:ListBucket", buckets),
        (["s3:GetObject", "s3:PutObject"], objects(deployed.uploads_bucket, "uploads/*")),
        ("s3:GetObject", objects(deployed.ml_bucket, "labels/*", "reviews/*", "models/*", "initial/*")),
        ("s3:PutObject", objects(deployed.ml_bucket, OWN_LABELS, REVIEW_STATES)),
        (["dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query"], [photos, f"{photos}/index/*"]),
        (["dynamodb:GetItem", "dynamodb:Scan"], models),
        # SendTaskSuccess has no resource: the task token is the permission.
        ("states:SendTaskSuccess", "*"),
        (["states:StartExecution", "states:ListExecutions"], deployed.classify_photo_arn),
        (["states:DescribeExecution", "states:GetExecutionHistory"], executions),
        ("logs:FilterLogEvents", arn("logs", f"log-group:{deployed.log_group('*')}")),
        ("ssm:GetParameter", arn("ssm", f"parameter/{deployed.threshold_parameter.lstrip('/')}")),
        (
            ["sagemaker:DescribeEndpoint", "sagemaker:DescribeEndpointConfig", "sagemaker:DescribeModel"],
            [
                arn("sagemaker", f"endpoint/{deployed.endpoint_name}"),
                arn("sagemaker", f"endpoint-config/vehicles-{deployed.stage}-*"),
                arn("sagemaker", f"model/vehicles-{deployed.stage}-*"),
            ],
        ),
        ("sagemaker:ListModels", "*"),
    ]
    # "Using IAM policy conditions in Amazon EventBridge", EventBridge User Guide.
    completed = {"StringEquals": {"events:source": SOURCE, "events:detail-type": "Review Completed"}}
    bus = arn("events", f"event-bus/{deployed.event_bus}")
    return {
        "Version": "2012-10-17",
        "Statement": [
            *({"Effect": "Allow", "Action": action, "Resource": resource} for action, resource in statements),
            {"Effect": "Allow", "Action": "events:PutEvents", "Resource": bus, "Condition": completed},
        ],
    }
