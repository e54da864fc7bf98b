"""The model that a rollback restores."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from functions.shared.aws import error_code
from functions.shared.champion import Champion, ModelTable
from functions.shared.sagemaker import describe_served_model, is_missing

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

# The role allows the models of its own stage only.
ACCESS_DENIED = {"AccessDenied", "AccessDeniedException"}


class RollbackRefused(Exception):
    """The rollback cannot begin. `reason` is the name of the outcome; the message names the cause and what to do."""

    def __init__(self, reason: str, explanation: str) -> None:
        """`reason` is the name of the outcome, `explanation` the message."""
        super().__init__(explanation)
        self.reason = reason


@dataclass(frozen=True)
class Target:
    """The model to restore, and the later models that were skipped, each with the reason."""

    model: Champion
    skipped: dict[str, str]


class Targets:
    """Finds the model to restore, which must have an endpoint configuration and a model in SageMaker."""

    def __init__(self, table: ModelTable, sagemaker: "SageMakerClient") -> None:
        """Read records from `table` and resources from `sagemaker`."""
        self._table = table
        self._sagemaker = sagemaker

    def find(self, name: str, champion: Champion) -> Target:
        """Return the model of this name, also one that was rolled back.

        Raises RollbackRefused when it is the champion or cannot be deployed.
        """
        if name in (champion.model_version, champion.endpoint_config):
            raise RollbackRefused("AlreadyChampion", f"{name} is the champion already")
        found = self._recorded(name) or Champion(name, name, "", previous=champion.model_version)
        artifact = self._artifact(found)
        if artifact is None:
            raise RollbackRefused(
                "UnknownModel",
                f"{name} cannot be restored: SageMaker has no model and endpoint configuration of that name in this "
                "stage. `make status` lists the models",
            )
        return Target(replace(found, artifact=found.artifact or artifact), {})

    def find_predecessor(self, champion: Champion) -> Target:
        """Return the most recent predecessor that was not rolled back. Raises RollbackRefused when there is none."""
        skipped: dict[str, str] = {}
        visited = {champion.model_version}
        name = champion.previous
        while name and name not in visited:
            visited.add(name)
            model = self._table.promoted(name) or Champion(name, name, "")
            artifact = None if model.rolled_back_at else self._artifact(model)
            if artifact is not None:
                return Target(replace(model, artifact=model.artifact or artifact), skipped)
            skipped[name] = (
                f"was rolled back at {model.rolled_back_at}" if model.rolled_back_at else "is no longer in SageMaker"
            )
            name = model.previous
        reasons = "; ".join(f"{model} {why}" for model, why in skipped.items())
        raise RollbackRefused(
            "NoEarlierModel",
            f"there is no earlier model to restore for {champion.model_version}"
            + (f": {reasons}" if skipped else "")
            + ". Name a model with `make rollback TO=<model>`; `make status` lists them",
        )

    def _recorded(self, name: str) -> Champion | None:
        """Find the record of a model by its version, or by the name of its endpoint configuration."""
        if found := self._table.promoted(name):
            return found
        return next((model for model in self._table.all_promoted() if model.endpoint_config == name), None)

    def _artifact(self, model: Champion) -> str | None:
        """Return the address of the model's model.tar.gz, or None when SageMaker cannot deploy it any more."""
        try:
            return describe_served_model(model.endpoint_config, self._sagemaker).artifact
        except ClientError as error:
            if is_missing(error) or error_code(error) in ACCESS_DENIED:
                return None
            raise
