"""The names that commands take from the deployed stack."""

from dataclasses import fields

import pytest

from operate.errors import CommandError
from operate.stack import Deployed


def test_a_stack_of_an_earlier_version_is_told_to_deploy() -> None:
    names = ["".join(part.capitalize() for part in field.name.split("_")) for field in fields(Deployed)]
    outputs = {name: name.lower() for name in names}
    assert Deployed.of(outputs).rollback_model_arn == "rollbackmodelarn"
    del outputs["RollbackModelArn"]
    with pytest.raises(CommandError, match=r"no output RollbackModelArn.*make deploy"):
        Deployed.of(outputs)
