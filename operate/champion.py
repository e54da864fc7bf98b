"""The model behind the endpoint."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import ClientError

from operate.errors import CommandError


@dataclass(frozen=True)
class Champion:
    """`name` is the model's version; `artifact` the S3 URI of its model.tar.gz."""

    name: str
    artifact: str

    @classmethod
    def of(cls, endpoint: str) -> "Champion":
        """Ask SageMaker. Raises CommandError when the stage has no model yet."""
        sagemaker: Any = boto3.client("sagemaker")
        try:
            configuration = sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointConfigName"]
        except ClientError as error:
            if "Could not find" not in str(error):
                raise
            raise CommandError(f"There is no endpoint {endpoint}. Train a model first: `make retrain`.") from error
        variant = sagemaker.describe_endpoint_config(EndpointConfigName=configuration)["ProductionVariants"][0]
        model = sagemaker.describe_model(ModelName=variant["ModelName"])
        return cls(variant["ModelName"], model["PrimaryContainer"]["ModelDataUrl"])

    def download(self, folder: Path) -> Path:
        """The model.tar.gz, fetched unless it is in `folder` already."""
        archive = folder / f"{self.name}.tar.gz"
        if not archive.exists():
            folder.mkdir(parents=True, exist_ok=True)
            where = urlsplit(self.artifact)
            s3: Any = boto3.client("s3")
            unfinished = archive.with_suffix(".unfinished")
            s3.download_file(where.netloc, where.path.lstrip("/"), str(unfinished))
            unfinished.rename(archive)
        return archive
