import ast
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from functions.shared.dynamodb import attributes, values
from functions.shared.errors import InvalidInput, InvalidSettings
from functions.shared.photo import Photo
from functions.shared.vehicles import Bay, vehicles

FUNCTIONS = Path(__file__).parents[3] / "functions"


def test_a_photos_identity_is_bucket_key_and_etag() -> None:
    photo = Photo("uploads", "uploads/d/a.jpg", "abc")
    assert photo.photo_id == hashlib.sha256(b"uploads\0uploads/d/a.jpg\0abc").hexdigest()[:32]
    assert photo.photo_id != Photo("uploads", "uploads/d/a.jpg", "abd").photo_id


def test_an_etag_is_the_same_with_and_without_its_quotes() -> None:
    quoted = Photo.from_state({"bucket": "b", "key": "k", "etag": '"abc"'})
    assert quoted == Photo.from_state({"bucket": "b", "key": "k", "etag": "abc"})


def test_a_photo_nobody_asked_s3_about_has_no_identity_yet() -> None:
    with pytest.raises(InvalidInput, match="no etag"):
        _ = Photo("b", "k").photo_id


@pytest.mark.parametrize(
    ("key", "driver"),
    [
        ("uploads/driver-17/bike.jpg", "driver-17"),
        ("uploads/driver-17/today/bike.jpg", "driver-17"),
        ("uploads/bike.jpg", "unknown"),
        ("uploads//bike.jpg", "unknown"),
        ("elsewhere/driver-17/bike.jpg", "unknown"),
    ],
)
def test_the_driver_is_in_the_key(key: str, driver: str) -> None:
    assert Photo("b", key, "e").driver_id == driver


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
    assert vehicles(path).bay("bus") == Bay("Bay C", "distant")
    assert "bus" in vehicles(path)
    assert "bicycle" not in vehicles(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[vehicles", "not valid TOML"),
        ("[vehicles.bicycle]\nloading_bay = 'A'", "order_range"),
        ("[vehicles]\n[help_desk]\nloading_bay='H'\norder_range='help-desk'", "at least one vehicle"),
    ],
)
def test_an_incomplete_configuration_says_what_is_missing(
    vehicles_file: Callable[[str], Path], text: str, message: str
) -> None:
    with pytest.raises(InvalidSettings, match=message):
        vehicles(vehicles_file(text))


def test_a_package_without_the_configuration_says_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"cannot read vehicles\.toml"):
        vehicles(tmp_path / "vehicles.toml")


@pytest.mark.parametrize(
    "value", [{"confidence": 0.1}, {"p": {"bicycle": 1e-9, "other": 0.3}}, {"size": 5, "none": None, "yes": True}]
)
def test_values_come_back_from_dynamodb_as_they_went(value: dict[str, Any]) -> None:
    assert values(attributes(value)) == value


def test_functions_import_nothing_of_the_other_folders() -> None:
    allowed = {"functions", "aws_lambda_powertools", "boto3", "botocore", "_typeshed"}
    for path in FUNCTIONS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            foreign = {name.split(".")[0] for name in names} - allowed - set(__import__("sys").stdlib_module_names)
            assert not foreign, f"{path.name} imports {foreign}"
