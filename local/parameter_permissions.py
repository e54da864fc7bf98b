"""SSM: a request for several parameters needs permission for each of them.

ministack authorizes GetParameters on `*`. On AWS its resources are the parameters that it names ("Actions, resources,
and condition keys for AWS Systems Manager", Service Authorization Reference).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

from ministack.core import responses

from local import authorization
from local.authorization import Permission


def _permissions(asked: Permission, body: bytes, region: str) -> Iterator[Permission]:
    names = _names(body) if asked.action == "ssm:GetParameters" else ()
    for name in names:
        arn = f"arn:aws:ssm:{region}:{responses.get_account_id()}:parameter/{name.lstrip('/')}"
        yield replace(asked, resource=arn)
    if not names:
        yield asked


def _names(body: bytes) -> list[str]:
    """The parameters that a request names; none when it is malformed."""
    try:
        found = json.loads(body)["Names"]
    except (ValueError, TypeError, KeyError):
        return []
    return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []


def install() -> None:
    """Authorize requests to Systems Manager as this module says."""
    authorization.require("ssm", _permissions)
