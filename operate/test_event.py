"""`make test-event`: send the sample of an event, as a test, to the rules of other teams."""

import events
from console.aws import Aws
from console.other_teams import TEST_SOURCE, send_test_event
from deploy.outputs import Deployed
from functions.shared.errors import EventNotPublished
from operate.errors import CommandError
from operate.terminal import console


def send(deployed: Deployed, aws: Aws, detail_type: str) -> None:
    """Publish the sample of an event with the source of tests, and print its id. Raises CommandError, ClientError."""
    if detail_type not in events.DETAIL_TYPES:
        raise CommandError(f"There is no event {detail_type!r}. There are {', '.join(events.DETAIL_TYPES)}.")
    try:
        sent = send_test_event(detail_type, deployed, aws.events)
    except EventNotPublished as error:
        raise CommandError(f"{error}. Repeat the command.") from error
    console.print(f"Sent {detail_type} to bus {deployed.event_bus}: source {TEST_SOURCE}, id {sent}", soft_wrap=True)
    console.print("Rules receive it that have this source in their pattern. Those of the stage do not.", soft_wrap=True)
