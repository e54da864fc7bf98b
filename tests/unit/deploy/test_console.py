"""The console behind a load balancer: its image, its template, and the command that deploys it."""

import json
import re
import subprocess
import sys
from dataclasses import fields
from fnmatch import fnmatchcase
from typing import Any

import pytest
from fastapi.routing import APIRoute

from console.hosted import Settings
from console.web.roles import ANYBODY, allowed
from console.web.routers import hosted
from console.web.security import HEALTH_PATH, STATIC_PATH
from deploy import console
from deploy.console import console_context, deploy_console, remove_console
from deploy.errors import DeployError
from deploy.package import ROOT
from deploy.people import deploy_people, remove_people
from deploy.target import Target
from deploy.templates import load_template
from local.images.dockerfile import Layout, Stage
from tests.support.rehearsal import DEV, Account
from tests.unit.deploy.test_templates import of_type

CONSOLE: dict[str, Any] = load_template("console")
RESOURCES = CONSOLE["Resources"]
IMAGE = f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/scones-dev@sha256:{'1' * 64}"
GIVEN = {
    "CONSOLE_HOST": "review.example.org",
    "CONSOLE_CERTIFICATE": "arn:aws:acm:eu-west-1:123456789012:certificate/1",
    "CONSOLE_VPC": "vpc-1",
    "CONSOLE_SUBNETS": "subnet-1,subnet-2",
    "CONSOLE_TASK_SUBNETS": "subnet-3",
    "CONSOLE_ISSUER": "https://idp.example.org",
    "CONSOLE_AUTHORIZATION_ENDPOINT": "https://idp.example.org/authorize",
    "CONSOLE_TOKEN_ENDPOINT": "https://idp.example.org/token",
    "CONSOLE_USER_INFO_ENDPOINT": "https://idp.example.org/userinfo",
    "CONSOLE_CLIENT_ID": "console",
    "CONSOLE_CLIENT_SECRET": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:console",
    "CONSOLE_CONTACT": "the shift lead",
}
# Imports every module of the console with the packages of its lock file only.
IMPORT_ALL = """
import importlib, importlib.abc, importlib.metadata, pkgutil, re, sys
locked, owners = set(sys.argv[1].split(",")), importlib.metadata.packages_distributions()

class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        of = {re.sub("[-_.]+", "-", one).lower() for one in owners.get(name.partition(".")[0], ())}
        if of and not of & locked:
            raise ModuleNotFoundError(f"{name} is not in the image")

sys.meta_path.insert(0, Blocked())
import console
print(console.__file__)
for module in pkgutil.walk_packages(console.__path__, "console."):
    if module.name not in ("console.__main__", "console.terminal"):
        importlib.import_module(module.name)
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """The image, laid out as a folder from its build context."""
    work = tmp_path_factory.mktemp("image")
    for name, content in console_context().items():
        (work / "context" / name).parent.mkdir(parents=True, exist_ok=True)
        (work / "context" / name).write_bytes(content)
    return Layout(work / "context" / console.DOCKERFILE, work / "context", work / "layout", {}).build()


def run_in(image: Stage, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the image with its variables."""
    folder = image.inside(".")
    environment = {**image.environment, "PYTHONPATH": str(folder)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )


def test_the_image_has_every_module_and_package_that_the_console_imports(image: Stage) -> None:
    lock = (ROOT / "console" / "requirements.lock").read_text()
    done = run_in(image, "-c", IMPORT_ALL, ",".join(re.findall(r"^([\w.-]+)==", lock, re.MULTILINE)))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(image.root))


def test_the_image_runs_the_console_which_names_the_settings_that_it_lacks(image: Stage) -> None:
    assert image.entrypoint[0] == "python"
    done = run_in(image, *image.entrypoint[1:])
    lacking = {field.name.upper() for field in fields(Settings)} - {"CONSOLE_BIND", "CONSOLE_PORT"}
    assert done.returncode == 1
    assert set(re.findall(r"(CONSOLE_\w+) is not set", done.stderr)) == lacking
    assert len(done.stderr.splitlines()) == 1


def test_the_container_is_no_root_has_no_capability_and_writes_only_to_tmp() -> None:
    (container,) = of_type("AWS::ECS::TaskDefinition", CONSOLE)["Task"]["ContainerDefinitions"]
    assert container["ReadonlyRootFilesystem"] is True
    assert container["LinuxParameters"]["Capabilities"] == {"Drop": ["ALL"]}
    assert container["MountPoints"] == [{"SourceVolume": "scratch", "ContainerPath": "/tmp"}]  # noqa: S108
    assert "Privileged" not in container
    dockerfile = (ROOT / console.DOCKERFILE).read_text()
    assert re.findall(r"^USER (\w+)$", dockerfile, re.MULTILINE) == ["10001"]
    final = dockerfile.rpartition("\nFROM ")[2]
    assert "pip install" not in final
    assert "apt-get" not in dockerfile


