"""`python -m console.hosted`: serve the console behind a load balancer that signs people in.

The settings are environment variables, which deploy/templates/console.yaml sets (docs/console-hosting.md).
The AWS credentials of the process need to assume the two roles and to read the outputs of the stage's stack, no more.
"""

import logging
import sys
from dataclasses import dataclass

import botocore.session
import uvicorn
from botocore.exceptions import BotoCoreError, ClientError
from fastapi import FastAPI

from console.answers import choices
from console.aws import Aws
from console.identity import find_reviewer
from console.load_balancer import LoadBalancer, PublicKeys
from console.people import Person, Roles, assume_role
from console.web.app import create_app
from console.web.hosted import HostedAccess, People
from console.web.pages import Pages
from console.web.services import Services
from deploy.errors import DeployError
from deploy.outputs import Deployed
from deploy.stack import Stack
from functions.shared.errors import InvalidSettings
from functions.shared.settings import read_settings

NONE = "none"
"""The value of CONSOLE_SIGN_OUT_ADDRESS where the identity provider has no page to sign out."""

# Longer than the idle timeout of the load balancer, 60 s: a connection that the target closes first is answered
# with 502 ("Troubleshoot your Application Load Balancers", Elastic Load Balancing User Guide).
_KEEP_ALIVE_S = 75


@dataclass(frozen=True)
class Settings:
    """Environment variables of the console. `console_bind` and `console_port`: where it listens.

    `console_stack` is the stack of the stage, such as `scones-dev`. `console_keys` is the folder of the public keys of
    the region's load balancers. The claim `console_role_claim` contains `console_reviewers` or `console_operators`;
    `console_contact` is whom people without a role have to ask. The two roles are ARNs of IAM roles.
    """

    console_stack: str
    console_address: str
    console_bind: str
    console_port: int
    console_load_balancer: str
    console_keys: str
    console_issuer: str
    console_client_id: str
    console_role_claim: str
    console_reviewers: str
    console_operators: str
    console_contact: str
    console_reviewer_role: str
    console_operator_role: str
    console_sign_out_address: str


def make_app(settings: Settings, source: botocore.session.Session) -> FastAPI:
    """Return the application; `source` has the credentials that may assume the roles of people.

    Raises DeployError, ClientError and BotoCoreError when the outputs of the stack cannot be read.
    """
    deployed = Deployed.of(Stack(settings.console_stack).outputs())
    answers = choices()

    def make(person: Person) -> Services:
        reviewing = Aws(assume_role(source, settings.console_reviewer_role, person.session_name))
        operating = (
            Aws(assume_role(source, settings.console_operator_role, person.session_name))
            if person.is_operator
            else None
        )
        return Services.of(
            deployed,
            reviewing,
            answers,
            find_reviewer(reviewing.sts, person.name),
            operator=person.is_operator,
            operator_aws=operating,
            hosted=True,
        )

    return create_app(
        HostedAccess(
            settings.console_address,
            Pages(deployed, answers, "", lambda: None, hosted=True),
            LoadBalancer(
                settings.console_load_balancer,
                settings.console_issuer,
                settings.console_client_id,
                PublicKeys(settings.console_keys),
            ),
            Roles(
                settings.console_role_claim,
                settings.console_reviewers,
                settings.console_operators,
                settings.console_contact,
            ),
            People(make),
            sign_out_address="" if settings.console_sign_out_address == NONE else settings.console_sign_out_address,
        )
    )


def main() -> int:
    """Serve until the process is stopped. Returns the exit status: 0, or 1 with one line on stderr."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    try:
        settings = read_settings(Settings)
        app = make_app(settings, botocore.session.Session())
    except (InvalidSettings, DeployError, ClientError, BotoCoreError) as error:
        print(f"console failed: {error}", file=sys.stderr)
        return 1
    # No access log, because the paths of photos identify drivers. No proxy headers, because nothing reads them.
    uvicorn.run(
        app, host=settings.console_bind, port=settings.console_port, log_level="warning", access_log=False,
        proxy_headers=False, server_header=False, timeout_graceful_shutdown=5, timeout_keep_alive=_KEEP_ALIVE_S,
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
