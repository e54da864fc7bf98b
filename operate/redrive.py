"""List, replay and remove failed requests: the review dead-letter queue and the unrouted queue."""

from datetime import UTC, datetime

from console.aws import Aws
from console.failed_messages import FailedMessage
from console.failed_requests import FailedRequests, MessageNotFound, NotRemoved, Replayed, Result
from deploy.outputs import Deployed
from functions.shared.texts import printable
from operate.errors import CommandError
from operate.terminal import duration, print_line


def list_failed(deployed: Deployed) -> None:
    """Print the messages of both queues; they stay."""
    review, unrouted = FailedRequests(deployed, Aws()).list_both()
    for title, messages in (("Review requests", review), ("Photos and events", unrouted)):
        print_line(f"\n{title}: {len(messages) or 'none failed'}")
        for message in messages:
            _print_message(message)
            if message.action is None:
                _print_body(message)
            if message.is_repaired:
                print_line(f"  Repaired: the photo has its outcome by now ({message.outcome}). A replay removes this.")
                continue
            if message.has_advice:
                print_line(f"  {printable(message.advice)}")
            if message.action:
                print_line(f"  Replay: {message.action.value}.")
    if any(message.action for message in (*review, *unrouted)):
        command = f"make redrive STAGE={deployed.stage}"
        print_line(f"\nReplay all: {command}   One: {command} ID=<message>")


def replay(deployed: Deployed, message_id: str = "") -> None:
    """Replay every message that can be replayed, or the one with an id, and print what was done with each.

    Raises CommandError when a replay failed, or the message with the id was not replayed.
    """
    try:
        results = FailedRequests(deployed, Aws()).replay(message_id or None, _print_replayed)
    except MessageNotFound as error:
        raise CommandError(str(error)) from error
    counts = {result: sum(one.result is result for one in results) for result in Result}
    if not results:
        print_line("No failed requests.")
        return
    print_line("\n" + ", ".join(f"{count} {result.value}" for result, count in counts.items() if count) + ".")
    if counts[Result.FAILED]:
        raise CommandError(
            f"{counts[Result.FAILED]} of {len(results)} messages were not replayed; they stay in the queue"
        )
    if message_id and counts[Result.STAYED]:
        raise CommandError("this message is not replayed; it stays in the queue")


def remove(deployed: Deployed, message_id: str, *, force: bool) -> None:
    """Remove a message that cannot be replayed, with `force` any, and print its body. Raises CommandError."""
    try:
        message = FailedRequests(deployed, Aws()).remove(message_id, force=force)
    except (MessageNotFound, NotRemoved) as error:
        raise CommandError(str(error)) from error
    _print_message(message)
    _print_body(message)
    print_line("Removed. The lines above are all that is left of it.")


def _print_replayed(replayed: Replayed) -> None:
    _print_message(replayed.message)
    print_line(f"  {'failed: ' if replayed.result is Result.FAILED else ''}{printable(replayed.text)}")


def _print_body(message: FailedMessage) -> None:
    for line in message.body.splitlines():
        print_line(f"  | {printable(line)}")


def _print_message(message: FailedMessage) -> None:
    waited = duration((datetime.now(UTC) - message.sent_at).total_seconds())
    since = f"{message.sent_at:%Y-%m-%d %H:%M} UTC ({waited})"
    print_line(f"\n{message.message_id}  {printable(message.title)}, since {since}")
    if message.photo:
        print_line(f"  {message.photo.address}, driver {printable(message.photo.driver_id)}")
    if message.error:
        print_line(f"  {printable(message.error)}")
