"""The champion that the endpoint serves, its report and card, and the earlier models."""

import io
import json
import logging
import tarfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from console.aws import Aws
from deploy.outputs import Deployed
from functions.shared.aws import describe_error, error_code
from functions.shared.champion import Champion as Record
from functions.shared.champion import ModelTable
from functions.shared.sagemaker import describe_served_model, find_endpoint

log = logging.getLogger(__name__)

_FILES = {"model.json", "evaluation.json", "model-card.md", "model-card.png"}
_MAX_FILE_BYTES = 4 * 1024 * 1024
_MAX_ARTIFACT_BYTES = 64 * 1024 * 1024
_MAX_MODELS = 20


@dataclass(frozen=True)
class Model:
    """One model.

    `artifact` is the S3 URI of its model.tar.gz. Of the files in it, `metadata` is model.json and `report` is
    evaluation.json, both empty when they cannot be read; `card` is model-card.md and `card_image` model-card.png.
    """

    name: str
    created: datetime | None
    artifact: str | None
    metadata: Mapping[str, Any]
    report: Mapping[str, Any]
    card: str | None
    card_image: bytes | None

    @property
    def version(self) -> str:
        """The `version` in its model.json, which its predictions contain, or else its name."""
        return str(self.metadata.get("version") or self.name)

    @property
    def threshold(self) -> float | None:
        """The threshold in its model.json, in [0, 1], or None."""
        value = self.metadata.get("threshold")
        return float(value) if isinstance(value, int | float) else None

    def figure(self, name: str) -> float | None:
        """Return a figure of the report, such as `accuracy`, or None."""
        value = self.report.get(name)
        return float(value) if isinstance(value, int | float) else None

    def interval(self, name: str) -> tuple[float, float] | None:
        """Return the 95% confidence interval of a figure, or None."""
        ends = (self.report.get("intervals") or {}).get(name) or [None, None]
        return (float(ends[0]), float(ends[1])) if None not in ends else None


@dataclass(frozen=True)
class EndpointState:
    """The endpoint: its EndpointStatus (None without an endpoint), its model, and the threshold in force.

    `threshold` is None when it is unknown; `overridden`: an operator has replaced the model's own threshold. `error`
    is the reason when AWS could not be read. `records` are the items of the model table by the name of the model;
    `reference` is the version of the reference model, or None.
    """

    status: str | None
    updated: datetime | None
    champion: Model | None
    history: list[Model]
    threshold: float | None
    overridden: bool
    error: str | None = None
    records: Mapping[str, Record] = field(default_factory=dict)
    reference: str | None = None

    def record(self, model: Model | None) -> Record | None:
        """Return the item of a model in the model table; None when it was never champion."""
        return self.records.get(model.name) if model else None

    @property
    def rolled_back(self) -> list[Record]:
        """The models that a rollback replaced, newest rollback first."""
        marked = [record for record in self.records.values() if record.rolled_back_at]
        return sorted(marked, key=lambda record: str(record.rolled_back_at), reverse=True)