def test_the_task_sets_each_variable_that_the_dockerfile_does_not() -> None:
    (container,) = of_type("AWS::ECS::TaskDefinition", CONSOLE)["Task"]["ContainerDefinitions"]
    of_task = {one["Name"] for one in container["Environment"]} - {"AWS_DEFAULT_REGION"}
    of_image = set(re.findall(r"(CONSOLE_\w+)=", (ROOT / console.DOCKERFILE).read_text()))
    assert of_task | of_image == {field.name.upper() for field in fields(Settings)}
    assert not of_task & of_image
    # A secret of the identity provider is the load balancer's alone.
    assert "ClientSecretArn" not in json.dumps(RESOURCES["Task"])


def authenticated(actions: list[dict[str, Any]]) -> dict[str, Any]:
    """Return how the actions of a rule authenticate people before they forward their requests."""
    first, second = sorted(actions, key=lambda action: int(action["Order"]))
    assert (first["Type"], second["Type"]) == ("authenticate-oidc", "forward")
    config: dict[str, Any] = first["AuthenticateOidcConfig"]
    return config


def test_the_load_balancer_signs_people_in_for_everything_but_what_is_open() -> None:
    (listener,) = of_type("AWS::ElasticLoadBalancingV2::Listener", CONSOLE).values()
    assert (listener["Protocol"], listener["Port"]) == ("HTTPS", 443)
    for_pages = authenticated(listener["DefaultActions"])
    rules = of_type("AWS::ElasticLoadBalancingV2::ListenerRule", CONSOLE)
    assert set(rules) == {"WithoutSignIn", "OfScripts"}
    for_scripts = authenticated(rules["OfScripts"]["Actions"])
    assert (for_pages["OnUnauthenticatedRequest"], for_scripts["OnUnauthenticatedRequest"]) == ("authenticate", "deny")
    assert {**for_pages, "OnUnauthenticatedRequest": "deny"} == for_scripts
    assert paths(rules["OfScripts"]) == {"/api/*", "/images/*"}
    open_routes = {
        route.path for route in hosted.router.routes if isinstance(route, APIRoute) and allowed(route) is ANYBODY
    }
    assert paths(rules["WithoutSignIn"]) == {*open_routes - {HEALTH_PATH}, "/favicon.ico", f"{STATIC_PATH}*"}


def paths(rule: dict[str, Any]) -> set[str]:
    (condition,) = rule["Conditions"]
    return set(condition["PathPatternConfig"]["Values"])


def test_the_client_s_secret_is_read_from_secrets_manager_and_is_no_parameter() -> None:
    (listener,) = of_type("AWS::ElasticLoadBalancingV2::Listener", CONSOLE).values()
    secret = authenticated(listener["DefaultActions"])["ClientSecret"]
    assert secret == {"Fn::Sub": "{{resolve:secretsmanager:${ClientSecretArn}:SecretString}}"}
    assert "ClientSecret" not in CONSOLE["Parameters"]


def test_only_the_load_balancer_reaches_the_task() -> None:
    groups = of_type("AWS::EC2::SecurityGroup", CONSOLE)
    (rule,) = groups["TaskSecurityGroup"]["SecurityGroupIngress"]
    assert rule["SourceSecurityGroupId"] == {"Ref": "LoadBalancerSecurityGroup"}
    assert (rule["FromPort"], rule["ToPort"]) == (8080, 8080)
    (target,) = of_type("AWS::ElasticLoadBalancingV2::TargetGroup", CONSOLE).values()
    assert (target["HealthCheckPath"], target["Port"]) == (HEALTH_PATH, 8080)


