"""Environment variables of the functions."""

from dataclasses import dataclass, field

import pytest

from functions.judge_challenger.gate import Gate
from functions.shared.errors import InvalidSettings
from functions.shared.settings import read_settings


@dataclass(frozen=True)
class Limits:
    accuracy: float = 0.85
    photos: int = 10


@dataclass(frozen=True)
class Settings:
    table: str
    labels: int
    hours: float
    allowed: bool
    limits: Limits = field(default_factory=Limits)


VALID = {"TABLE": "models", "LABELS": "25", "HOURS": "0.5", "ALLOWED": "no", "LIMITS": '{"accuracy": 1}'}


def test_each_variable_is_read_as_the_type_of_its_field() -> None:
    assert read_settings(Settings, VALID) == Settings("models", 25, 0.5, False, Limits(accuracy=1))
    assert read_settings(Settings, {**VALID, "ALLOWED": "yes"}).allowed is True


def test_every_missing_and_every_malformed_variable_is_named_at_once() -> None:
    environment = {"TABLE": "", "LABELS": "2.5", "HOURS": "nan", "ALLOWED": "maybe", "LIMITS": "[]"}
    with pytest.raises(InvalidSettings) as raised:
        read_settings(Settings, environment)
    assert str(raised.value) == (
        "environment variables of the function: ALLOWED is 'maybe': pass yes or no; HOURS is 'nan': pass a number; "
        "LABELS is '2.5': pass a whole number; LIMITS is '[]': pass a JSON object such as {}; TABLE is not set"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no JSON", "JSON object"),
        ('{"acuracy": 1}', "names acuracy, but only accuracy, photos are known"),
        ('{"accuracy": "high"}', "a number for accuracy"),
        ('{"accuracy": true}', "a number for accuracy"),
        ('{"accuracy": NaN}', "a number for accuracy"),
        ('{"photos": 2.5}', "a number for photos, a whole one for a count"),
    ],
)
def test_the_error_for_a_malformed_object_names_the_expected_value(text: str, message: str) -> None:
    with pytest.raises(InvalidSettings, match=f"LIMITS is .*{message}"):
        read_settings(Settings, {**VALID, "LIMITS": text})


def test_the_limits_of_the_gate_are_settings() -> None:
    @dataclass(frozen=True)
    class Function:
        gate: Gate

    assert read_settings(Function, {"GATE": "{}"}).gate == Gate()
    assert read_settings(Function, {"GATE": '{"margin": 0.01}'}).gate.margin == 0.01
