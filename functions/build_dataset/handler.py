"""AWS Lambda: BuildDataset, the first step of a retraining."""

from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import ClientError

from functions.build_dataset.base_data import BaseData, check_base_data
from functions.build_dataset.endpoint_repair import ChampionEndpoint
from functions.build_dataset.initial import InitialModel, accepted_state, refused_state
from functions.build_dataset.labels import Limits
from functions.build_dataset.prepare import Prepared, find_obstacle, required_labels
from functions.build_dataset.request import REPAIR, Request
from functions.build_dataset.rollout import Rollout, usable_alarms
from functions.build_dataset.skipped import SkippedLabels
from functions.build_dataset.snapshot import SnapshotStore
from functions.shared.aws import client, error_code
from functions.shared.champion import Champion, ModelTable, Reference
from functions.shared.errors import InvalidInput, SconesError
from functions.shared.observability import count, log_failures, make_logger_and_metrics
from functions.shared.photo_reader import PhotoReader
from functions.shared.running import is_running
from functions.shared.s3 import ABSENT, parse_uri
from functions.shared.settings import read_settings
from functions.shared.shapes import object_with, read_execution, text
from functions.shared.times import now
from functions.shared.training_input import read_training_input
from functions.shared.vehicles import load_vehicles


class ReferenceMissing(SconesError):
    """The artifact of the reference model is gone."""


@dataclass(frozen=True)
class Settings:
    """Environment variables of the function.

    `image` is the deployed container image, as repository and digest. `max_labels_per_driver` and
    `max_labels_per_reviewer` limit what one person can teach a model. `allow_drawn_training_data`: whether a model that
    was trained on pictures drawn by the program may be promoted.
    """

    ml_bucket: str
    model_table: str
    photo_table: str
    endpoint_name: str
    image: str
    min_new_labels: int
    max_labels_per_driver: int
    max_labels_per_reviewer: int
    bake_seconds: int
    bake_alarms: str
    canary_percent: int
    rollout_seconds: int
    endpoint_min_instances: int
    allow_drawn_training_data: bool


settings = read_settings(Settings)
logger, metrics = make_logger_and_metrics("build-dataset")
s3 = client("s3", read_timeout_s=20)
table = ModelTable(settings.model_table, client("dynamodb"))
limits = Limits(settings.max_labels_per_driver, settings.max_labels_per_reviewer)
store = SnapshotStore(settings.ml_bucket, s3, PhotoReader(settings.photo_table, client("dynamodb")), limits)
endpoint = ChampionEndpoint(
    settings.endpoint_name, table, client("sagemaker", read_timeout_s=20), client("application-autoscaling")
)
vehicles = load_vehicles()


@logger.inject_lambda_context(correlation_id_path="execution", clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@log_failures(logger)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Acquire the lock, restore the champion, create the snapshot; the workflow continues when `proceed` is true.

    For an initial model there is no snapshot.
    """
    execution = read_execution(event)
    object_with({"run": object_with({"name": text})})(event, "the event")
    table.acquire_lock(execution, now(), lambda holder: is_running(client("stepfunctions"), holder))
    recorded = read_training_input(s3, settings.ml_bucket)
    request = Request.from_state(event.get("request"), recorded, vehicles, settings.image)
    request.check_addresses(settings.ml_bucket, settings.image.partition("@")[0])
    if request.initial_model:
        return prepare_initial_model(request, request.initial_model)
    champion = endpoint.restore_champion()
    if champion and request.trigger == REPAIR:
        endpoint.check_in_service(champion)
    candidate = read_candidate(request, champion)
    classes = request.classes or tuple(vehicles.bays)
    base, snapshot, features, new_labels, unjudged = BaseData(), None, None, 0, 0
    if find_obstacle(request, champion) is None:
        base = BaseData.read(request.dataset, s3)
        snapshot = store.create(request.dataset, classes)
        features = store.find_features(champion.artifact if champion else None)
        trained_on = champion.snapshot if champion else None
        new_labels = store.count_new_labels(snapshot, trained_on)
        earlier = {*table.judged_snapshots(), *table.rolled_back_snapshots()}
        unjudged = store.count_new_labels(snapshot, trained_on, *sorted(earlier))
        log_and_count_skipped(snapshot.skipped)
    prepared = Prepared(
        request=request,
        model_version=event["run"]["name"],
        bucket=settings.ml_bucket,
        snapshot=snapshot,
        labelled=store.labelled_photos,
        features=features,
        drawn=base.drawn,
        new_labels=new_labels,
        unjudged=unjudged,
        required=required_labels(request, settings.min_new_labels),
        champion=champion,
        bake_s=settings.bake_seconds,
        rollout=plan_rollout(),
        reference=table.reference(),
        candidate=candidate,
    )
    if prepared.proceed:
        check_reference(prepared.reference, champion)
        check_base_data(base, request, classes, settings.allow_drawn_training_data)
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


def plan_rollout() -> Rollout:
    """Return how the challenger is put into service."""
    alarms = usable_alarms(settings.bake_alarms.split(","), client("cloudwatch"))
    return Rollout(settings.canary_percent, settings.rollout_seconds, settings.endpoint_min_instances, alarms)


def read_candidate(request: Request, champion: Champion | None) -> InitialModel | None:
    """Return the model that is compared in place of one that is trained; None without one. Raises InvalidInput."""
    if request.candidate is None:
        return None
    candidate = InitialModel.read(request.candidate, s3)
    if champion and candidate.version == champion.model_version:
        raise InvalidInput(f"{candidate.version} is the champion of this stage already")
    return candidate


def check_reference(reference: Reference | None, champion: Champion | None) -> None:
    """Raise ReferenceMissing when the artifact of a reference model that is not the champion is gone.

    Otherwise the evaluation job would fail, after the training.
    """
    if reference is None or champion is None or reference.model_version == champion.model_version:
        return
    bucket, key = parse_uri(reference.artifact)
    try:
        s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error_code(error) not in {*ABSENT, "NoSuchBucket", "403"}:
            raise
        raise ReferenceMissing(
            f"the reference model {reference.model_version} cannot be compared: there is no {reference.artifact}, or "
            "this stage may not read it. Restore it, or replace the reference: make reference MODEL=champion"
        ) from error


def log_and_count_skipped(skipped: SkippedLabels) -> None:
    """Log the labels that are not used, and count them: the metric SkippedLabels has the dimension `reason`."""
    if not skipped.counts:
        return
    logger.info(
        "labels skipped",
        skipped=skipped.counts,
        photo_ids=skipped.examples,
        disagreeing_reviewers=skipped.disagreeing,
    )
    for reason, found in skipped.counts.items():
        count("SkippedLabels", found, service="build-dataset", reason=reason)


def prepare_initial_model(request: Request, artifact: str) -> dict[str, Any]:
    """Return the state for the deployment of an initial model, or for its refusal when the stage has a champion."""
    champion = table.champion() or endpoint.restore_champion()
    if champion:
        logger.info("initial model refused", artifact=artifact, champion=champion.model_version)
        return refused_state(request, champion)
    model = InitialModel.read(artifact, s3)
    logger.info("initial model accepted", artifact=artifact, model_version=model.version)
    return accepted_state(request, model)