def test_the_task_may_only_assume_the_roles_of_people_and_read_the_outputs_of_its_stage() -> None:
    (inline,) = RESOURCES["TaskRole"]["Properties"]["Policies"]
    apart = RESOURCES["AssumePeople"]["Properties"]
    statements = [one for policy in (inline, apart) for one in policy["PolicyDocument"]["Statement"]]
    assert {statement["Action"] for statement in statements} == {"cloudformation:DescribeStacks", "sts:AssumeRole"}
    assert statements[1]["Resource"] == [{"Fn::GetAtt": [f"{name}Role", "Arn"]} for name in ("Reviewer", "Operator")]
    assert "stack/scones-${Stage}/*" in statements[0]["Resource"]["Fn::Sub"]
    for name in ("Reviewer", "Operator"):
        role = RESOURCES[f"{name}Role"]["Properties"]
        assert role["ManagedPolicyArns"] == [{"Ref": f"{name}PolicyArn"}]
        assert "Policies" not in role
        (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
        assert trust["Principal"] == {"AWS": {"Fn::GetAtt": ["TaskRole", "Arn"]}}


def test_no_deployer_can_change_a_role_or_the_stack_of_the_console() -> None:
    patterns = set()
    people = load_template("people")["Resources"]
    for name in ("DeployerPolicy", "DeployerStackPolicy", "DeployerDataStackPolicy", "RemoverPolicy"):
        for statement in people[name]["Properties"]["PolicyDocument"]["Statement"]:
            if statement["Action"] == "cloudformation:DescribeStacks":
                continue
            resources = statement["Resource"]
            for resource in resources if isinstance(resources, list) else [resources]:
                patterns.add(resource["Fn::Sub"] if isinstance(resource, dict) else resource)
    of_either = (one for one in patterns if ":role/" in one or ":stack/" in one)
    patterns = {one.replace("${Stage}", "dev") for one in of_either}
    assert len(patterns) == 3
    account = "arn:${AWS::Partition}:iam::${AWS::AccountId}"
    stack = "arn:${AWS::Partition}:cloudformation:${AWS::Region}:${AWS::AccountId}:stack/scones-dev-console/1"
    for name, role in of_type("AWS::IAM::Role", CONSOLE).items():
        arn = f"{account}:role{role['Path']}scones-dev-console-{name}-1"
        # Brackets are no wildcards in IAM.
        assert not any(fnmatchcase(arn, pattern.replace("[", "[[]")) for pattern in patterns), name
    assert not any(fnmatchcase(stack, pattern) for pattern in patterns)


@pytest.fixture
def ready(deployed: Account, monkeypatch: pytest.MonkeyPatch) -> Account:
    """An account with a stage and its policies for people, and the settings of the console."""
    for name, value in GIVEN.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(console, "push_image", lambda *_: IMAGE)
    deploy_people(DEV, deployed.lines.append)
    return deployed


def test_the_console_is_deployed_kept_and_removed(ready: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = deploy_console(DEV, ready.lines.append)
    assert outputs["RedirectAddress"] == "https://review.example.org/oauth2/idpresponse"
    present = ready.parameters(DEV.console_stack)
    assert present["Image"] == IMAGE
    assert (present["Reviewers"], present["Operators"]) == ("scones-dev-reviewers", "scones-dev-operators")
    for name in GIVEN:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CONSOLE_REVIEWERS", "yard")
    deploy_console(DEV, ready.lines.append)
    kept = ready.parameters(DEV.console_stack)
    assert kept == {**present, "Reviewers": "yard"}
    with pytest.raises(DeployError, match=r"let an administrator run `make console REMOVE=yes`\.\nNothing was removed"):
        ready.destroy()
    assert ready.parameters(DEV.data_stack)["AcceptUploads"] == "yes"
    with pytest.raises(DeployError, match=r"uses these policies\. First run `make console REMOVE=yes`"):
        remove_people(DEV, ready.lines.append)
    remove_console(DEV, ready.lines.append)
    assert ready.status(DEV.console_stack) is None
    ready.destroy()
    assert ready.status(DEV.app_stack) is None


def test_a_console_without_a_healthy_task_is_an_alert() -> None:
    (alarm,) = of_type("AWS::CloudWatch::Alarm", CONSOLE).values()
    assert RESOURCES["NoTaskAlarm"]["DependsOn"] == "Service"
    assert alarm["TreatMissingData"] == "breaching"
    assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": "AlertTopicArn"}]
    names = {one["Name"]: one["Value"]["Fn::GetAtt"] for one in alarm["Dimensions"]}
    assert names == {
        "TargetGroup": ["TargetGroup", "TargetGroupFullName"],
        "LoadBalancer": ["LoadBalancer", "LoadBalancerFullName"],
    }


def test_what_is_not_set_is_named_at_once(ready: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONSOLE_HOST", "CONSOLE_CLIENT_SECRET"):
        monkeypatch.delenv(name)
    with pytest.raises(DeployError) as error:
        deploy_console(DEV, ready.lines.append)
    assert re.findall(r"^  (\w+)", str(error.value), re.MULTILINE) == ["CONSOLE_HOST", "CONSOLE_CLIENT_SECRET"]
    assert ready.status(DEV.console_stack) is None


def test_a_stage_without_policies_for_people_has_no_console(deployed: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in GIVEN.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(DeployError, match="Run `make people`, then `make deploy`"):
        deploy_console(DEV, deployed.lines.append)


def test_the_embedded_aws_has_no_containers() -> None:
    for command in (deploy_console, remove_console):
        with pytest.raises(DeployError, match="`make review` serves the console on this computer"):
            command(Target("local", "dev"))


def test_every_parameter_is_a_setting_or_known_from_the_stage() -> None:
    from_stage = {"Stage", "Image", "ReviewerPolicyArn", "OperatorPolicyArn", "AlertTopicArn"}
    assert set(console.SETTINGS.values()) | from_stage | {"LogRetentionDays"} == set(CONSOLE["Parameters"])
    documented = (ROOT / "docs" / "console-hosting.md").read_text()
    for name in console.SETTINGS:
        assert f"`{name}`" in documented, name
