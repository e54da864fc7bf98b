"""AWS Lambda: BuildDataset, the beginning of a retraining."""

from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.build_dataset.base_data import BaseData, check_base_data, check_golden
from functions.build_dataset.endpoint_repair import Throne
from functions.build_dataset.initial import InitialModel, accepted, refused
from functions.build_dataset.prepare import Prepared, hindrance, needed
from functions.build_dataset.request import Request
from functions.build_dataset.snapshot import Store
from functions.shared.aws import client
from functions.shared.champion import ModelTable
from functions.shared.observability import make_logger_and_metrics, reports_failures
from functions.shared.running import is_running
from functions.shared.s3 import read_json
from functions.shared.settings import read
from functions.shared.times import now
from functions.shared.vehicles import vehicles


@dataclass(frozen=True)
class Settings:
    """What the function needs to know of its stack. The two numbers are texts, as every environment variable is.

    `allow_drawn_training_data` is `yes` where a model that was trained on drawn pictures may serve.
    """

    ml_bucket: str
    model_table: str
    photo_table: str
    endpoint_name: str
    min_new_labels: str
    bake_seconds: str
    allow_drawn_training_data: str


settings = read(Settings)
logger, metrics = make_logger_and_metrics("build-dataset")
s3 = client("s3", read_timeout_s=20)
table = ModelTable(settings.model_table, client("dynamodb"))
store = Store(settings.ml_bucket, s3, settings.photo_table, client("dynamodb"))
throne = Throne(settings.endpoint_name, table, client("sagemaker", read_timeout_s=20))
known = vehicles()


@logger.inject_lambda_context(correlation_id_path="execution", clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@reports_failures(logger)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take the lock, find the champion, freeze the data; the workflow goes on when `proceed` is true.

    For an initial model there is nothing to freeze.
    """
    execution = str(event.get("execution"))
    table.take_lock(execution, now(), lambda holder: is_running(client("stepfunctions"), holder))
    current = read_json(s3, f"s3://{settings.ml_bucket}/training/current.json")
    request = Request.from_state(event.get("request"), current, known)
    if request.initial_model:
        return initial(request, request.initial_model)
    champion = throne.champion()
    classes = request.classes or tuple(known.bays)
    base, snapshot, features, new_labels, unjudged = BaseData(), None, None, 0, 0
    if hindrance(request, champion) is None:
        base = BaseData.read(request.dataset, s3)
        snapshot = store.freeze(request.dataset, classes)
        features = store.features(champion.artifact if champion else None)
        learned = champion.snapshot if champion else None
        new_labels = store.new_since(snapshot, learned)
        unjudged = store.new_since(snapshot, learned, table.judged_snapshot(), *table.rolled_back_snapshots())
    prepared = Prepared(
        request=request,
        model_version=str(event["run"]["name"]),
        bucket=settings.ml_bucket,
        snapshot=snapshot,
        labelled=store.labelled,
        features=features,
        drawn=base.drawn,
        new_labels=new_labels,
        unjudged=unjudged,
        needed=needed(request, int(settings.min_new_labels)),
        champion=champion,
        bake_s=int(settings.bake_seconds),
    )
    if prepared.proceed:
        allow_drawn = settings.allow_drawn_training_data == "yes"
        check_base_data(base, request, classes, allow_drawn)
        check_golden(request, settings.ml_bucket)
    logger.info(
        "retraining prepared",
        snapshot=snapshot.uri if snapshot else None,
        labels=len(snapshot.entries) if snapshot else 0,
        new_labels=new_labels,
        unjudged_labels=unjudged,
        data_source=base.source,
        champion=champion.model_version if champion else None,
        proceed=prepared.proceed,
    )
    metrics.add_metric("NewLabels", MetricUnit.Count, new_labels)
    return prepared.as_state()


def initial(request: Request, artifact: str) -> dict[str, Any]:
    """What the workflow needs to put an initial model into service; a recorded champion's endpoint is not touched."""
    champion = table.champion() or throne.champion()
    if champion:
        logger.info("initial model refused", artifact=artifact, champion=champion.model_version)
        return refused(request, champion)
    check_golden(request, settings.ml_bucket)
    model = InitialModel.read(artifact, s3)
    logger.info("initial model accepted", artifact=artifact, model_version=model.version)
    return accepted(request, model)
