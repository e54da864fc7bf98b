"""Publish events on the event bus of the stage."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from functions.shared.errors import EventNotPublished

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

SOURCE = "scones.vehicles"


class EventBus:
    """The event bus of the stage."""

    def __init__(self, name: str, events: "EventBridgeClient") -> None:
        """`name` is the name of the event bus."""
        self.name = name
        self._events = events

    def publish(self, detail_type: str, detail: Mapping[str, Any]) -> None:
        """Publish one event. Raises EventNotPublished, also when EventBridge answers 200 but rejects the entry."""
        try:
            answer = self._events.put_events(
                Entries=[
                    {
                        "EventBusName": self.name,
                        "Source": SOURCE,
                        "DetailType": detail_type,
                        "Detail": json.dumps(detail, ensure_ascii=False),
                    }
                ]
            )
        except (ClientError, BotoCoreError) as error:
            raise EventNotPublished(f"{detail_type!r} was not accepted by event bus {self.name}: {error}") from error
        if answer["FailedEntryCount"]:
            rejected = answer["Entries"][0]
            raise EventNotPublished(
                f"{detail_type!r} was rejected by event bus {self.name}: "
                f"{rejected.get('ErrorCode')}: {rejected.get('ErrorMessage')}"
            )
