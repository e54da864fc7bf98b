"""Endpoints: create, update without interruption, delete, invoke."""

from __future__ import annotations

import random
import threading
import time
from typing import Any

from ministack.core.responses import get_account_id, get_region, request_scope

from local.lambdas import emf
from local.sagemaker.aws import DataError, Storage, arn, prepare_instance, sagemaker_role, start_thread
from local.sagemaker.deployments import Deployment, read_deployment
from local.sagemaker.errors import SageMakerError, validation_error
from local.sagemaker.jobs import logger
from local.sagemaker.models import EndpointConfigs, Models
from local.sagemaker.records import Records, page
from local.sagemaker.variants import NoResponse, NotHealthy, Unreachable, Variant
from local.settings import Settings

# "Real-time inference ... payload sizes up to 25 MB", Amazon SageMaker AI Developer Guide, Inference options.
MAX_BODY_BYTES = 25 * 1024 * 1024
AT_ONCE = Deployment()


class RolledBack(Exception):
    """An alarm ended the deployment; the message is the FailureReason."""


class Endpoint:
    """An endpoint: its variants in service, and its pending configuration, if any. `SAVED` survives a restart.

    `counts` has the number of instances of each variant in service, `targets` the scalable target of each variant that
    is registered with Application Auto Scaling. `incoming` are the variants of the pending configuration that get
    `share` of the traffic, in [0, 1]; `stage` is the status of the pending variants, and since when.
    """

    SAVED = ("name", "status", "failure_reason", "created", "modified", "config", "counts", "targets", "deployment")

    def __init__(self, name: str) -> None:
        self.name = name
        self.arn = arn("endpoint", name)
        self.status = "Creating"
        self.failure_reason: str | None = None
        self.created = self.modified = time.time()
        self.config: dict[str, Any] = {}
        self.pending: dict[str, Any] | None = None
        self.deployment: dict[str, Any] = {}
        self.variants: list[Variant] = []
        self.incoming: list[Variant] = []
        self.share = 0.0
        self.stage: tuple[str, float] = ("Creating", self.created)
        self.counts: dict[str, int] = {}
        self.targets: dict[str, dict[str, Any]] = {}
        self.deleted = threading.Event()
        self.lock = threading.Lock()

    def set_status(self, status: str, failure_reason: str | None = None) -> None:
        """Set status and failure reason."""
        self.status = status
        self.failure_reason = failure_reason
        self.modified = time.time()

    def set_stage(self, status: str) -> None:
        """Set the status of the variants of the pending configuration."""
        self.stage = (status, time.time())

    def instance_types(self) -> dict[str, str]:
        """Return the instance type of each variant of the configuration in service."""
        return _instance_types(self.config)

    def choose_variant(self, target: str) -> Variant:
        """Return the target variant, or without one a variant chosen by weight. Raises ValidationError."""
        incoming = self.incoming
        variants = incoming if incoming and random.random() < self.share else self.variants  # noqa: S311 (traffic)
        if target:
            for variant in variants:
                if variant.name == target:
                    return variant
            raise SageMakerError("ValidationError", f"Variant {target} not found for endpoint {self.name}.")
        weights = [float(variant.definition["InitialVariantWeight"]) for variant in variants]
        return random.choices(variants, weights if any(weights) else None)[0]  # noqa: S311 (traffic, not a secret)


