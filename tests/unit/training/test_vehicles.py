"""The configured vehicles."""

import pytest

from training.vehicles import configured_vehicles, imagenet_classes


def test_an_imagenet_class_of_two_vehicles_is_refused(tmp_path):
    file = tmp_path / "vehicles.toml"
    file.write_text("[vehicles.a]\nimagenet_classes = [1]\n[vehicles.b]\nimagenet_classes = [1]\n")
    with pytest.raises(ValueError, match="both a and b"):
        imagenet_classes(file)
    file.write_text("[vehicles.a]\nimagenet_classes = [1000]\n")
    with pytest.raises(ValueError, match="1000"):
        imagenet_classes(file)


def test_a_vehicle_called_other_is_refused(tmp_path):
    (tmp_path / "vehicles.toml").write_text("[vehicles.other]\n[vehicles.bicycle]\n")
    with pytest.raises(ValueError, match="other"):
        configured_vehicles(tmp_path / "vehicles.toml")
