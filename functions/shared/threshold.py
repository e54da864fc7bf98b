"""The threshold: the confidence from which on the model decides without a review."""

import math

from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError

from functions.shared.errors import InvalidThreshold, ThresholdUnavailable
from functions.shared.parameters import Parameters

MODELS_OWN = "model"


class Threshold:
    """The SSM parameter of the threshold: `model` for the model's own, or a number in [0, 1] that overrides it."""

    def __init__(self, parameter: str, parameters: Parameters) -> None:
        """`parameter` is the name of the SSM parameter, one of `parameters`."""
        self.parameter = parameter
        self._parameters = parameters

    def resolve(self, models_own: float) -> float:
        """Return the threshold in force, read at most a minute ago; `models_own` is the model's own.

        Raises InvalidThreshold when the parameter is missing or malformed, ThresholdUnavailable when it cannot be
        read.
        """
        value = self._value()
        if value == MODELS_OWN:
            return models_own
        try:
            threshold = float(value)
        except ValueError:  # refused below, with the text
            threshold = math.nan
        if not 0 <= threshold <= 1:
            raise InvalidThreshold(
                f"SSM parameter {self.parameter} is {value!r}; set it to {MODELS_OWN!r} or to a number from 0 to 1"
            )
        return threshold

    def _value(self) -> str:
        try:
            value = self._parameters.find(self.parameter)
        except GetParameterError as error:
            raise ThresholdUnavailable(f"SSM parameter {self.parameter} could not be read: {error}") from error
        if value is None:
            raise InvalidThreshold(
                f"there is no SSM parameter {self.parameter}; create it with the value {MODELS_OWN!r}"
            )
        return value
