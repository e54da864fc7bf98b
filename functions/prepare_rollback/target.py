"""Which model a rollback restores."""

from dataclasses import dataclass, replace

from botocore.exceptions import ClientError

from functions.shared.aws import Client, error_code
from functions.shared.champion import Champion, ModelTable

# SageMaker has no error of its own for a name that it does not know. Roles cover the models of their own stage only.
NOT_OURS = {"AccessDenied", "AccessDeniedException"}


class Refusal(Exception):
    """A rollback that cannot begin. `reason` is its name; the message says why, and what to do."""

    def __init__(self, reason: str, words: str) -> None:
        super().__init__(words)
        self.reason = reason


@dataclass(frozen=True)
class Target:
    """The model to restore, and the predecessors that were passed over on the way to it, each with the reason."""

    model: Champion
    skipped: dict[str, str]


class Targets:
    """The models that may be restored: those with a record in the table and a configuration in SageMaker."""

    def __init__(self, table: ModelTable, sagemaker: Client) -> None:
        self._table = table
        self._sagemaker = sagemaker

    def named(self, name: str, champion: Champion) -> Target:
        """The model of this name, marked or not. Raises Refusal when it is the champion or cannot be served."""
        if name in (champion.model_version, champion.endpoint_config):
            raise Refusal("AlreadyChampion", f"{name} is the champion already")
        found = self._recorded(name) or Champion(name, name, "", previous=champion.model_version)
        artifact = self._artifact(found)
        if artifact is None:
            raise Refusal(
                "UnknownModel",
                f"{name} cannot be put back: SageMaker has no model and endpoint configuration of that name in this "
                "stage. `make status` lists the models",
            )
        return Target(replace(found, artifact=found.artifact or artifact), {})

    def predecessor(self, champion: Champion) -> Target:
        """The champion's most recent predecessor that was not rolled back itself. Raises Refusal when there is none."""
        skipped: dict[str, str] = {}
        seen = {champion.model_version}
        name = champion.previous
        while name and name not in seen:
            seen.add(name)
            model = self._table.promoted(name) or Champion(name, name, "")
            artifact = None if model.rolled_back_at else self._artifact(model)
            if artifact is not None:
                return Target(replace(model, artifact=model.artifact or artifact), skipped)
            skipped[name] = (
                f"was rolled back at {model.rolled_back_at}" if model.rolled_back_at else "is no longer in SageMaker"
            )
            name = model.previous
        passed_over = "; ".join(f"{model} {why}" for model, why in skipped.items())
        raise Refusal(
            "NoEarlierModel",
            f"there is no earlier model to put back for {champion.model_version}"
            + (f": {passed_over}" if skipped else "")
            + ". Name a model with `make rollback TO=<model>`; `make status` lists them",
        )

    def _recorded(self, name: str) -> Champion | None:
        """The record of a model by its version, or by the name of its endpoint configuration."""
        if found := self._table.promoted(name):
            return found
        return next((model for model in self._table.all_promoted() if model.endpoint_config == name), None)

    def _artifact(self, model: Champion) -> str | None:
        """Where the model that the configuration serves lies, or None when SageMaker cannot serve it any more."""
        try:
            config = self._sagemaker.describe_endpoint_config(EndpointConfigName=model.endpoint_config)
            described = self._sagemaker.describe_model(ModelName=config["ProductionVariants"][0]["ModelName"])
        except ClientError as error:
            if "Could not find" in str(error) or error_code(error) in NOT_OURS:
                return None
            raise
        return str(described["PrimaryContainer"]["ModelDataUrl"])
