"""Put the endpoint of the champion back, followed state by state."""

import boto3

from console.identity import find_reviewer
from console.repair import start_repair
from deploy.outputs import Deployed
from operate import executions
from operate.errors import CommandError
from operate.terminal import print_line


def run(deployed: Deployed) -> None:
    """Restore the endpoint and wait until it serves the champion. Raises CommandError when it does not."""
    who = find_reviewer(boto3.client("sts")).name
    output = executions.follow(start_repair(deployed, boto3.client("stepfunctions"), who), "retrain-model")
    if output.get("reason") != "EndpointRepaired":
        raise CommandError(f"The endpoint was not repaired ({output.get('reason')}): {output.get('verdict')}")
    print_line(f"{deployed.endpoint_name}: {output['verdict']}.")
