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
    """The execution's input, completed. `classes` is empty when all configured vehicles are meant.

    With `initial_model`, the address of a model.tar.gz, nothing is trained, and dataset and source are empty. `golden`
    is the prefix of the photos that the endpoint is probed with; None leaves the choice to the probe.
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
    def from_state(cls, given: Any, standing: Mapping[str, Any] | None, vehicles: Vehicles) -> "Request":
        """Read the input over the standing one, which whoever staged the data left in the bucket.

        Raises InvalidInput naming what is missing or wrong.
        """
        if not isinstance(given, dict):
            raise InvalidInput(f"the input is {type(given).__name__}; pass a JSON object, {{}} for everything as usual")
        if given.get("initial_model") is not None:
            return cls._with_initial_model(given)
        wanted = {**(standing or {}), **given}
        for name in ("dataset", "source"):
            if not str(wanted.get(name) or "").startswith("s3://"):
                raise InvalidInput(
                    f"{name} is {wanted.get(name)!r}; pass an s3:// address, or stage data so that it is known"
                )
        trigger = wanted.get("trigger", MANUAL)
        if trigger not in TRIGGERS:
            raise InvalidInput(f"trigger is {trigger!r}; it must be one of {', '.join(TRIGGERS)}")
        classes = wanted.get("classes") or []
        if unknown := [name for name in classes if name not in vehicles]:
            raise InvalidInput(f"classes names {', '.join(map(str, unknown))}, not in vehicles.toml")
        return cls(
            dataset=wanted["dataset"],
            source=wanted["source"],
            hyperparameters={name: str(value) for name, value in (wanted.get("hyperparameters") or {}).items()},
            trigger=trigger,
            force=wanted.get("force") is True,
            dry_run=wanted.get("dry_run") is True,
            classes=tuple(name for name in vehicles.bays if name in classes),
            golden=_prefix("golden", wanted.get("golden")),
        )

    @classmethod
    def _with_initial_model(cls, given: Mapping[str, Any]) -> "Request":
        artifact = str(given["initial_model"])
        if not (artifact.startswith("s3://") and artifact.endswith(".tar.gz")):
            raise InvalidInput(f"initial_model is {artifact!r}; pass the s3:// address of a model.tar.gz")
        if given.get("dry_run") is True:
            raise InvalidInput("an initial model is not compared, so dry_run would do nothing; leave one of them out")
        return cls(dataset="", source="", initial_model=artifact, golden=_prefix("golden", given.get("golden")))


def _prefix(name: str, value: Any) -> str | None:
    if value is not None and not (str(value).startswith("s3://") and str(value).endswith("/")):
        raise InvalidInput(f"{name} is {value!r}; pass an s3:// prefix that ends with a slash, or leave it out")
    return None if value is None else str(value)
