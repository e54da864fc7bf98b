"""The deployed stack, by the names of its outputs."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from operate.errors import CommandError


@dataclass(frozen=True)
class Deployed:
    """Names, URLs and ARNs that the stack gives out."""

    uploads_bucket: str
    ml_bucket: str
    decision_table: str
    photo_table: str
    model_table: str
    review_queue_url: str
    review_dead_letter_queue_url: str
    unrouted_queue_url: str
    event_bus: str
    classify_photo_arn: str
    retrain_model_arn: str
    rollback_model_arn: str
    endpoint_name: str
    threshold_parameter: str

    @property
    def app_name(self) -> str:
        """The stack's own name, `scones-{stage}`, which is also that of its bus and its group of models."""
        return self.event_bus

    @classmethod
    def of(cls, outputs: Mapping[str, str]) -> "Deployed":
        """Read CloudFormation's outputs, `UploadsBucket` for `uploads_bucket`.

        Raises CommandError when one is missing, because an earlier version is deployed.
        """
        names = {field.name: "".join(part.capitalize() for part in field.name.split("_")) for field in fields(cls)}
        if missing := [name for name in names.values() if name not in outputs]:
            raise CommandError(
                f"The stack has no output {', '.join(missing)}: an earlier version is deployed. Run `make deploy`."
            )
        return cls(**{field: outputs[name] for field, name in names.items()})
