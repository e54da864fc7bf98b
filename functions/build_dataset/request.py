"""What was asked for when a retraining was started."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from functions.shared.errors import InvalidInput
from functions.shared.vehicles import Vehicles

MANUAL = "manual"
TRIGGERS = (MANUAL, "schedule", "labels", "drift")


@dataclass(frozen=True)
class Request:
    """The execution's input, completed.

    `golden` is the S3 prefix of the golden photos of `dataset`, None when it has none; `classes` is empty when all
    configured vehicles are meant. `dataset` and `source` are empty when an automatic trigger finds none recorded.

    With `initial_model`, the address of a model.tar.gz, nothing is trained, and dataset and source are empty too;
    `golden` is then the prefix of the photos that come with it.
    """

    dataset: str
    source: str
    hyperparameters: Mapping[str, str] = field(default_factory=dict)
    trigger: str = MANUAL
    force: bool = False
    dry_run: bool = False
    classes: tuple[str, ...] = ()
    initial_model: str | None = None
    golden: str | None = None

    @classmethod
    def from_state(cls, given: Any, current: Mapping[str, Any] | None, vehicles: Vehicles) -> "Request":
        """Read the input over the current one, which the last promotion left in the bucket.

        Raises InvalidInput naming what is missing or wrong.
        """
        if not isinstance(given, dict):
            raise InvalidInput(f"the input is {type(given).__name__}; pass a JSON object, {{}} for everything as usual")
        if given.get("initial_model") is not None:
            return cls._with_initial_model(given)
        trigger = given.get("trigger", MANUAL)
        if trigger not in TRIGGERS:
            raise InvalidInput(f"trigger is {trigger!r}; it must be one of {', '.join(TRIGGERS)}")
        recorded = dict(current or {})
        # Golden photos belong to one data set.
        if given.get("dataset") not in (None, recorded.get("dataset")):
            recorded.pop("golden", None)
        wanted = {**recorded, **given}
        for name in ("dataset", "source"):
            address = str(wanted.get(name) or "")
            optional = trigger != MANUAL and name not in given
            if not address.startswith("s3://") and not (optional and not address):
                raise InvalidInput(
                    f"{name} is {wanted.get(name)!r}; pass an s3:// address, or leave it out once a model was promoted"
                )
        classes = wanted.get("classes") or []
        if unknown := [name for name in classes if name not in vehicles]:
            raise InvalidInput(f"classes names {', '.join(map(str, unknown))}, not in vehicles.toml")
        return cls(
            dataset=str(wanted.get("dataset") or ""),
            source=str(wanted.get("source") or ""),
            hyperparameters={name: str(value) for name, value in (wanted.get("hyperparameters") or {}).items()},
            trigger=trigger,
            force=wanted.get("force") is True,
            dry_run=wanted.get("dry_run") is True,
            classes=tuple(name for name in vehicles.bays if name in classes),
            golden=_prefix("golden", wanted.get("golden")),
        )

    @property
    def automatic(self) -> bool:
        """Whether nobody asked for this retraining: the schedule, new labels or drift started it."""
        return self.trigger != MANUAL

    def as_input(self) -> dict[str, Any]:
        """What a later retraining needs to train on the same data in the same way."""
        return {
            "dataset": self.dataset,
            "source": self.source,
            "hyperparameters": dict(self.hyperparameters),
            "classes": list(self.classes),
            "golden": self.golden,
        }

    @classmethod
    def _with_initial_model(cls, given: Mapping[str, Any]) -> "Request":
        artifact = str(given["initial_model"])
        if not (artifact.startswith("s3://") and artifact.endswith(".tar.gz")):
            raise InvalidInput(f"initial_model is {artifact!r}; pass the s3:// address of a model.tar.gz")
        if given.get("dry_run") is True:
            raise InvalidInput("an initial model is not compared, so dry_run would do nothing; leave one of them out")
        return cls(dataset="", source="", initial_model=artifact, golden=_prefix("golden", given.get("golden")))


def _prefix(name: str, value: Any) -> str | None:
    """An S3 prefix as it was given; None for none, which may be an empty text too. Raises InvalidInput."""
    if value in (None, ""):
        return None
    if not (str(value).startswith("s3://") and str(value).endswith("/")):
        raise InvalidInput(f"{name} is {value!r}; pass an s3:// prefix that ends with a slash, or leave it out")
    return str(value)
