"""The input of a retraining."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from functions.shared.errors import InvalidInput
from functions.shared.shapes import (
    Shape,
    address,
    any_text,
    anything,
    list_of,
    object_with,
    optional,
    shown,
    text,
    values,
)
from functions.shared.vehicles import Vehicles

MANUAL = "manual"
# Only restores the endpoint of the champion, as each retraining does before it trains.
REPAIR = "repair"
TRIGGERS = (MANUAL, "schedule", "labels", "drift", REPAIR)

# The prefixes of the ML bucket that operators write, and no reviewer or job does. A model is trained on data from there
# only. The role of ProbeEndpoint may read the golden photos.
PREFIXES = {
    "dataset": ("datasets/base/",),
    "golden": ("golden/", "initial/"),
    "initial_model": ("initial/",),
    "candidate": ("initial/",),
}

_TRAINING_INPUT: Mapping[str, Shape] = {
    **dict.fromkeys(("dataset", "image", "golden"), optional(any_text)),
    "hyperparameters": optional(values(anything)),
    "classes": optional(list_of(text)),
}
_OF_EACH_RUN = ("trigger", "force", "dry_run", "initial_model", "candidate")


@dataclass(frozen=True)
class Request:
    """The execution's input, with defaults.

    `dataset` is the S3 prefix of the base data, empty when an automatic trigger finds none recorded. `image` is the URI
    of the container image that trains, compares and serves. `golden` is the S3 prefix of the golden photos of
    `dataset`, None when it has none. `classes` is empty for all configured vehicles.

    With `initial_model`, the address of a model.tar.gz, nothing is trained: `dataset` is empty, and `golden` is
    the prefix of the golden photos of the model. With `candidate`, another one, that model is compared with the
    champion in place of a model that is trained.
    """

    dataset: str
    image: str
    hyperparameters: Mapping[str, str] = field(default_factory=dict)
    trigger: str = MANUAL
    force: bool = False
    dry_run: bool = False
    classes: tuple[str, ...] = ()
    initial_model: str | None = None
    candidate: str | None = None
    golden: str | None = None

    @classmethod
    def from_state(
        cls, given: Any, recorded: Mapping[str, Any] | None, vehicles: Vehicles, deployed_image: str
    ) -> "Request":
        """Read the input, with defaults from `recorded`, the training input that the last promotion recorded.

        Without an image in either, `deployed_image` is used.

        Raises InvalidInput naming what is missing or malformed.
        """
        if not isinstance(given, dict):
            raise InvalidInput(f"the input is {type(given).__name__}; pass a JSON object, {{}} for all defaults")
        if unknown := sorted(given.keys() - {*_TRAINING_INPUT, *_OF_EACH_RUN}):
            known = ", ".join((*_TRAINING_INPUT, *_OF_EACH_RUN))
            raise InvalidInput(f"the input has {shown(unknown[0])}, which does nothing; a retraining reads {known}")
        if given.get("initial_model") is not None:
            return cls._with_initial_model(given, deployed_image)
        trigger = given.get("trigger", MANUAL)
        if trigger not in TRIGGERS:
            raise InvalidInput(f"trigger is {shown(trigger)}; it must be one of {', '.join(TRIGGERS)}")
        defaults = dict(recorded or {})
        # Golden photos belong to one data set.
        if given.get("dataset") not in (None, defaults.get("dataset")):
            defaults.pop("golden", None)
        wanted = {**defaults, **given}
        object_with({}, _TRAINING_INPUT)(wanted, "the input")
        dataset = str(wanted.get("dataset") or "")
        may_be_missing = trigger != MANUAL and "dataset" not in given
        if not dataset.startswith("s3://") and not (may_be_missing and not dataset):
            raise InvalidInput(
                f"dataset is {wanted.get('dataset')!r}; pass an s3:// address, or leave it out once a model was "
                "promoted"
            )
        classes = wanted.get("classes") or []
        if unknown := [name for name in classes if name not in vehicles]:
            raise InvalidInput(f"classes names {', '.join(map(str, unknown))}, not in vehicles.toml")
        return cls(
            dataset=dataset,
            image=str(wanted.get("image") or deployed_image),
            hyperparameters={name: str(value) for name, value in (wanted.get("hyperparameters") or {}).items()},
            trigger=trigger,
            force=wanted.get("force") is True,
            dry_run=wanted.get("dry_run") is True,
            classes=tuple(name for name in vehicles.bays if name in classes),
            candidate=_read_archive("candidate", given.get("candidate")),
            golden=_read_prefix("golden", wanted.get("golden")),
        )

    def check_addresses(self, bucket: str, repository: str) -> None:
        """Raise InvalidInput for an address outside of PREFIXES, or an image that is not one of `repository`.

        `bucket` is the ML bucket.
        """
        if not self.image.startswith((f"{repository}@", f"{repository}:")):
            raise InvalidInput(f"image is {shown(self.image)}; it must be an image of {repository}")
        for name, prefixes in PREFIXES.items():
            given = getattr(self, name)
            allowed = tuple(f"s3://{bucket}/{prefix}" for prefix in prefixes)
            if given and not given.startswith(allowed):
                raise InvalidInput(f"{name} is {shown(given)}; it must be under {' or '.join(allowed)}")

    @property
    def automatic(self) -> bool:
        """Whether the schedule, new labels or drift started this retraining, rather than a person."""
        return self.trigger != MANUAL

    def as_input(self) -> dict[str, Any]:
        """Return the input for a later retraining on the same data with the same image."""
        return {
            "dataset": self.dataset,
            "image": self.image,
            "hyperparameters": dict(self.hyperparameters),
            "classes": list(self.classes),
            "golden": self.golden,
        }

    @classmethod
    def _with_initial_model(cls, given: Mapping[str, Any], deployed_image: str) -> "Request":
        artifact = _read_archive("initial_model", given["initial_model"])
        if given.get("candidate") is not None:
            raise InvalidInput("an initial model is not compared, and a candidate is; leave one of them out")
        if given.get("dry_run") is True:
            raise InvalidInput("an initial model is not compared, so dry_run has no effect; leave one of them out")
        return cls(
            dataset="",
            image=str(given.get("image") or deployed_image),
            initial_model=artifact,
            golden=_read_prefix("golden", given.get("golden")),
        )


def _read_archive(name: str, value: Any) -> str | None:
    """Return the address of a model.tar.gz as it was given; None for None. Raises InvalidInput."""
    if value is None:
        return None
    address(value, name)
    if not value.endswith(".tar.gz"):
        raise InvalidInput(f"{name} is {shown(value)}; pass the s3:// address of a model.tar.gz")
    return str(value)


def _read_prefix(name: str, value: Any) -> str | None:
    """Return an S3 prefix as it was given; None for None and an empty text. Raises InvalidInput."""
    if value in (None, ""):
        return None
    address(value, name)
    if not value.endswith("/"):
        raise InvalidInput(f"{name} is {shown(value)}; pass an s3:// prefix that ends with a slash, or leave it out")
    return str(value)
