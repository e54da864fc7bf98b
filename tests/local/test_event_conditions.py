"""The condition keys of events:PutEvents in the policy of a user."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from local import users
from tests.local.aws import Aws
from tests.local.http_requests import client_with_key

BUS = "arn:aws:events:eu-west-1:000000000000:event-bus/default"


def entry(source: str = "shop", kind: str = "Order Placed", bus: str = "default") -> dict[str, str]:
    return {"Source": source, "DetailType": kind, "Detail": "{}", "EventBusName": bus}


@pytest.fixture
def events(aws: Aws) -> Any:
    """The client of a user who may send one type of event of one source to the default bus."""
    condition = {"StringEquals": {"events:source": "shop", "events:detail-type": "Order Placed"}}
    statement = {"Effect": "Allow", "Action": "events:PutEvents", "Resource": BUS, "Condition": condition}
    key = users.access_key(aws.server, "events", {"Version": "2012-10-17", "Statement": [statement]})
    return client_with_key(aws, "events", key.access_key_id, key.secret_access_key)


def test_events_of_the_allowed_source_and_type_are_accepted(events: Any) -> None:
    assert events.put_events(Entries=[entry(), entry()])["FailedEntryCount"] == 0


@pytest.mark.parametrize(
    "other", [entry(source="bank"), entry(kind="Order Paid"), entry(bus="other"), {"Detail": "{}", "Source": "shop"}]
)
def test_one_entry_that_is_not_allowed_denies_the_request(events: Any, other: dict[str, str]) -> None:
    for entries in ([other], [entry(), other], [other, entry()]):
        with pytest.raises(ClientError, match="AccessDenied"):
            events.put_events(Entries=entries)
