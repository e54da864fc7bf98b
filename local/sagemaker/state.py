"""The state of SageMaker as plain data, to be saved and restored.

Jobs that were running end as Failed: their containers have ended with the server. Endpoints are restored as Creating;
`Endpoints.resume` starts their model servers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ministack.core.responses import request_scope

from local.sagemaker.endpoints import Endpoint
from local.sagemaker.jobs import Job
from local.sagemaker.processing import ProcessingJob
from local.sagemaker.records import Records
from local.sagemaker.training import TrainingJob

if TYPE_CHECKING:
    from local.sagemaker.service import SageMaker

STOPPED = "InternalServerError: The embedded AWS was stopped while the job ran. Start a new job."


def get_state(service: SageMaker) -> dict[str, Any]:
    """Return the records of all accounts and regions."""
    endpoints = service.endpoints.endpoints.all_items().items()
    return {
        **{name: records.all_items() for name, records in _plain_records(service).items()},
        "tags": service.tags.tags,
        "training_jobs": {key: _saved(job) for key, job in service.training.jobs.all_items().items()},
        "processing_jobs": {key: _saved(job) for key, job in service.processing.jobs.all_items().items()},
        "endpoints": {key: _saved(endpoint) for key, endpoint in endpoints if endpoint.status != "Deleting"},
    }


def load_persisted_state(service: SageMaker, state: dict[str, Any]) -> None:
    """Restore the records of all accounts and regions."""
    for name, records in _plain_records(service).items():
        records.restore(state.get(name, {}))
    service.tags.tags.update(state.get("tags", {}))
    for key, saved in state.get("training_jobs", {}).items():
        with request_scope(*key[:2]):
            training_job = service.training.new_job(saved["request"])
            _restore_job(training_job, saved)
            service.training.jobs.restore({key: training_job})
    for key, saved in state.get("processing_jobs", {}).items():
        with request_scope(*key[:2]):
            processing_job = service.processing.new_job(saved["request"])
            _restore_job(processing_job, saved)
            service.processing.jobs.restore({key: processing_job})
    for key, saved in state.get("endpoints", {}).items():
        with request_scope(*key[:2]):
            endpoint = Endpoint(saved["name"])
        vars(endpoint).update(saved)
        if endpoint.status != "Failed":
            endpoint.status = "Creating"
        service.endpoints.endpoints.restore({key: endpoint})


def _plain_records(service: SageMaker) -> dict[str, Records[dict[str, Any]]]:
    return {
        "models": service.models.records,
        "endpoint_configs": service.configs.records,
        "model_package_groups": service.registry.groups,
        "model_packages": service.registry.packages,
    }


def _saved(resource: TrainingJob | ProcessingJob | Endpoint) -> dict[str, Any]:
    return {name: getattr(resource, name) for name in resource.SAVED}


def _restore_job(job: Job, saved: dict[str, Any]) -> None:
    vars(job).update(saved)
    if job.status in ("InProgress", "Stopping"):
        job.fail(STOPPED)
    job.ended.set()
