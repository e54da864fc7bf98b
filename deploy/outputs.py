"""The outputs of a deployed stack."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from deploy.errors import DeployError
from deploy.names import logical_id

# The message of AccessDenied when a bucket policy denies a call; only the policy of the uploads bucket does.
_DENIED_BY_POLICY = "with an explicit deny in a resource-based policy"


@dataclass(frozen=True)
class Deployed:
    """The outputs of the app stack: names, URLs and ARNs of the resources of one stage."""

    uploads_bucket: str
    ml_bucket: str
    artifacts_bucket: str
    photo_table: str
    model_table: str
    upload_count_table: str
    batch_result_table: str
    review_queue_url: str
    review_dead_letter_queue_url: str
    audit_queue_url: str
    unrouted_queue_url: str
    event_bus: str
    classify_photo_arn: str
    retrain_model_arn: str
    rollback_model_arn: str
    classify_batch_arn: str
    endpoint_name: str
    image: str
    backtest_role_arn: str
    training_instance_type: str
    threshold_parameter: str

    @classmethod
    def of(cls, outputs: Mapping[str, str]) -> "Deployed":
        """Read the outputs of a stack: `UploadsBucket` becomes `uploads_bucket`.

        Raises DeployError when one is missing because an earlier version is deployed.
        """
        names = {field.name: logical_id(field.name) for field in fields(cls)}
        if missing := [name for name in names.values() if name not in outputs]:
            raise DeployError(
                f"The stack has no output {', '.join(missing)}: an earlier version is deployed. Run `make deploy`."
            )
        return cls(**{field: outputs[name] for field, name in names.items()})

    @property
    def app_name(self) -> str:
        """The name of the stack, its event bus and its model package group: `scones-{stage}`."""
        return self.event_bus

    @property
    def stage(self) -> str:
        """The stage, such as `dev`."""
        return self.app_name.removeprefix("scones-")

    @property
    def region(self) -> str:
        """The region of the stage."""
        return self.classify_photo_arn.split(":")[3]

    @property
    def account(self) -> str:
        """The number of the account of the stage."""
        return self.classify_photo_arn.split(":")[4]

    def log_group(self, function: str) -> str:
        """The log group of a function of the stage, such as `classify-photo`."""
        return f"/aws/lambda/{self.app_name}-{function}"

    def explain_denied_upload(self, error: Exception) -> str | None:
        """Return what to do when `error` is that the stage accepts no uploads, None for any other error."""
        if _DENIED_BY_POLICY not in str(error):
            return None
        return f"Stage {self.stage} accepts no uploads, because no application stack is deployed. Run `make deploy`."
