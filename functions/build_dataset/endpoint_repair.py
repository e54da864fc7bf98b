"""Who is champion, and whether it serves as it should."""

from typing import Any

from botocore.exceptions import ClientError

from functions.shared.aws import Client
from functions.shared.champion import Champion, EndpointBusy, ModelTable

ON_ITS_WAY = {"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"}
# SageMaker updates such an endpoint no more.
BEYOND_REPAIR = {"Failed", "UpdateRollbackFailed"}


class Throne:
    """The endpoint, and the champion that belongs on it."""

    def __init__(self, endpoint: str, table: ModelTable, sagemaker: Client) -> None:
        self.endpoint = endpoint
        self._table = table
        self._sagemaker = sagemaker

    def champion(self) -> Champion | None:
        """The recorded champion; before the first promotion was recorded, the model that serves; else None.

        A retraining that was stopped after it touched the endpoint leaves it with a model nobody promoted, failed or
        deleted: the recorded champion is put back. Raises EndpointBusy while the endpoint is changing.
        """
        recorded, seen = self._table.champion(), self._describe()
        if seen is None:
            if recorded:
                self._create(recorded)
            return recorded
        if seen["EndpointStatus"] in ON_ITS_WAY:
            raise EndpointBusy(f"endpoint {self.endpoint} is {seen['EndpointStatus']}; look again in a while")
        if recorded is None:
            return self._serving(seen["EndpointConfigName"]) if seen["EndpointStatus"] == "InService" else None
        if seen["EndpointStatus"] in BEYOND_REPAIR:
            self._sagemaker.delete_endpoint(EndpointName=self.endpoint)
            raise EndpointBusy(f"endpoint {self.endpoint} was {seen['EndpointStatus']}; the champion gets a new one")
        if seen["EndpointStatus"] == "InService" and seen["EndpointConfigName"] != recorded.endpoint_config:
            self._sagemaker.update_endpoint(EndpointName=self.endpoint, EndpointConfigName=recorded.endpoint_config)
        return recorded

    def _describe(self) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self._sagemaker.describe_endpoint(EndpointName=self.endpoint)
        except ClientError as error:
            if "Could not find" in str(error):
                return None
            raise
        return found

    def _create(self, champion: Champion) -> None:
        try:
            self._sagemaker.create_endpoint(EndpointName=self.endpoint, EndpointConfigName=champion.endpoint_config)
        except ClientError as error:
            # Without its configuration the champion is lost; the challenger will be put on a new endpoint.
            if "Could not find" not in str(error):
                raise

    def _serving(self, config: str) -> Champion:
        variants = self._sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
        model = self._sagemaker.describe_model(ModelName=variants[0]["ModelName"])
        return Champion(
            model_version=model["ModelName"],
            endpoint_config=config,
            artifact=model["PrimaryContainer"]["ModelDataUrl"],
        )
