"""Models and endpoint configurations."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from local.images.registry import Image, ImageMissing, Images
from local.sagemaker.aws import DataError, Storage, arn, sagemaker_role
from local.sagemaker.errors import validation_error
from local.sagemaker.records import Records, page
from local.sagemaker.registry import Registry
from local.service_roles import ServiceRole


@dataclass(frozen=True)
class ServedContainer:
    """What an endpoint runs: an image and its URI, the S3 URI of the model's files, or nothing, and variables."""

    image: Image
    uri: str
    data_url: str
    environment: dict[str, str]
    isolated: bool


class Models:
    """The operations on models. A model is kept as its CreateModel request with ARN and creation time."""

    def __init__(self, storage: Storage, registry: Registry, images: Images) -> None:
        self._storage = storage
        self._images = images
        self._registry = registry
        self.records: Records[dict[str, Any]] = Records()

    def create_model(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["ModelName"]
        containers = _containers(request)
        if len(containers) != 1:
            raise validation_error("The embedded AWS supports models with one container only: set PrimaryContainer.")
        container = self._resolved(containers[0])
        try:
            self._images.find(container.get("Image", ""))
        except ImageMissing as error:
            raise validation_error(str(error)) from error
        url = container.get("ModelDataUrl")
        role = sagemaker_role(request.get("ExecutionRoleArn", ""), arn("model", name))
        if url and not self._exists(role, url):
            raise validation_error(
                f'Could not access model data at {url}. Please ensure that the role "{role.arn}" exists and that its '
                'trust relationship policy allows the action "sts:AssumeRole" for the service principal '
                f'"{role.service}". Also ensure that the role has "s3:GetObject" permissions and that the object '
                "exists."
            )
        model = {**request, "ModelArn": arn("model", name), "CreationTime": time.time()}
        taken = validation_error(f'Cannot create already existing model "{model["ModelArn"]}".')
        self.records.add(name, model, lambda: taken)
        return {"ModelArn": model["ModelArn"]}

    def _exists(self, role: ServiceRole, url: str) -> bool:
        """Whether the role can be assumed and reads the model data."""
        try:
            return self._storage.as_role(role).exists(url)
        except DataError:
            return False

    def describe_model(self, request: dict[str, Any]) -> dict[str, Any]:
        model = self.find(request["ModelName"])
        return {name: value for name, value in model.items() if name != "Tags"}

    def delete_model(self, request: dict[str, Any]) -> dict[str, Any]:
        self.find(request["ModelName"])
        self.records.remove(request["ModelName"])
        return {}

    def list_models(self, request: dict[str, Any]) -> dict[str, Any]:
        shown = ("ModelName", "ModelArn", "CreationTime")
        items = [{key: model[key] for key in shown} for model in self.records]
        chosen, more = page(request, items, "ModelName")
        return {"Models": chosen, **more}

    def find(self, name: str) -> dict[str, Any]:
        return self.records.require(name, validation_error(f'Could not find model "{arn("model", name)}".'))

    def role_arn(self, name: str) -> str:
        """Return the ARN of the execution role of a model."""
        return str(self.find(name).get("ExecutionRoleArn", ""))

    def container(self, name: str) -> ServedContainer:
        """Return the container of a model, with the values of its model package. Raises DataError without its image."""
        model = self.find(name)
        definition = self._resolved(_containers(model)[0])
        try:
            image = self._images.find(definition["Image"])
        except ImageMissing as error:
            raise DataError(str(error)) from error
        return ServedContainer(
            image=image,
            uri=definition["Image"],
            data_url=definition.get("ModelDataUrl", ""),
            environment=definition.get("Environment", {}),
            isolated=bool(model.get("EnableNetworkIsolation")),
        )

    def _resolved(self, container: dict[str, Any]) -> dict[str, Any]:
        """Return a container definition with image, data and environment of the model package that it names."""
        if "ModelPackageName" not in container:
            return container
        package = self._registry.find(container["ModelPackageName"])
        inside = package.get("InferenceSpecification", {}).get("Containers", [{}])[0]
        variables = {**inside.get("Environment", {}), **container.get("Environment", {})}
        return {**inside, **container, "Environment": variables}


class EndpointConfigs:
    """The operations on endpoint configurations."""

    def __init__(self, models: Models) -> None:
        self._models = models
        self.records: Records[dict[str, Any]] = Records()

    def create_endpoint_config(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["EndpointConfigName"]
        variants = request["ProductionVariants"]
        if len({variant["VariantName"] for variant in variants}) != len(variants):
            raise validation_error("Variant names within an endpoint configuration must be unique.")
        if request.get("DataCaptureConfig", {}).get("EnableCapture"):
            raise validation_error("The embedded AWS has no data capture; leave DataCaptureConfig out.")
        for variant in variants:
            if "ModelName" not in variant:
                raise validation_error("The embedded AWS needs a ModelName in every production variant.")
            self._models.find(variant["ModelName"])
        config = {
            **request,
            "ProductionVariants": [{"InitialVariantWeight": 1.0, **variant} for variant in variants],
            "EndpointConfigArn": arn("endpoint-config", name),
            "CreationTime": time.time(),
        }
        taken = validation_error(
            f'Cannot create already existing endpoint configuration "{config["EndpointConfigArn"]}".'
        )
        self.records.add(name, config, lambda: taken)
        return {"EndpointConfigArn": config["EndpointConfigArn"]}

    def describe_endpoint_config(self, request: dict[str, Any]) -> dict[str, Any]:
        config = self.find(request["EndpointConfigName"])
        return {name: value for name, value in config.items() if name != "Tags"}

    def delete_endpoint_config(self, request: dict[str, Any]) -> dict[str, Any]:
        self.find(request["EndpointConfigName"])
        self.records.remove(request["EndpointConfigName"])
        return {}

    def list_endpoint_configs(self, request: dict[str, Any]) -> dict[str, Any]:
        shown = ("EndpointConfigName", "EndpointConfigArn", "CreationTime")
        items = [{key: config[key] for key in shown} for config in self.records]
        chosen, more = page(request, items, "EndpointConfigName")
        return {"EndpointConfigs": chosen, **more}

    def find(self, name: str) -> dict[str, Any]:
        missing = f'Could not find endpoint configuration "{arn("endpoint-config", name)}".'
        return self.records.require(name, validation_error(missing))


def _containers(request: dict[str, Any]) -> list[dict[str, Any]]:
    primary = request.get("PrimaryContainer")
    return [primary] if primary else list(request.get("Containers", ()))
