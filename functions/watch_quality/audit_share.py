"""The audit share, which is raised during a drift: reviewers label more of the photos that the model decides alone."""

from typing import TYPE_CHECKING

from functions.shared.sampling import parse_share

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient


class AuditShareParameter:
    """The SSM parameter of the audit share: `setting`, or a number in [0, 1] that replaces the setting of the stage.

    Every method raises ClientError or BotoCoreError.
    """

    def __init__(self, name: str, setting: float, ssm: "SSMClient") -> None:
        """`name` is the name of the parameter, `setting` the share that is set with `make deploy`."""
        self._name = name
        self._setting = setting
        self._ssm = ssm

    def find_lower(self, share: float) -> str | None:
        """Return the value of the parameter when the share in force is lower than `share`, else None."""
        value = self._read()
        return value if parse_share(value, self._setting) < share else None

    def set(self, value: str) -> None:
        """Set the value."""
        self._ssm.put_parameter(Name=self._name, Value=value, Type="String", Overwrite=True)

    def restore(self, value: str, before: str) -> None:
        """Set the value `before` again unless somebody has replaced `value` meanwhile."""
        if self._read() == value:
            self.set(before)

    def _read(self) -> str:
        return str(self._ssm.get_parameter(Name=self._name)["Parameter"]["Value"]).strip()
