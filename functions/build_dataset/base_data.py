"""The base data of a retraining: what staging wrote down about it, and whether a model may be trained on it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from functions.build_dataset.request import Request
from functions.shared.aws import Client
from functions.shared.errors import InvalidInput, SconesError
from functions.shared.s3 import read_json

ABOUT = "about.json"
# Where in the ML bucket the probe may read: golden photos of data sets, and those beside an initial model.
GOLDEN = ("golden/", "initial/")
# The source that staging names when the pictures were drawn by the program, without archive and network.
DRAWN = "generated"


class TrainingDataRefused(SconesError):
    """The base data cannot give a model that may serve; the message says what is missing."""


@dataclass(frozen=True)
class BaseData:
    """Where the pictures come from, None when that is unknown, and how many there are by class, empty when unknown."""

    source: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, dataset: str, s3: Client) -> "BaseData":
        """Read `about.json` beside the data at the prefix `dataset`; nothing is known of data without one."""
        try:
            about: Any = read_json(s3, f"{dataset.removesuffix('/')}/{ABOUT}")
        except (ClientError, ValueError):
            # The data may be in a bucket that only the training job can read.
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
    """Refuse, before anything is trained, data that no verdict can be based on.

    Raises TrainingDataRefused for drawn pictures unless `allow_drawn`, and for data without a picture of anything but
    `classes` unless the retraining is forced.
    """
    if base.drawn and not allow_drawn:
        raise TrainingDataRefused(
            f"the pictures at {request.dataset} were drawn by the program, and this stage does not train on drawn "
            "pictures. Set CIFAR100_ARCHIVE or TRAINING_PHOTOS and start again"
        )
    wanted = tuple(classes)
    if base.counts and not request.force and not set(base.counts) - set(wanted):
        raise TrainingDataRefused(
            f"the data at {request.dataset} shows nothing but {', '.join(wanted)}, so nothing can measure whether the "
            "model recognises what is none of them. Add photos of other things, or force the retraining"
        )


def check_golden(request: Request, bucket: str) -> None:
    """Raise InvalidInput when the golden photos are where the probe may not read; `bucket` is the ML bucket."""
    allowed = tuple(f"s3://{bucket}/{prefix}" for prefix in GOLDEN)
    if request.golden and not request.golden.startswith(allowed):
        raise InvalidInput(f"golden is {request.golden!r}; golden photos are under {' or '.join(allowed)}")
