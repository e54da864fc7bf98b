"""Conversion of values for DynamoDB."""

from typing import Any

import pytest

from functions.shared.dynamodb import deserialize, serialize


@pytest.mark.parametrize(
    "value", [{"confidence": 0.1}, {"p": {"bicycle": 1e-9, "other": 0.3}}, {"size": 5, "none": None, "yes": True}]
)
def test_values_are_read_from_dynamodb_as_they_were_written(value: dict[str, Any]) -> None:
    assert deserialize(serialize(value)) == value
