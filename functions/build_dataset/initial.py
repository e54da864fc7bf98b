"""An initial model: deployed to a stage without a champion, without training and comparison."""

import json
import tarfile
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from functions.build_dataset.request import Request
from functions.build_dataset.rollout import Rollout
from functions.shared.aws import error_code
from functions.shared.champion import Champion
from functions.shared.errors import InvalidInput
from functions.shared.s3 import ABSENT, parse_uri
from functions.shared.shapes import fraction, object_with, optional, text

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DESCRIPTION = "model.json"
LARGEST_DESCRIPTION_BYTES = 1024 * 1024


@dataclass(frozen=True)
class InitialModel:
    """A model.tar.gz in S3. `version` is the one in its answers; `threshold` its own, in [0, 1], or None."""

    artifact: str
    version: str
    threshold: float | None

    @classmethod
    def read(cls, artifact: str, s3: "S3Client") -> "InitialModel":
        """Read the model.json in the archive. Raises InvalidInput when the archive or its model.json cannot be read."""
        bucket, key = parse_uri(artifact)
        try:
            body = s3.get_object(Bucket=bucket, Key=key)["Body"]
            with tarfile.open(fileobj=body, mode="r|gz") as archive:
                description = _read_description(archive)
            object_with({"version": text}, {"threshold": optional(fraction)})(description, DESCRIPTION)
            return cls(artifact, description["version"], description.get("threshold"))
        except ClientError as error:
            if error_code(error) in {*ABSENT, "NoSuchBucket", "AccessDenied"}:
                raise InvalidInput(f"there is no {artifact}, or this stage may not read it") from error
            raise
        except (tarfile.TarError, EOFError, OSError, ValueError, RecursionError, InvalidInput) as error:
            raise InvalidInput(
                f"{artifact} is no model: its {DESCRIPTION} cannot be read ({error}); "
                f"pass a model.tar.gz whose {DESCRIPTION} has a version"
            ) from error


def accepted_state(request: Request, model: InitialModel) -> dict[str, Any]:
    """Return the state for a workflow that deploys an initial model."""
    return {
        **_state(request),
        "proceed": True,
        "words": f"{model.version} is deployed without a comparison",
        "initial": asdict(model),
        "model_version": model.version,
    }


def refused_state(request: Request, champion: Champion) -> dict[str, Any]:
    """Return the state for a workflow that ends because the stage has a champion."""
    explanation = (
        f"this stage has a champion, {champion.model_version}; "
        "an initial model is for a stage without one, and only a retraining replaces a champion"
    )
    return {**_state(request), "reason": "ChampionExists", "words": explanation, "champion": champion.as_state()}


def _state(request: Request) -> dict[str, Any]:
    """The keys of `Prepared.as_state`, empty where they do not apply."""
    return {
        "proceed": False,
        **dict.fromkeys(("reason", "words", "dataset", "snapshot", "labelled", "champion", "baseline", "reference")),
        # Without `training_input` a promotion does not change the input of later retrainings.
        **dict.fromkeys(("initial", "candidate", "model_version", "training_input", "features")),
        "image": request.image,
        "drawn": False,
        "hyperparameters": {},
        "labels": 0,
        "new_labels": 0,
        "skipped_labels": {},
        "disagreeing_reviewers": {},
        "rollback_config": "",
        "force": False,
        "dry_run": False,
        # There is no champion to restore when an alarm goes off.
        "bake_s": 0,
        "rollout": Rollout(canary_percent=0, seconds=0, instances=1).as_deployment_config(),
        "golden": request.golden,
    }


def _read_description(archive: tarfile.TarFile) -> dict[str, Any]:
    for member in archive:
        if member.name.removeprefix("./") == DESCRIPTION and member.size <= LARGEST_DESCRIPTION_BYTES:
            file = archive.extractfile(member)
            description = json.loads(file.read()) if file else None
            if isinstance(description, dict):
                return description
            break
    raise ValueError(f"there is no {DESCRIPTION} with a JSON object in it")
