"""The configuration of vehicles."""

from collections.abc import Callable
from pathlib import Path

import pytest

from functions.shared.errors import InvalidSettings
from functions.shared.vehicles import Bay, load_vehicles


def test_a_vehicle_is_added_by_configuration_alone(vehicles_file: Callable[[str], Path]) -> None:
    path = vehicles_file(
        """
        [help_desk]
        loading_bay = "Help desk"
        order_range = "help-desk"
        [vehicles.bus]
        loading_bay = "Bay C"
        order_range = "distant"
        review_key = "u"
        """
    )
    assert load_vehicles(path).bay("bus") == Bay("Bay C", "distant")
    assert "bus" in load_vehicles(path)
    assert "bicycle" not in load_vehicles(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[vehicles", "not valid TOML"),
        ("[vehicles.bicycle]\nloading_bay = 'A'", "order_range"),
        ("[vehicles]\n[help_desk]\nloading_bay='H'\norder_range='help-desk'", "at least one vehicle"),
    ],
)
def test_the_error_for_an_incomplete_configuration_names_what_is_missing(
    vehicles_file: Callable[[str], Path], text: str, message: str
) -> None:
    with pytest.raises(InvalidSettings, match=message):
        load_vehicles(vehicles_file(text))


def test_a_missing_configuration_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"cannot read vehicles\.toml"):
        load_vehicles(tmp_path / "vehicles.toml")
