"""The SSM parameters that ClassifyPhoto reads for every photo, in one call for all of them."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.parameters import BaseProvider

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

MAX_AGE_S = 60


class Parameters(BaseProvider):
    """SSM parameters, read together at most every MAX_AGE_S seconds."""

    def __init__(self, names: Iterable[str], ssm: "SSMClient") -> None:
        """`names` are the names of at most ten parameters, the limit of GetParameters."""
        super().__init__()  # type: ignore[no-untyped-call]  # of Powertools
        self._ssm = ssm
        self._names = list(names)

    def find(self, name: str) -> str | None:
        """Return the value of a parameter, None when it does not exist. Raises GetParameterError."""
        values: dict[str, Any] = self.get_multiple("all", max_age=MAX_AGE_S)
        return values.get(name)

    def _get(self, name: str, **_: Any) -> str:
        raise NotImplementedError("all parameters are read together")

    def _get_multiple(self, path: str, **_: Any) -> dict[str, str]:
        found = self._ssm.get_parameters(Names=self._names)
        return {parameter["Name"]: parameter["Value"].strip() for parameter in found["Parameters"]}
