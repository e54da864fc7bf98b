"""The real Lambda handlers, imported with the environment of a deployed stage."""

import importlib
import os
import re
import sys
from collections.abc import Callable, Iterable
from typing import Any
from unittest.mock import patch

import workflows

REGION = "eu-west-1"
ACCOUNT = "123456789012"
IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/scones-test@sha256:{'0' * 64}"
FUNCTION_ARN = re.compile(r"\$\{((\w+)FunctionArn)\}")

Handler = Callable[[dict[str, Any], Any], Any]

ENVIRONMENT = {
    "AWS_DEFAULT_REGION": REGION,
    "AWS_REGION": REGION,
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "POWERTOOLS_SERVICE_NAME": "test",
    "POWERTOOLS_METRICS_NAMESPACE": "Scones/Vehicles",
    "STAGE": "test",
    "PHOTO_TABLE": "photos",
    "UPLOAD_COUNT_TABLE": "uploads-per-minute",
    "UPLOADS_PER_MINUTE": "30",
    "EVENT_BUS": "scones-test",
    "ENDPOINT_NAME": "scones-test",
    "OPENING_HOURS": "06:00-22:00",
    "TIME_ZONE": "Europe/Dublin",
    "DRIFT_PERIOD_HOURS": "24",
    "DRIFT_MIN_PHOTOS": "100",
    "DRIFT_PSI_LIMIT": "0.25",
    "DRIFT_WINDOW_PERIODS": "7",
    "DRIFT_LABELS": "100",
    "DRIFT_AUDIT_SHARE": "0.2",
    "THRESHOLD_PARAMETER": "/scones/test/threshold",
    "AUDIT_SHARE_PARAMETER": "/scones/test/audit-share",
    "AUDIT_SHARE": "0",
    "SECOND_OPINION_SHARE": "1",
    "ML_BUCKET": "scones-ml",
    "BATCH_RESULT_TABLE": "batch-results",
    "BATCH_CONCURRENCY": "2",
    "BATCH_TOLERATED_FAILURES": "5",
    "BATCH_REVIEWS": "10",
    "MODEL_TABLE": "models",
    "MODEL_GROUP": "scones-test",
    "IMAGE": IMAGE,
    "BAKE_ALARMS": "scones-test-endpoint-errors,scones-test-failed-executions",
    "MIN_NEW_LABELS": "5",
    "MAX_LABELS_PER_DRIVER": "200",
    "MAX_LABELS_PER_REVIEWER": "5000",
    "BAKE_SECONDS": "30",
    "CANARY_PERCENT": "50",
    "ROLLOUT_SECONDS": "60",
    "ENDPOINT_MIN_INSTANCES": "2",
    "ALLOW_DRAWN_TRAINING_DATA": "no",
    "GATE": "{}",
    "ROLLBACK_WINDOW_HOURS": "24",
    "REVIEW_QUEUE_URL": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/review",
    "AUDIT_QUEUE_URL": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/audit",
    "UNROUTED_QUEUE_URL": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/unrouted",
    "ALERT_TOPIC_ARN": f"arn:aws:sns:{REGION}:{ACCOUNT}:alerts",
    "UPLOADS_BUCKET": "uploads",
    "CLASSIFY_PHOTO_ARN": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:scones-test-classify-photo",
}

# The fields of the context object that the handlers read.
CONTEXT = {
    "memory_limit_in_mb": 256,
    "invoked_function_arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:any",
    "aws_request_id": "00000000-0000-0000-0000-000000000000",
    "get_remaining_time_in_millis": lambda: 300_000,
}


def invoked_functions(workflow: str) -> dict[str, str]:
    """The Lambdas that a workflow invokes: the placeholder of each ARN, and the folder of its code."""
    found = FUNCTION_ARN.findall(workflows.asl_path(workflow).read_text(encoding="utf-8"))
    return {placeholder: re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower() for placeholder, name in found}


def load_handlers(folders: Iterable[str]) -> dict[str, Handler]:
    """The handlers of these folders, from newly imported modules that read `ENVIRONMENT`.

    The modules of functions/ that other tests imported are kept for them.
    """
    others = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "functions"}
    try:
        with patch.dict(os.environ, ENVIRONMENT):
            os.environ.pop("AWS_ENDPOINT_URL", None)  # set by tests that start the embedded AWS
            return {folder: importlib.import_module(f"functions.{folder}.handler").handler for folder in folders}
    finally:
        for name in list(sys.modules):
            if name.split(".")[0] == "functions":
                del sys.modules[name]
        sys.modules.update(others)
