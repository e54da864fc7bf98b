"""The model that the endpoint serves."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3

from functions.shared.sagemaker import describe_served_model, find_endpoint
from operate.errors import CommandError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient


@dataclass(frozen=True)
class Champion:
    """`name` is the model's version; `artifact` is the S3 URI of its model.tar.gz."""

    name: str
    artifact: str

    @classmethod
    def of_endpoint(cls, endpoint: str) -> "Champion":
        """Look up endpoint, endpoint configuration and model. Raises CommandError when there is no endpoint."""
        sagemaker: SageMakerClient = boto3.client("sagemaker")
        found = find_endpoint(endpoint, sagemaker)
        if found is None:
            raise CommandError(f"There is no endpoint {endpoint}. Train a model first: `make retrain`.")
        model = describe_served_model(found["EndpointConfigName"], sagemaker)
        return cls(model.name, model.artifact)

    def download(self, folder: Path) -> Path:
        """Download model.tar.gz to `folder` unless it is there; returns its path."""
        archive = folder / f"{self.name}.tar.gz"
        if not archive.exists():
            folder.mkdir(parents=True, exist_ok=True)
            uri = urlsplit(self.artifact)
            s3: S3Client = boto3.client("s3")
            partial = archive.with_suffix(".partial")
            s3.download_file(uri.netloc, uri.path.lstrip("/"), str(partial))
            partial.rename(archive)
        return archive
