"""The outputs of the deployed stack."""

from dataclasses import fields

import pytest

from deploy.errors import DeployError
from deploy.outputs import Deployed


def test_a_missing_output_is_an_error_that_names_make_deploy() -> None:
    names = ["".join(part.capitalize() for part in field.name.split("_")) for field in fields(Deployed)]
    outputs = {name: name.lower() for name in names}
    assert Deployed.of(outputs).rollback_model_arn == "rollbackmodelarn"
    del outputs["RollbackModelArn"]
    with pytest.raises(DeployError, match=r"no output RollbackModelArn.*make deploy"):
        Deployed.of(outputs)
