"""The threshold parameter."""

import pytest

from functions.shared.aws import client
from functions.shared.errors import (
    InvalidThreshold,
)
from tests.unit.functions.stack import (
    JPEG,
    Function,
    Stack,
)


def test_the_threshold_parameter_overrides_the_models_own(stack: Stack, classify: Function) -> None:
    stack.set_threshold("0.99")
    outcome = classify(photo=stack.upload().as_state())
    assert (outcome["threshold"], outcome["reason"]) == (0.99, "LowConfidence")


@pytest.mark.parametrize("value", ["modle", "1.01", "-0.1", "nan", "inf"])
def test_an_invalid_threshold_names_the_parameter_to_fix(stack: Stack, classify: Function, value: str) -> None:
    stack.set_threshold(value)
    with pytest.raises(InvalidThreshold, match=f"/scones/test/threshold is '{value}'; set it"):
        classify(photo=stack.upload().as_state())


def test_a_missing_threshold_names_the_parameter_to_create(stack: Stack, classify: Function) -> None:
    client("ssm").delete_parameter(Name="/scones/test/threshold")
    with pytest.raises(InvalidThreshold, match="there is no SSM parameter /scones/test/threshold"):
        classify(photo=stack.upload().as_state())


def test_the_threshold_is_read_once_a_minute(stack: Stack, classify: Function, monkeypatch: pytest.MonkeyPatch) -> None:
    classify(photo=stack.upload().as_state())
    monkeypatch.setattr(client("ssm"), "get_parameters", lambda **_: pytest.fail("read again"))
    classify(photo=stack.upload(JPEG + b"!").as_state())
