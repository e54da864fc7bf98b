"""The target of a command: the embedded AWS of this checkout, or the account of the current AWS credentials."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import boto3

from deploy.errors import DeployError

LOCAL = "local"
AWS = "aws"


@dataclass(frozen=True)
class Target:
    """Where commands deploy to: `kind` is `local` or `aws`, `stage` is the suffix of the stack's name.

    `account` is the number of the account on AWS, once the command is connected to it.
    """

    kind: str
    stage: str
    account: str = ""

    @property
    def is_local(self) -> bool:
        """Whether the target is the embedded AWS."""
        return self.kind == LOCAL

    @property
    def is_production(self) -> bool:
        """Whether the stage is the one whose data and stacks are protected against deletion."""
        return self.stage == "prod"

    @property
    def app_stack(self) -> str:
        """The name of the stack with workflows, functions and queues."""
        return f"scones-{self.stage}"

    @property
    def data_stack(self) -> str:
        """The name of the stack with buckets and tables."""
        return f"scones-{self.stage}-data"

    @property
    def console_stack(self) -> str:
        """The name of the stack with the console behind a load balancer, which an administrator deploys."""
        return f"scones-{self.stage}-console"

    @property
    def people_stack(self) -> str:
        """The name of the stack with the policies for people, which an administrator deploys."""
        return f"scones-{self.stage}-people"


def read_target() -> Target:
    """Read TARGET (default `local`) and STAGE (default `dev`) from the environment. Raises DeployError."""
    kind, stage = os.environ.get("TARGET", LOCAL), os.environ.get("STAGE", "dev")
    if kind not in (LOCAL, AWS):
        raise DeployError(f"TARGET is {kind!r}; use TARGET=local for the embedded AWS or TARGET=aws for an account")
    return Target(kind, read_stage(stage))


def read_stage(name: str) -> str:
    """Return the name of a stage. Raises DeployError for a name that no stage has."""
    if not re.fullmatch(r"[a-z][a-z0-9]{0,11}", name):
        raise DeployError(f"STAGE is {name!r}; use up to twelve lower-case letters and digits, starting with a letter")
    return name


def connect() -> Target:
    """Point the boto3 clients of this process at the target; start the embedded AWS when it is not running.

    Prints the target. Raises DeployError when there are no usable credentials.
    """
    chosen = read_target()
    if chosen.is_local:
        import local

        try:
            server, started = local.start()
        except local.LocalAwsError as error:
            raise DeployError(str(error)) from error
        local.use(server)
        boto3.setup_default_session()
        print(f"Embedded AWS at {server.url}, region {server.region}, stage {chosen.stage}")
        if started:
            local.print_restored(server, local.Settings.from_environment())
        return chosen
    region = os.environ.get("AWS_REGION") or boto3.session.Session().region_name
    if not region:
        raise DeployError("No AWS region is configured. Set AWS_REGION, for example AWS_REGION=eu-west-1.")
    os.environ["AWS_DEFAULT_REGION"] = region
    try:
        account = boto3.client("sts").get_caller_identity()["Account"]
    except Exception as error:
        raise DeployError(f"AWS did not accept the current credentials: {error}. Log in and try again.") from error
    print(f"AWS account {account}, region {region}, stage {chosen.stage}")
    expected = os.environ.get("ACCOUNT")
    if expected and expected != account:
        raise DeployError(
            f"ACCOUNT is {expected}, but the credentials belong to account {account}. Log in to the other."
        )
    return replace(chosen, account=account)


def use_own_identity(target: Target, name: str, policy: Mapping[str, Any]) -> None:
    """Make the boto3 clients of this process sign as a user of their own, on the embedded AWS; on AWS change nothing.

    There, the caller has an identity already. Here, everybody would be the root user, so this creates the IAM user
    `name` with `policy`, if it does not exist. Raises DeployError for a name that no IAM user can have.
    """
    if not target.is_local:
        return
    import local
    from local import users

    server = local.running()
    if server is None:
        raise DeployError("The embedded AWS was stopped meanwhile. Run the command again.")
    try:
        key = users.access_key(server, name, policy, path="/reviewers/")
    except users.InvalidUserName as error:
        raise DeployError(
            f"{error}. Set REVIEWER to another name; the displayed name can be changed on the page."
        ) from error
    local.use(server, key)
    boto3.setup_default_session()