class Endpoints:
    """The operations on endpoints, and InvokeEndpoint."""

    def __init__(self, models: Models, configs: EndpointConfigs, settings: Settings, storage: Storage) -> None:
        self._models = models
        self._configs = configs
        self._settings = settings
        self._storage = storage
        self.endpoints: Records[Endpoint] = Records()

    def create_endpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        config = self._configs.find(request["EndpointConfigName"])
        endpoint = Endpoint(request["EndpointName"])
        endpoint.config = config
        taken = validation_error(f'Cannot create already existing endpoint "{endpoint.arn}".')
        self.endpoints.add(endpoint.name, endpoint, lambda: taken)
        start_thread(f"create {endpoint.name}", self._deploy, endpoint, config, _instance_counts(config))
        return {"EndpointArn": endpoint.arn}

    def update_endpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        endpoint = self.find(request["EndpointName"])
        config = self._configs.find(request["EndpointConfigName"])
        with endpoint.lock:
            if endpoint.status != "InService":
                in_progress = endpoint.status in ("Creating", "Updating", "Deleting")
                status = "in-progress" if in_progress else endpoint.status.lower()
                raise validation_error(f'Cannot update {status} endpoint "{endpoint.arn}".')
            _refuse_other_types_of_targets(endpoint, config)
            counts = _instance_counts(config)
            if request.get("RetainAllVariantProperties"):
                excluded = request.get("ExcludeRetainedVariantProperties", [])
                if {"VariantPropertyType": "DesiredInstanceCount"} not in excluded:
                    counts |= {name: count for name, count in endpoint.counts.items() if name in counts}
            retained = endpoint.deployment if request.get("RetainDeploymentConfig") else {}
            endpoint.deployment = request.get("DeploymentConfig", retained)
            deployment = read_deployment(endpoint.deployment, counts)
            endpoint.set_status("Updating")
            endpoint.set_stage("Creating")
            endpoint.pending = config
        start_thread(f"update {endpoint.name}", self._deploy, endpoint, config, counts, deployment)
        return {"EndpointArn": endpoint.arn}

    def delete_endpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        endpoint = self.find(request["EndpointName"])
        with endpoint.lock:
            if endpoint.status in ("Creating", "Updating"):
                raise validation_error(f'Cannot delete in-progress endpoint "{endpoint.arn}".')
            endpoint.set_status("Deleting")
            endpoint.deleted.set()
        start_thread(f"delete {endpoint.name}", self._remove, endpoint)
        return {}

    def describe_endpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        endpoint = self.find(request["EndpointName"])
        answer: dict[str, Any] = {
            "EndpointName": endpoint.name,
            "EndpointArn": endpoint.arn,
            "EndpointConfigName": endpoint.config["EndpointConfigName"],
            "EndpointStatus": endpoint.status,
            "CreationTime": endpoint.created,
            "LastModifiedTime": endpoint.modified,
        }
        if endpoint.variants:
            answer["ProductionVariants"] = [
                _variant_summary(variant, endpoint.counts[variant.name], endpoint.modified)
                for variant in endpoint.variants
            ]
        if endpoint.failure_reason:
            answer["FailureReason"] = endpoint.failure_reason
        if endpoint.deployment:
            answer["LastDeploymentConfig"] = endpoint.deployment
        if endpoint.pending is not None:
            status, since = endpoint.stage
            answer["PendingDeploymentSummary"] = {
                "EndpointConfigName": endpoint.pending["EndpointConfigName"],
                "StartTime": endpoint.modified,
                "ProductionVariants": [
                    {"VariantName": name, "VariantStatus": [{"Status": status, "StartTime": since}]}
                    for name in _instance_counts(endpoint.pending)
                ],
            }
        return answer

    def list_endpoints(self, request: dict[str, Any]) -> dict[str, Any]:
        items = [
            {
                "EndpointName": endpoint.name,
                "EndpointArn": endpoint.arn,
                "CreationTime": endpoint.created,
                "LastModifiedTime": endpoint.modified,
                "EndpointStatus": endpoint.status,
            }
            for endpoint in self.endpoints
        ]
        chosen, more = page(request, items, "EndpointName", "EndpointStatus")
        return {"Endpoints": chosen, **more}

    def find(self, name: str) -> Endpoint:
        return self.endpoints.require(name, validation_error(f'Could not find endpoint "{arn("endpoint", name)}".'))

    def resume(self) -> None:
        """Start the model servers of restored endpoints; S3 must respond already."""
        for (account, region, _name), endpoint in self.endpoints.all_items().items():
            if endpoint.status == "Creating":
                with request_scope(account, region):
                    counts = endpoint.counts or _instance_counts(endpoint.config)
                    start_thread(f"resume {endpoint.name}", self._deploy, endpoint, endpoint.config, counts)

    def starting(self) -> bool:
        """Whether an endpoint is not in service yet."""
        return any(endpoint.status == "Creating" for endpoint in self.endpoints.all_items().values())

    def invoke_endpoint(self, name: str, body: bytes, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
        """Invoke an endpoint; returns body and headers. Raises ValidationError, ModelError or ServiceUnavailable."""
        endpoint = self.endpoints.get(name)
        if endpoint is None or endpoint.status not in ("InService", "Updating"):
            raise SageMakerError("ValidationError", f"Endpoint {name} of account {get_account_id()} not found.")
        if len(body) > MAX_BODY_BYTES:
            raise SageMakerError("ValidationError", f"Request size exceeds the limit of {MAX_BODY_BYTES} bytes.", 413)
        variant = endpoint.choose_variant(headers.get("x-amzn-sagemaker-target-variant", ""))
        content_type = headers.get("content-type", "application/octet-stream")
        sent = {"Content-Type": content_type, "Accept": headers.get("accept", "*/*")}
        for header in ("x-amzn-sagemaker-custom-attributes", "x-amzn-sagemaker-inference-id"):
            if header in headers:
                sent[header] = headers[header]
        began = time.monotonic()
        status, answer, kind = self._invoke_variant(endpoint, variant, body, sent)
        self._publish_metrics(endpoint, variant, status, time.monotonic() - began)
        if status >= 400 or status == 0:
            raise _model_error(endpoint, variant, status, answer)
        return answer, {"Content-Type": kind, "x-Amzn-Invoked-Production-Variant": variant.name}

    def _invoke_variant(
        self, endpoint: Endpoint, variant: Variant, body: bytes, headers: dict[str, str]
    ) -> tuple[int, bytes, str]:
        try:
            return variant.invoke(body, headers)
        except NoResponse as error:
            return 0, str(error).encode(), "text/plain"
        except Unreachable as error:
            self._publish_metrics(endpoint, variant, 503, 0.0)
            text = f"Endpoint {endpoint.name} has no healthy instance at the moment."
            raise SageMakerError("ServiceUnavailable", text, 503) from error

    def _publish_metrics(self, endpoint: Endpoint, variant: Variant, status: int, seconds: float) -> None:
        where = {"EndpointName": endpoint.name, "VariantName": variant.name}
        values = {
            "Invocations": (1.0, "None"),
            "InvocationsPerInstance": (1 / endpoint.counts.get(variant.name, 1), "None"),
            "Invocation4XXErrors": (float(400 <= status < 500), "None"),
            "Invocation5XXErrors": (float(status >= 500 or status == 0), "None"),
            "ModelLatency": (seconds * 1e6, "Microseconds"),
        }
        emf.put_metrics("AWS/SageMaker", where, values)

    def _deploy(
        self, endpoint: Endpoint, config: dict[str, Any], counts: dict[str, int], deployment: Deployment = AT_ONCE
    ) -> None:
        """Start the variants of `config`, each with its number of instances in `counts`, and shift the traffic to them.

        The old ones stay if one of them fails, or when an alarm of the deployment is in ALARM.
        """
        started: list[Variant] = []
        try:
            for definition in config["ProductionVariants"]:
                container = self._models.container(definition["ModelName"])
                role = sagemaker_role(self._models.role_arn(definition["ModelName"]), endpoint.arn)
                prepare_instance(role, container.uri, f"/aws/sagemaker/Endpoints/{endpoint.name}")
                variant = Variant(
                    endpoint.name, definition, container, self._settings, self._storage.as_role(role), role
                )
                variant.start()
                started.append(variant)
            if tripped := _shift_traffic(endpoint, started, deployment):
                raise RolledBack(f"Deployment rolled back, because alarms were in ALARM: {', '.join(tripped)}.")
        except Exception as error:
            endpoint.share, endpoint.incoming = 0.0, []
            for variant in started:
                variant.stop()
            if not isinstance(error, NotHealthy | DataError | SageMakerError | RolledBack):
                logger.exception("endpoint %s", endpoint.name)
            with endpoint.lock:
                endpoint.pending = None
                # After a failed update the endpoint is in service with its previous variants.
                endpoint.set_status("InService" if endpoint.variants else "Failed", str(error))
            return
        with endpoint.lock:
            previous, endpoint.variants = endpoint.variants, started
            endpoint.share, endpoint.incoming = 0.0, []
            endpoint.config, endpoint.pending, endpoint.counts = config, None, counts
            endpoint.set_status("InService")
        for variant in previous:
            variant.stop()

    def _remove(self, endpoint: Endpoint) -> None:
        for variant in endpoint.variants:
            variant.stop()
        self.endpoints.remove(endpoint.name)


def _shift_traffic(endpoint: Endpoint, started: list[Variant], deployment: Deployment) -> list[str]:
    """Shift the traffic to the started variants step by step; return the alarms that went off, which end it."""
    if not endpoint.variants:
        return []
    for step in deployment.steps:
        # An alarm that the old fleet tripped before the deployment ends it too.
        if tripped := deployment.tripped():
            return tripped
        endpoint.set_stage("ActivatingTraffic")
        endpoint.incoming, endpoint.share = started, step.share
        endpoint.set_stage("Baking")
        if tripped := deployment.bake(step, endpoint.deleted):
            return tripped
    return []


def _instance_counts(config: dict[str, Any]) -> dict[str, int]:
    return {found["VariantName"]: int(found.get("InitialInstanceCount", 1)) for found in config["ProductionVariants"]}


def _instance_types(config: dict[str, Any]) -> dict[str, str]:
    return {found["VariantName"]: found.get("InstanceType", "") for found in config["ProductionVariants"]}


def _refuse_other_types_of_targets(endpoint: Endpoint, config: dict[str, Any]) -> None:
    """Raise ValidationException when `config` changes the instance type of a variant that is a scalable target."""
    before, after = endpoint.instance_types(), _instance_types(config)
    for name in endpoint.targets:
        if before[name] != after.get(name):
            raise validation_error(
                f"The instance type of variant {name} of endpoint {endpoint.name} cannot change while it is registered "
                "with Application Auto Scaling. Deregister it as a scalable target first."
            )


def _variant_summary(variant: Variant, count: int, since: float) -> dict[str, Any]:
    weight = float(variant.definition["InitialVariantWeight"])
    image = {"SpecifiedImage": variant.image, "ResolvedImage": variant.image, "ResolutionTime": since}
    return {
        "VariantName": variant.name,
        **({"DeployedImages": [image]} if variant.image else {}),
        "CurrentWeight": weight,
        "DesiredWeight": weight,
        "CurrentInstanceCount": count,
        "DesiredInstanceCount": count,
    }


def _model_error(endpoint: Endpoint, variant: Variant, status: int, answer: bytes) -> SageMakerError:
    side = "client" if 400 <= status < 500 else "server"
    original = answer.decode(errors="replace")[:8192]
    group = f"/aws/sagemaker/Endpoints/{endpoint.name}"
    error = SageMakerError(
        "ModelError",
        f'Received {side} error ({status}) from primary with message "{original}". See '
        f"https://{get_region()}.console.aws.amazon.com/cloudwatch/home?region={get_region()}"
        f"#logEventViewer:group={group} in account {get_account_id()} for more information.",
        424,
    )
    error.details = {
        "OriginalMessage": original,
        "OriginalStatusCode": status,
        "LogStreamArn": f"arn:aws:logs:{get_region()}:{get_account_id()}:log-group:{group}",
    }
    return error