class ChampionReader:
    """Reads the endpoint of one stage and its models."""

    def __init__(self, deployed: Deployed, aws: Aws) -> None:
        """Read artifacts from the ML bucket of the stage only."""
        self._deployed = deployed
        self._aws = aws
        self._models: dict[str, Model] = {}
        self._lock = threading.Lock()

    def read(self, *, history: bool = True) -> EndpointState:
        """Return the endpoint, its model and, with `history`, the newest models; unreadable parts are left out."""
        error_text, status, updated, champion = None, None, None, None
        models: list[Model] = []
        records: Mapping[str, Record] = {}
        reference = None
        try:
            models = [self._read_model(name) for name in self._list_model_names()] if history else []
            table = ModelTable(self._deployed.model_table, self._aws.dynamodb)
            records = {record.endpoint_config: record for record in table.all_promoted()}
            reference = table.reference()
            if endpoint := find_endpoint(self._deployed.endpoint_name, self._aws.sagemaker):
                status, updated = endpoint["EndpointStatus"], endpoint["LastModifiedTime"]
                served = describe_served_model(endpoint["EndpointConfigName"], self._aws.sagemaker)
                champion = self._read_model(served.name)
        except ClientError as error:
            error_text = f"AWS returned an error: {error_code(error)}"
        except BotoCoreError as error:
            error_text = f"AWS cannot be reached: {error}"
        own = champion.threshold if champion else None
        try:
            chosen = self._read_threshold()
        except (ClientError, BotoCoreError, ValueError) as error:
            chosen = own = None
            error_text = error_text or f"The threshold cannot be read: {describe_error(error)}"
        return EndpointState(
            status,
            updated,
            champion,
            models,
            chosen if chosen is not None else own,
            chosen is not None,
            error_text,
            records,
            reference.model_version if reference else None,
        )

    def card_image(self, name: str) -> bytes | None:
        """Return the image of a model's card as PNG, when `read` has returned the model before."""
        with self._lock:
            return self._models[name].card_image if name in self._models else None

    def _list_model_names(self) -> list[str]:
        prefix = f"vehicles-{self._deployed.stage}-"
        found = self._aws.sagemaker.list_models(
            NameContains=prefix, SortBy="CreationTime", SortOrder="Descending", MaxResults=_MAX_MODELS
        )["Models"]
        return [str(model["ModelName"]) for model in found if model["ModelName"].startswith(prefix)]

    def _read_threshold(self) -> float | None:
        """Return the threshold that an operator set, or None; raises ClientError, BotoCoreError or ValueError."""
        value = self._aws.ssm.get_parameter(Name=self._deployed.threshold_parameter)["Parameter"]["Value"]
        return None if value == "model" else float(value)

    def _read_model(self, name: str) -> Model:
        with self._lock:
            if name in self._models:
                return self._models[name]
        described = self._aws.sagemaker.describe_model(ModelName=name)
        containers = described.get("Containers") or [{}]
        artifact = (described.get("PrimaryContainer") or containers[0]).get("ModelDataUrl")
        try:
            files = self._read_files(artifact) if artifact else {}
        except (ClientError, BotoCoreError, tarfile.TarError, OSError, EOFError) as error:
            # The other models are shown all the same, and this one is read again the next time.
            log.warning("the files of the model %s cannot be read: %s", name, describe_error(error))
            return Model(name, described.get("CreationTime"), artifact, {}, {}, None, None)
        model = Model(
            name=name,
            created=described.get("CreationTime"),
            artifact=artifact,
            metadata=_parse_object(files.get("model.json")),
            report=_parse_object(files.get("evaluation.json")),
            card=files["model-card.md"].decode(errors="replace") if "model-card.md" in files else None,
            card_image=files.get("model-card.png"),
        )
        with self._lock:
            self._models[name] = model
        return model

    def _read_files(self, artifact: str) -> dict[str, bytes]:
        """Read the files of _FILES from a model.tar.gz; {} when it is not in the ML bucket or too large.

        Raises ClientError, BotoCoreError, TarError, OSError or EOFError when it cannot be read.
        """
        uri = urlsplit(artifact)
        if uri.scheme != "s3" or uri.netloc != self._deployed.ml_bucket:
            return {}
        found = self._aws.s3.get_object(Bucket=uri.netloc, Key=uri.path.lstrip("/"))
        if found["ContentLength"] > _MAX_ARTIFACT_BYTES:
            return {}
        with tarfile.open(fileobj=io.BytesIO(found["Body"].read()), mode="r:gz") as archive:
            return {
                member.name.removeprefix("./"): content.read()
                for member in archive
                if member.name.removeprefix("./") in _FILES
                and member.isfile()
                and member.size <= _MAX_FILE_BYTES
                and (content := archive.extractfile(member))
            }


def _parse_object(content: bytes | None) -> Mapping[str, Any]:
    try:
        value = json.loads(content or b"{}")
    except ValueError:  # shown as a model without figures
        return {}
    return value if isinstance(value, dict) else {}
