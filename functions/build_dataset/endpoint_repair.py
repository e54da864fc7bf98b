"""The endpoint in production, repaired before a retraining when it does not serve the champion."""

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from functions.shared.aws import error_code
from functions.shared.champion import Champion, EndpointBusy, ModelTable
from functions.shared.sagemaker import describe_served_model, find_endpoint, is_missing

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

IN_TRANSITION = {"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"}
# SageMaker cannot update an endpoint in these states; it must be deleted.
FAILED = {"Failed", "UpdateRollbackFailed"}


class ChampionEndpoint:
    """The endpoint of the stage, and the champion that it should serve."""

    def __init__(self, name: str, table: ModelTable, sagemaker: "SageMakerClient", scaling: Any) -> None:
        """`name` is the endpoint's name, `scaling` the client of Application Auto Scaling."""
        self.name = name
        self._table = table
        self._sagemaker = sagemaker
        self._scaling = scaling

    def restore_champion(self) -> Champion | None:
        """Make the endpoint serve the recorded champion, and return it.

        Before the first promotion was recorded, returns the model that the endpoint serves, or None. A retraining that
        was stopped after it changed the endpoint leaves it with another model, failed or deleted: it is updated,
        deleted or created. Raises EndpointBusy while the endpoint is changing, and after a failed one was deleted.
        """
        recorded, endpoint = self._table.champion(), find_endpoint(self.name, self._sagemaker)
        if endpoint is None:
            if recorded:
                self._create(recorded)
            return recorded
        status, config = endpoint["EndpointStatus"], endpoint["EndpointConfigName"]
        if status in IN_TRANSITION:
            raise EndpointBusy(f"endpoint {self.name} is {status}; try again later")
        if recorded is None:
            return self._served_by(config) if status == "InService" else None
        if status in FAILED:
            self._sagemaker.delete_endpoint(EndpointName=self.name)
            raise EndpointBusy(f"endpoint {self.name} was {status} and is deleted; a retry creates a new one")
        if status == "InService" and config != recorded.endpoint_config:
            self._stop_scaling()
            self._sagemaker.update_endpoint(
                EndpointName=self.name, EndpointConfigName=recorded.endpoint_config, RetainAllVariantProperties=True
            )
        return recorded

    def check_in_service(self, champion: Champion) -> None:
        """Raise EndpointBusy while the endpoint does not serve the champion yet: a retry waits for it."""
        endpoint = find_endpoint(self.name, self._sagemaker)
        status, config = (endpoint["EndpointStatus"], endpoint["EndpointConfigName"]) if endpoint else ("missing", "")
        if (status, config) != ("InService", champion.endpoint_config):
            raise EndpointBusy(f"endpoint {self.name} is {status}; a retry waits until it serves the champion")

    def _stop_scaling(self) -> None:
        """Deregister the endpoint's variant, or SageMaker refuses another instance type; the workflow registers it."""
        try:
            self._scaling.deregister_scalable_target(
                ServiceNamespace="sagemaker",
                ResourceId=f"endpoint/{self.name}/variant/AllTraffic",
                ScalableDimension="sagemaker:variant:DesiredInstanceCount",
            )
        except ClientError as error:
            if error_code(error) != "ObjectNotFoundException":
                raise

    def _create(self, champion: Champion) -> None:
        try:
            self._sagemaker.create_endpoint(EndpointName=self.name, EndpointConfigName=champion.endpoint_config)
        except ClientError as error:
            # Without its configuration the champion cannot be restored; the challenger gets a new endpoint.
            if not is_missing(error):
                raise

    def _served_by(self, config: str) -> Champion:
        model = describe_served_model(config, self._sagemaker)
        return Champion(model_version=model.name, endpoint_config=config, artifact=model.artifact)
