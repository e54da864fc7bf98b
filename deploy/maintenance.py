"""Alarms do not notify while a stage is deployed."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from deploy.templates.functions import METRICS_NAMESPACE

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient

METRIC = "Deploying"
"""The metric of the alarm `scones-{stage}-maintenance`, with the dimension `stage`."""
# A period of that alarm.
PERIOD_S = 60.0


@contextmanager
def silenced(stage: str, progress: Callable[[str], None]) -> Iterator[None]:
    """Silence the alarms of a stage during the block, and for two or three minutes after it, also when it is killed.

    Where the metric cannot be published, `progress` is told, and the block runs with alarms that notify.
    """
    cloudwatch: CloudWatchClient = boto3.client("cloudwatch")
    ended = threading.Event()

    def publish_until_ended() -> None:
        while True:
            try:
                cloudwatch.put_metric_data(
                    Namespace=METRICS_NAMESPACE,
                    MetricData=[
                        {"MetricName": METRIC, "Dimensions": [{"Name": "stage", "Value": stage}], "Value": 1.0}
                    ],
                )
            except (ClientError, BotoCoreError) as error:
                progress(f"Alarms may notify during this deployment: {error}")
                return
            if ended.wait(PERIOD_S):
                return

    thread = threading.Thread(target=publish_until_ended, name="silence alarms", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
