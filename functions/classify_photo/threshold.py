"""The confidence from which on the model decides alone."""

import math

from aws_lambda_powertools.utilities.parameters import SSMProvider
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError

from functions.shared.aws import Client
from functions.shared.errors import InvalidThreshold, ThresholdUnavailable

MODELS_OWN = "model"
MAX_AGE_S = 60


class Threshold:
    """The threshold parameter: `model` for the model's own operating threshold, or a number in [0, 1] instead of it."""

    def __init__(self, parameter: str, ssm: Client) -> None:
        self.parameter = parameter
        self._provider = SSMProvider(boto3_client=ssm)

    def instead_of(self, models_own: float) -> float:
        """The threshold in force, at most 60 s old.

        Raises InvalidThreshold when the parameter is missing or makes no sense, ThresholdUnavailable when it
        cannot be read.
        """
        value = self._value()
        if value == MODELS_OWN:
            return models_own
        try:
            threshold = float(value)
        except ValueError:
            threshold = math.nan
        if not 0 <= threshold <= 1:
            raise InvalidThreshold(
                f"SSM parameter {self.parameter} is {value!r}; set it to {MODELS_OWN!r} or to a number from 0 to 1"
            )
        return threshold

    def _value(self) -> str:
        try:
            return str(self._provider.get(self.parameter, max_age=MAX_AGE_S)).strip()
        except GetParameterError as error:
            # Powertools keeps the text of the AWS error, not its code.
            if "ParameterNotFound" in str(error):
                raise InvalidThreshold(
                    f"there is no SSM parameter {self.parameter}; create it with the value {MODELS_OWN!r}"
                ) from error
            raise ThresholdUnavailable(f"SSM parameter {self.parameter} could not be read: {error}") from error
