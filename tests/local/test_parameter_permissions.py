"""The permissions of a request for several parameters of Systems Manager."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from local import users
from tests.local.aws import Aws
from tests.local.http_requests import client_with_key

PARAMETERS = "arn:aws:ssm:eu-west-1:000000000000:parameter/shop"


@pytest.fixture
def ssm(aws: Aws) -> Any:
    """The client of a user who may read two parameters, each by a statement of its own."""
    for name in ("size", "colour", "secret"):
        aws.client("ssm").put_parameter(Name=f"/shop/{name}", Value=name, Type="String", Overwrite=True)
    statements = [
        {"Effect": "Allow", "Action": "ssm:GetParameters", "Resource": f"{PARAMETERS}/{name}"}
        for name in ("size", "colour")
    ]
    key = users.access_key(aws.server, "parameters", {"Version": "2012-10-17", "Statement": statements})
    return client_with_key(aws, "ssm", key.access_key_id, key.secret_access_key)


def test_parameters_that_are_allowed_one_by_one_are_read_together(ssm: Any) -> None:
    found = ssm.get_parameters(Names=["/shop/size", "/shop/colour"])["Parameters"]
    assert {parameter["Value"] for parameter in found} == {"size", "colour"}


@pytest.mark.parametrize("names", [["/shop/secret"], ["/shop/size", "/shop/secret"], ["/shop/secret", "/shop/size"]])
def test_one_parameter_that_is_not_allowed_denies_the_request(ssm: Any, names: list[str]) -> None:
    with pytest.raises(ClientError, match="AccessDenied"):
        ssm.get_parameters(Names=names)
