"""The console behind a load balancer: its image, its settings, and its stack, which an administrator deploys.

The stack has the roles that people use there, so whoever may change it may give themselves the permissions of both.
"""

import os
from collections.abc import Mapping
from typing import Any

from deploy.changes import Approve, accept
from deploy.errors import DeployError
from deploy.image import push_image
from deploy.package import ROOT
from deploy.stack import Progress, Stack
from deploy.target import Target
from deploy.templates import load_template

DOCKERFILE = "console/Dockerfile"
# Packages of the repository whose modules the console imports, and the files that it reads, as patterns from the root.
_FILES = (
    *("console/**/*.py", "console/web/static/*", "console/web/templates/**/*.html", "console/requirements.lock"),
    *("functions/**/*.py", "training/*.py"),
    *("deploy/*.py", "deploy/templates/*", "workflows/__init__.py", "events/**/*.py", "events/**/*.json"),
    *("vehicles.toml", "labelling.toml", DOCKERFILE),
)

SETTINGS = {
    "CONSOLE_HOST": "HostName",
    "CONSOLE_CERTIFICATE": "CertificateArn",
    "CONSOLE_VPC": "VpcId",
    "CONSOLE_SUBNETS": "LoadBalancerSubnets",
    "CONSOLE_TASK_SUBNETS": "TaskSubnets",
    "CONSOLE_TASK_PUBLIC_IP": "TaskPublicIp",
    "CONSOLE_SCHEME": "Scheme",
    "CONSOLE_ALLOWED_CIDR": "AllowedCidr",
    "CONSOLE_ISSUER": "Issuer",
    "CONSOLE_AUTHORIZATION_ENDPOINT": "AuthorizationEndpoint",
    "CONSOLE_TOKEN_ENDPOINT": "TokenEndpoint",
    "CONSOLE_USER_INFO_ENDPOINT": "UserInfoEndpoint",
    "CONSOLE_CLIENT_ID": "ClientId",
    "CONSOLE_CLIENT_SECRET": "ClientSecretArn",
    "CONSOLE_SCOPE": "Scope",
    "CONSOLE_ROLE_CLAIM": "RoleClaim",
    "CONSOLE_REVIEWERS": "Reviewers",
    "CONSOLE_OPERATORS": "Operators",
    "CONSOLE_CONTACT": "Contact",
    "CONSOLE_SIGN_OUT_ADDRESS": "SignOutAddress",
    "CONSOLE_SESSION_S": "SessionSeconds",
}
"""The environment variable of each setting and its parameter; one that is not set keeps its value."""


def console_context() -> dict[str, bytes]:
    """Return the files of the build context of the console's image by name."""
    files = {file for pattern in _FILES for file in ROOT.glob(pattern) if file.is_file()}
    return {file.relative_to(ROOT).as_posix(): file.read_bytes() for file in sorted(files)}


def given_settings(template: Mapping[str, Any], present: Mapping[str, str], stage: str) -> dict[str, str]:
    """Return the parameters that the environment or this function sets. Raises DeployError naming what is missing.

    The groups are by default those of the stage, so that nobody has a role in two stages by mistake.
    """
    given = {parameter: value for name, parameter in SETTINGS.items() if (value := os.environ.get(name))}
    if not present:
        given.setdefault("Reviewers", f"scones-{stage}-reviewers")
        given.setdefault("Operators", f"scones-{stage}-operators")
    declared = template["Parameters"]
    missing = [
        f"{name} ({declared[parameter].get('Description', parameter)})"
        for name, parameter in SETTINGS.items()
        if parameter not in given and parameter not in present and "Default" not in declared[parameter]
    ]
    if missing:
        raise DeployError("Set these variables, once; later runs keep them:\n  " + "\n  ".join(missing))
    return given


def deploy_console(target: Target, progress: Progress = print, approve: Approve = accept) -> dict[str, str]:
    """Build the image and create or update the stack; return its outputs. Raises DeployError."""
    _check_target(target)
    stack, template = Stack(target.console_stack, progress), load_template("console")
    stack.check_deployable()
    settings = given_settings(template, stack.present_parameters(), target.stage)
    people, data, app = (
        Stack(name).present_outputs() for name in (target.people_stack, target.data_stack, target.app_stack)
    )
    if "ReviewerPolicyArn" not in people or "AlertTopicArn" not in app:
        raise DeployError(
            f"Stage {target.stage} or its policies for people are not deployed. Run `make people`, then `make deploy`."
        )
    image = push_image(data, console_context(), progress)
    parameters = {
        "Stage": target.stage,
        "Image": image,
        **{name: people[name] for name in ("ReviewerPolicyArn", "OperatorPolicyArn")},
        "AlertTopicArn": app["AlertTopicArn"],
        **settings,
    }
    stack.deploy(template, parameters, data["ArtifactsBucket"], approve)
    return stack.outputs()


def remove_console(target: Target, progress: Progress = print) -> None:
    """Delete the stack. Raises DeployError."""
    _check_target(target)
    Stack(target.console_stack, progress).delete()


def _check_target(target: Target) -> None:
    if target.is_local:
        raise DeployError(
            "The embedded AWS runs no containers. `make review` serves the console on this computer; "
            "TARGET=aws deploys the one behind a load balancer."
        )
