"""AWS Lambda: ProbeEndpoint, once when a new model begins to serve and once after its first minutes."""

from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.probe_endpoint.alarms import check_alarms
from functions.probe_endpoint.probe import MOST_PHOTOS, Golden, drawn_photo, probe
from functions.shared.aws import client
from functions.shared.objects import keys
from functions.shared.observability import instruments, reports_failures
from functions.shared.settings import read
from functions.shared.times import now, timestamp

GOLDEN = "golden/"


@dataclass(frozen=True)
class Settings:
    """What the function needs to know of its stack."""

    ml_bucket: str
    endpoint_name: str
    alarm_prefix: str


settings = read(Settings)
logger, metrics = instruments("probe-endpoint")
s3 = client("s3")
runtime = client("sagemaker-runtime", read_timeout_s=15, attempts=1)
cloudwatch = client("cloudwatch")


@logger.inject_lambda_context(correlation_id_path="execution", clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@reports_failures(logger)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Probe the endpoint for the model `event["run"]["name"]`; with `since`, look at the alarms since then too."""
    began = timestamp(now())
    result = probe(settings.endpoint_name, event["run"]["name"], golden() or [drawn_photo()], runtime)
    if since := event.get("since"):
        check_alarms(settings.alarm_prefix, datetime.fromisoformat(since), cloudwatch)
    logger.info("endpoint probed", photos=result.photos, right=result.right, p95_ms=round(result.p95_ms, 1))
    return {"photos": result.photos, "right": result.right, "p95_ms": result.p95_ms, "began": began}


def golden() -> list[Golden]:
    """The golden photos of the stage: `golden/{vehicle}/{name}` in the ML bucket, a few of them."""
    found = []
    for key in islice(keys(s3, settings.ml_bucket, GOLDEN), MOST_PHOTOS):
        path = PurePosixPath(key)
        image = s3.get_object(Bucket=settings.ml_bucket, Key=key)["Body"].read()
        found.append(Golden(path.name, image, path.parent.name))
    return found
