"""Conversion between JSON values and DynamoDB attributes, whose numbers are decimals."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

Attributes = dict[str, Any]

# DynamoDB has no numbers but 0 below 1E-130; a probability as small as this is 0.
_SMALLEST = 1e-120

_serialize = TypeSerializer().serialize
_deserialize = TypeDeserializer().deserialize


def serialize(values: Mapping[str, Any]) -> Attributes:
    """Return JSON values as DynamoDB attributes.

    >>> serialize({"confidence": 0.97})
    {'confidence': {'N': '0.97'}}
    """
    return {name: _serialize(_decimals(value)) for name, value in values.items()}


def deserialize(item: Attributes) -> dict[str, Any]:
    """Return DynamoDB attributes as the JSON values that were written.

    >>> deserialize({"confidence": {"N": "0.97"}, "size": {"N": "12"}})
    {'confidence': 0.97, 'size': 12}
    """
    return {name: _numbers(_deserialize(value)) for name, value in item.items()}


def _decimals(value: Any) -> Any:
    if isinstance(value, float):
        return Decimal(repr(value)) if abs(value) >= _SMALLEST else Decimal(0)
    if isinstance(value, Mapping):
        return {name: _decimals(inner) for name, inner in value.items()}
    return value


def _numbers(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, Mapping):
        return {name: _numbers(inner) for name, inner in value.items()}
    return value
