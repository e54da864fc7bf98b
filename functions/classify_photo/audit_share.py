"""The share of the photos decided by the model that reviewers also classify."""

from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError

from functions.shared.parameters import Parameters
from functions.shared.sampling import parse_share


class AuditShare:
    """The SSM parameter of the audit share: `setting` for the setting of the stage, or a number that overrides it.

    The drift watch raises the share with it for some time.
    """

    def __init__(self, name: str, setting: float, parameters: Parameters) -> None:
        """`name` is the name of the parameter, `setting` the share in [0, 1] that is set with `make deploy`."""
        self._name = name
        self._setting = setting
        self._parameters = parameters

    def current(self) -> float:
        """Return the share in force: the setting also when the parameter is missing, malformed or cannot be read.

        A driver waits for the decision, and not for the audit.
        """
        try:
            value = self._parameters.find(self._name)
        except GetParameterError:  # see the docstring
            return self._setting
        return parse_share(value, self._setting)
