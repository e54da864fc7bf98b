"""The model that answers now, its report and card, and the models before it."""

import io
import json
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
from functions.shared.aws import error_code
from functions.shared.champion import Champion as Record
from functions.shared.champion import ModelTable

_WANTED = {"model.json", "evaluation.json", "model-card.md", "model-card.png"}
_MOST_FILE_BYTES = 4 * 1024 * 1024
_MOST_ARTEFACT_BYTES = 64 * 1024 * 1024
_HISTORY = 20


@dataclass(frozen=True)
class Model:
    """One model. `about` is its model.json, `report` its evaluation.json, empty when its artefact cannot be read."""

    name: str
    created: datetime | None
    artefact: str | None
    about: Mapping[str, Any]
    report: Mapping[str, Any]
    card: str | None
    picture: bytes | None

    @property
    def version(self) -> str:
        """What the model answers as: the `version` of its model.json, or else its name."""
        return str(self.about.get("version") or self.name)

    @property
    def threshold(self) -> float | None:
        """The threshold that the model brings, in [0, 1], or None."""
        value = self.about.get("threshold")
        return float(value) if isinstance(value, int | float) else None

    def figure(self, name: str) -> float | None:
        """A figure of the report, such as `accuracy`, or None."""
        value = self.report.get(name)
        return float(value) if isinstance(value, int | float) else None

    def interval(self, name: str) -> tuple[float, float] | None:
        """The 95% interval of a figure, or None."""
        ends = (self.report.get("intervals") or {}).get(name) or [None, None]
        return (float(ends[0]), float(ends[1])) if None not in ends else None


@dataclass(frozen=True)
class Serving:
    """The endpoint: its status as SageMaker words it (`None` when there is none), its model, and the threshold in use.

    `threshold` is None when nobody knows it; `overridden`: an operator set it instead of the model's own. `records`
    are what the stage recorded of each model that ever was champion, by the name of the model.
    """

    status: str | None
    updated: datetime | None
    champion: Model | None
    history: list[Model]
    threshold: float | None
    overridden: bool
    trouble: str | None = None
    records: Mapping[str, Record] = field(default_factory=dict)

    def record(self, model: Model | None) -> Record | None:
        """What was recorded of a model when it became champion; None when it never did."""
        return self.records.get(model.name) if model else None

    @property
    def rolled_back(self) -> list[Record]:
        """The models that a rollback replaced, newest first."""
        marked = [record for record in self.records.values() if record.rolled_back_at]
        return sorted(marked, key=lambda record: str(record.rolled_back_at), reverse=True)


class Champion:
    """Looks at the endpoint of one stage."""

    def __init__(self, resources: Deployed, aws: Aws) -> None:
        self._resources = resources
        self._aws = aws
        self._models: dict[str, Model] = {}
        self._lock = threading.Lock()

    def look(self, *, history: bool = True) -> Serving:
        """The endpoint, its model and, with `history`, the models before it.

        What is not there or cannot be read is left out.
        """
        trouble, status, updated, champion = None, None, None, None
        models: list[Model] = []
        records: Mapping[str, Record] = {}
        try:
            models = [self._model(name) for name in self._names()] if history else []
            records = self._records()
            endpoint = self._aws.sagemaker.describe_endpoint(EndpointName=self._resources.endpoint_name)
            status, updated = endpoint["EndpointStatus"], endpoint["LastModifiedTime"]
            champion = self._model(self._served_by(endpoint["EndpointConfigName"]))
        except ClientError as error:
            if "Could not find" not in str(error):
                trouble = f"AWS refused: {error_code(error)}"
        except BotoCoreError as error:
            trouble = f"AWS is out of reach: {error}"
        threshold = self._override()
        own = champion.threshold if champion else None
        return Serving(
            status,
            updated,
            champion,
            models,
            threshold if threshold is not None else own,
            threshold is not None,
            trouble,
            records,
        )

    def picture(self, name: str) -> bytes | None:
        """The picture of a model's card, when it was looked at before."""
        with self._lock:
            return self._models[name].picture if name in self._models else None

    def _records(self) -> dict[str, Record]:
        table = ModelTable(self._resources.model_table, self._aws.dynamodb)
        return {record.endpoint_config: record for record in table.all_promoted()}

    def _names(self) -> list[str]:
        prefix = f"vehicles-{self._resources.stage}-"
        found = self._aws.sagemaker.list_models(
            NameContains=prefix, SortBy="CreationTime", SortOrder="Descending", MaxResults=_HISTORY
        )["Models"]
        return [str(model["ModelName"]) for model in found if model["ModelName"].startswith(prefix)]

    def _served_by(self, config: str) -> str:
        variants = self._aws.sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
        return str(variants[0]["ModelName"])

    def _override(self) -> float | None:
        try:
            value = self._aws.ssm.get_parameter(Name=self._resources.threshold_parameter)["Parameter"]["Value"]
            return None if value == "model" else float(value)
        except (ClientError, BotoCoreError, ValueError):
            return None

    def _model(self, name: str) -> Model:
        with self._lock:
            if name in self._models:
                return self._models[name]
        described = self._aws.sagemaker.describe_model(ModelName=name)
        containers = described.get("Containers") or [{}]
        artefact = (described.get("PrimaryContainer") or containers[0]).get("ModelDataUrl")
        files = self._files(artefact) if artefact else {}
        model = Model(
            name=name,
            created=described.get("CreationTime"),
            artefact=artefact,
            about=_object(files.get("model.json")),
            report=_object(files.get("evaluation.json")),
            card=files["model-card.md"].decode(errors="replace") if "model-card.md" in files else None,
            picture=files.get("model-card.png"),
        )
        with self._lock:
            self._models[name] = model
        return model

    def _files(self, artefact: str) -> dict[str, bytes]:
        """The files of interest in model.tar.gz, read in memory; none when it is not in the stage's ML bucket."""
        place = urlsplit(artefact)
        if place.scheme != "s3" or place.netloc != self._resources.ml_bucket:
            return {}
        try:
            found = self._aws.s3.get_object(Bucket=place.netloc, Key=place.path.lstrip("/"))
            if found["ContentLength"] > _MOST_ARTEFACT_BYTES:
                return {}
            with tarfile.open(fileobj=io.BytesIO(found["Body"].read()), mode="r:gz") as archive:
                return {
                    member.name.removeprefix("./"): content.read()
                    for member in archive
                    if member.name.removeprefix("./") in _WANTED
                    and member.isfile()
                    and member.size <= _MOST_FILE_BYTES
                    and (content := archive.extractfile(member))
                }
        except (ClientError, BotoCoreError, tarfile.TarError, OSError, EOFError):
            return {}


def _object(content: bytes | None) -> Mapping[str, Any]:
    try:
        value = json.loads(content or b"{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
