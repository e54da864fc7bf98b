"""Publishing what happened on the bus of the stage."""

import json
from collections.abc import Mapping
from typing import Any

from functions.shared.aws import Client
from functions.shared.errors import EventNotPublished

SOURCE = "scones.vehicles"


class EventBus:
    """The bus that other teams listen to."""

    def __init__(self, name: str, events: Client) -> None:
        self.name = name
        self._events = events

    def publish(self, detail_type: str, detail: Mapping[str, Any]) -> None:
        """Publish one event. Raises EventNotPublished when EventBridge answers 200 but did not take the event."""
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
        if answer["FailedEntryCount"]:
            refused = answer["Entries"][0]
            raise EventNotPublished(
                f"{detail_type!r} was refused by bus {self.name}: "
                f"{refused.get('ErrorCode')}: {refused.get('ErrorMessage')}"
            )
