"""The SageMaker API on the port of the embedded AWS.

Patches: entries for SageMaker, which ministack does not have, in its routing tables (`router.SERVICE_PATTERNS`,
`app.SERVICE_HANDLERS`, `app.SERVICE_REGISTRY`, `app._loaded_modules`), in `app._state_map` for its saved state, and in
`iam_actions.SERVICE_TO_IAM_NAMESPACE` for authorization. Source of the operations: botocore's service model and the
Amazon SageMaker API Reference.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

from botocore import xform_name
from botocore.model import OperationModel
from ministack import app
from ministack.core import iam_actions, router

from local import patches
from local.images.registry import Images
from local.sagemaker import state, validation
from local.sagemaker.aws import Storage
from local.sagemaker.containers import Container
from local.sagemaker.endpoints import Endpoints
from local.sagemaker.errors import SageMakerError
from local.sagemaker.jobs import Job
from local.sagemaker.models import EndpointConfigs, Models
from local.sagemaker.processing import ProcessingJobs
from local.sagemaker.registry import Registry
from local.sagemaker.tags import Tags
from local.sagemaker.training import TrainingJobs
from local.settings import Settings

logger = logging.getLogger("local.sagemaker")
Answer = tuple[int, dict[str, str], bytes]
INVOCATION = re.compile(r"/endpoints/([^/]+)/invocations")


class SageMaker:
    """All operations by name, for the HTTP API and for workflows."""

    def __init__(self, settings: Settings, images: Images) -> None:
        self.images = images
        storage = Storage(settings)
        self.training = TrainingJobs(settings, storage, images)
        self.processing = ProcessingJobs(settings, storage, images)
        self.registry = Registry()
        self.tags = Tags()
        self.models = Models(storage, self.registry, images)
        self.configs = EndpointConfigs(self.models)
        self.endpoints = Endpoints(self.models, self.configs, settings, storage)
        self._groups = (
            self.training,
            self.processing,
            self.models,
            self.configs,
            self.endpoints,
            self.registry,
            self.tags,
        )

    def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """Run one operation; raises SageMakerError. It may call S3, so it must not run on the event loop."""
        model = self._operation(operation)
        validation.validate(model, request)
        method = self._method(operation)
        if method is None:
            raise SageMakerError("UnknownOperationException", f"The embedded AWS does not implement {operation}.")
        answer = method(request)
        if operation.startswith("Create"):
            self.tags.add_from_create(request, answer)
        return answer

    def job(self, kind: str, name: str) -> Job:
        """Return an existing job; `kind` is Training or Processing."""
        return {"Training": self.training.find, "Processing": self.processing.find}[kind](name)

    @staticmethod
    def _operation(name: str) -> OperationModel:
        model = validation.service_model()
        if name not in model.operation_names:
            raise SageMakerError("UnknownOperationException", f"SageMaker has no operation {name}.")
        return model.operation_model(name)

    def _method(self, operation: str) -> Callable[[dict[str, Any]], dict[str, Any]] | None:
        name = xform_name(operation)
        for group in self._groups:
            if hasattr(group, name):
                return getattr(group, name)  # type: ignore[no-any-return]
        return None

    async def handle_request(
        self, method: str, path: str, headers: dict[str, str], body: bytes, query_params: dict[str, Any]
    ) -> Answer:
        """Handle a request to SageMaker; called by ministack."""
        return await asyncio.to_thread(self._handle, path, headers, body)

    def _handle(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        invocation = INVOCATION.fullmatch(path)
        try:
            if invocation:
                answer, answer_headers = self.endpoints.invoke_endpoint(unquote(invocation[1]), body, headers)
                return 200, answer_headers, answer
            operation = headers.get("x-amz-target", "").rpartition(".")[2]
            request = json.loads(body or b"{}")
            answer = json.dumps(self.call(operation, request)).encode()
            return 200, {"Content-Type": "application/x-amz-json-1.1"}, answer
        except SageMakerError as error:
            return _error_response(error, rest=invocation is not None)
        except ValueError as error:
            return _error_response(SageMakerError("SerializationException", str(error)), rest=False)


def _error_response(error: SageMakerError, rest: bool) -> Answer:
    if rest:
        content = {"Message": error.message, "ErrorCode": error.code, **error.details}
        return (
            error.status,
            {"Content-Type": "application/json", "x-amzn-ErrorType": error.code},
            json.dumps(content).encode(),
        )
    content = {"__type": error.code, "message": error.message}
    return error.status, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(content).encode()


def install(settings: Settings, images: Images) -> SageMaker:
    """Route SageMaker's requests to this package."""
    service = SageMaker(settings, images)
    patches.attribute(router, "SERVICE_PATTERNS", dict)["sagemaker"] = {
        "host_patterns": [r"api\.sagemaker\.", r"runtime\.sagemaker\."],
        "target_prefixes": ["SageMaker."],
    }
    patches.attribute(app, "SERVICE_HANDLERS", dict)["sagemaker"] = service.handle_request
    patches.attribute(app, "SERVICE_REGISTRY", dict)["sagemaker"] = {"module": "sagemaker"}
    patches.attribute(app, "_loaded_modules", dict)["sagemaker"] = SimpleNamespace(
        handle_request=service.handle_request,
        get_state=lambda: state.get_state(service),
        load_persisted_state=lambda saved: state.load_persisted_state(service, saved),
        reset=lambda: None,
    )
    patches.attribute(app, "_state_map", dict)["sagemaker"] = "sagemaker"
    patches.attribute(iam_actions, "SERVICE_TO_IAM_NAMESPACE", dict)["sagemaker"] = "sagemaker"
    return service


def end_processes() -> None:
    """End every job and model server."""
    Container.kill_all()
