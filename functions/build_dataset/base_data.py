"""The base data of a retraining: its description, and whether a model may be trained on it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from functions.build_dataset.request import Request
from functions.shared.aws import error_code
from functions.shared.errors import InvalidDocument, SconesError
from functions.shared.s3 import read_json

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ABOUT = "about.json"
# The `source` in about.json when the program drew the pictures because no archive could be downloaded.
DRAWN = "generated"


class TrainingDataRefused(SconesError):
    """No model may be trained on the base data; the message names what is missing."""


@dataclass(frozen=True)
class BaseData:
    """The source of the pictures, None when unknown, and their number by class, empty when unknown."""

    source: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, dataset: str, s3: "S3Client") -> "BaseData":
        """Read `about.json` under the prefix `dataset`; without one everything is unknown. Raises ClientError."""
        try:
            about: Any = read_json(s3, f"{dataset.removesuffix('/')}/{ABOUT}")
        except ClientError as error:
            if error_code(error) not in ("NoSuchKey", "NoSuchBucket"):
                raise
            return cls()
        except InvalidDocument:
            # Data of an operator's own may have no description that this function can read.
            return cls()
        if not isinstance(about, dict):
            return cls()
        source, counts = about.get("source"), about.get("counts")
        return cls(source if isinstance(source, str) else None, counts if isinstance(counts, dict) else {})

    @property
    def drawn(self) -> bool:
        """Whether the pictures were drawn by the program."""
        return self.source == DRAWN


def check_base_data(base: BaseData, request: Request, classes: Iterable[str], allow_drawn: bool) -> None:
    """Raise TrainingDataRefused, before training, for data on which a model cannot be judged.

    These are drawn pictures unless `allow_drawn`, and data with no picture of anything but `classes` unless the
    retraining is forced.
    """
    if base.drawn and not allow_drawn:
        raise TrainingDataRefused(
            f"the pictures at {request.dataset} were drawn by the program, and this stage does not train on drawn "
            "pictures. Set CIFAR100_ARCHIVE or TRAINING_PHOTOS and start again"
        )
    wanted = tuple(classes)
    if base.counts and not request.force and not set(base.counts) - set(wanted):
        raise TrainingDataRefused(
            f"the data at {request.dataset} shows nothing but {', '.join(wanted)}, so outlier rejection cannot be "
            "measured. Add photos of other things, or force the retraining"
        )
