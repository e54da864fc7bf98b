"""`python -m console.redrive`: send failed review requests from the dead-letter queue back to the review queue."""

import argparse
import sys

from botocore.exceptions import BotoCoreError, ClientError

from console.aws import Aws
from console.labels import Labels
from console.queue import DeadLetter, Queue
from deploy.outputs import Deployed


def main() -> int:
    """Run the command. Returns the exit status: 0, or 1 with one line on stderr when it failed."""
    from deploy.errors import DeployError
    from deploy.system import outputs
    from deploy.target import connect

    parser = argparse.ArgumentParser(
        prog="console.redrive", description="Send failed review requests back to the reviewers."
    )
    parser.add_argument("--list", action="store_true", help="only list them")
    parser.add_argument("--all", action="store_true", help="also send those that cannot be answered")
    arguments = parser.parse_args()
    try:
        deployed, aws = Deployed.of(outputs(connect())), Aws()
        queue = Queue(deployed, aws, Labels(deployed.ml_bucket, aws.s3))
        if arguments.list:
            show(queue.dead_letters())
            return 0
        sent, stayed = queue.redrive(everything=arguments.all)
    except (DeployError, ClientError, BotoCoreError, ValueError) as error:
        print(f"redrive failed: {error}", file=sys.stderr)
        return 1
    print(f"{sent} sent back to the review queue.")
    if stayed:
        print(f"{len(stayed)} stayed, because they cannot be answered (--all sends them too):")
        show(stayed)
    return 0


def show(letters: list[DeadLetter]) -> None:
    """Print failed review requests, without their task tokens."""
    for letter in letters:
        print(f"\n{letter.message_id}, sent {letter.sent_at}, received {letter.receives} times")
        print(f"  {letter.problem or 'can be answered'}")
        print("  " + letter.body.replace("\n", "\n  "))
    if not letters:
        print("No failed review requests.")


if __name__ == "__main__":
    sys.exit(main())
