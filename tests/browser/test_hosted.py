"""The console as it runs behind a load balancer: the process of the container, roles of IAM, and two people."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import boto3
import botocore.session
import httpx
import pytest
from botocore.exceptions import ClientError
from playwright.sync_api import Browser, BrowserContext, Page, expect

import local
from console.aws import Aws
from console.identity import find_reviewer
from console.people import Person, assume_role
from deploy.package import ROOT
from deploy.stack import Stack
from deploy.templates import load_template
from local import users
from local.credentials import AccessKey
from tests.browser.browser_tab import AXE, COVERED
from tests.browser.deployed_stage import Stage as DeployedStage
from tests.support.front import COOKIE, Front, serve_front
from tests.support.load_balancer import CLIENT, ISSUER, Signer, serve_keys
from tests.support.network import free_port
from tests.support.waiting import eventually

PEOPLE: Mapping[str, Mapping[str, Any]] = {
    "ada": {"sub": "ada-1", "name": "Ada", "groups": ["scones-test-reviewers"]},
    "grace": {"sub": "grace-1", "name": "Grace", "groups": ["scones-test-operators"]},
    "eve": {"sub": "eve-1", "name": "Eve", "groups": ["scones-prod-operators"]},
}


@dataclass(frozen=True)
class Roles:
    """The key of the principal that the task is, and the ARNs of the roles of people."""

    task: AccessKey
    reviewer: str
    operator: str


@pytest.fixture(scope="module")
def roles(enforced: DeployedStage) -> Roles:
    """The principal of the task and the roles of people."""
    server = local.running()
    assert server
    people = Stack(f"{enforced.deployed.app_name}-people").outputs()
    account = enforced.deployed.account
    template = load_template("console")["Resources"]
    path = template["ReviewerRole"]["Properties"]["Path"]
    arns = {name: f"arn:aws:iam::{account}:role{path}{name}" for name in ("Reviewer", "Operator")}
    # The permissions of the template for the task, with the names of this stage.
    apart, inline = template["AssumePeople"]["Properties"], template["TaskRole"]["Properties"]["Policies"][0]
    (assume,), (describe,) = (one["PolicyDocument"]["Statement"] for one in (apart, inline))
    assume |= {"Resource": list(arns.values())}
    stack = describe["Resource"]["Fn::Sub"].partition(":stack/")[2].replace("${Stage}", enforced.deployed.stage)
    describe |= {"Resource": f"arn:aws:cloudformation:{enforced.deployed.region}:{account}:stack/{stack}"}
    key = users.access_key(server, "task", {"Version": "2012-10-17", "Statement": [assume, describe]})
    iam: Any = boto3.client("iam")
    principal = {"AWS": f"arn:aws:iam::{account}:user/task"}
    trust = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    for name in arns:
        iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=document)
        iam.attach_role_policy(RoleName=name, PolicyArn=people[f"{name}PolicyArn"])
    return Roles(key, arns["Reviewer"], arns["Operator"])


@pytest.fixture(scope="module")
def front(enforced: DeployedStage, roles: Roles) -> Iterator[Front]:
    """The console in a process of its own, with the credentials of the task, behind the load balancer."""
    signer, port, target = Signer(), free_port(), free_port()
    server = local.running()
    assert server
    with serve_keys(signer) as keys:
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            **local.settings.CLIENT_VARIABLES,
            "AWS_ENDPOINT_URL": server.url,
            "AWS_ACCESS_KEY_ID": roles.task.access_key_id,
            "AWS_SECRET_ACCESS_KEY": roles.task.secret_access_key,
            "AWS_DEFAULT_REGION": server.region,
            "CONSOLE_STACK": enforced.deployed.app_name,
            "CONSOLE_ADDRESS": f"http://127.0.0.1:{port}",
            "CONSOLE_BIND": "127.0.0.1",
            "CONSOLE_PORT": str(target),
            "CONSOLE_LOAD_BALANCER": signer.arn,
            "CONSOLE_KEYS": keys,
            "CONSOLE_ISSUER": ISSUER,
            "CONSOLE_CLIENT_ID": CLIENT,
            "CONSOLE_ROLE_CLAIM": "groups",
            "CONSOLE_REVIEWERS": "scones-test-reviewers",
            "CONSOLE_OPERATORS": "scones-test-operators",
            "CONSOLE_CONTACT": "the shift lead",
            "CONSOLE_REVIEWER_ROLE": roles.reviewer,
            "CONSOLE_OPERATOR_ROLE": roles.operator,
            "CONSOLE_SIGN_OUT_ADDRESS": "none",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "console.hosted"], env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True
        )
        health = f"http://127.0.0.1:{target}/health"

        def runs() -> bool:
            assert process.poll() is None, process.stderr and process.stderr.read()
            try:
                return httpx.get(health).text == "ok"
            except httpx.ConnectError:  # it does not listen yet
                return False

        try:
            eventually(runs)
            front = Front(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{target}", signer, PEOPLE)
            with serve_front(front, port):
                yield front
        finally:
            process.terminate()
            errors = process.communicate(timeout=60)[1]
        assert process.returncode in (0, -15), errors
        assert "Traceback" not in errors
        for secret in ("uploads/driver", "eyJ"):
            assert secret not in errors


@pytest.fixture
def browser(chromium: Browser) -> Iterator[BrowserContext]:
    """A browser in which nobody is signed in."""
    context = chromium.new_context(viewport={"width": 1366, "height": 768})
    context.set_default_timeout(20_000)
    yield context
    context.close()


def sign_in(browser: BrowserContext, front: Front, name: str, path: str = "/") -> Page:
    """Open a page of the console as somebody who has to sign in; return it."""
    page = browser.new_page()
    page.goto(front.address + path)
    expect(page.locator("h1")).to_have_text("Identity provider")
    page.get_by_role("link", name=name).click()
    page.wait_for_url(front.address + path)
    return page


def test_a_reviewer_signs_in_answers_and_sees_no_operator_actions(
    enforced: DeployedStage, browser: BrowserContext, front: Front
) -> None:
    enforced.purge_queues()
    (photo,) = enforced.request_reviews()
    enforced.wait_for_requests(1)
    page = sign_in(browser, front, "ada")
    expect(page.locator("#reviewer-name")).to_have_text("Ada")
    expect(page.locator("#photo-name")).to_contain_text(photo.key.rpartition("/")[2])
    # A key that was meant for the photo before counts for none.
    expect(page.locator("body.fresh")).to_have_count(0)
    page.keyboard.press("b")
    label = eventually(lambda: enforced.label(photo), what="the label")
    role, _, session = label["reviewer"].partition(":")
    assert (role[:4], session, label["reviewer_name"]) == ("AROA", "ada-1", "Ada")
    expect(page.locator("footer")).to_contain_text(label["reviewer"])
    for path in ("/now", "/model", "/photos", "/dead-letters", "/upload"):
        page.goto(front.address + path)
        expect(page.locator("[data-opens]")).to_have_count(0)
        expect(page.locator("#reviewer-name")).to_have_text("Ada")
        page.evaluate(AXE)
        assert page.evaluate("axe.run()")["violations"] == []
    # A reviewer who knows the address of an operator's button, and sends what the page would send.
    refused = page.evaluate(
        """async () => {
            const { post } = await import("/static/console.js");
            try { return await post("/api/model/retrain", { confirm: "test", dry_run: true }); }
            catch (error) { return [error.status, error.message]; }
        }"""
    )
    assert refused == [403, "You may not retrain a model; an operator has to do it: make retrain STAGE=test"]


def test_an_operator_operates_with_a_role_of_their_own(
    enforced: DeployedStage, browser: BrowserContext, front: Front
) -> None:
    page = sign_in(browser, front, "grace", "/model")
    expect(page.locator("#reviewer-name")).to_have_text("Grace")
    page.get_by_role("button", name="Dry run").click()
    page.get_by_role("button", name="Start the dry run").click()
    expect(page.locator("h1")).to_contain_text("Retraining dry-run-AROA")
    (execution,) = enforced.aws.stepfunctions.list_executions(stateMachineArn=enforced.deployed.retrain_model_arn)[
        "executions"
    ]
    assert "-grace-1-" in execution["name"]
    # Both roles of a person have one name of a session, and only the reviewer's is in labels.
    expect(page.locator("footer")).to_contain_text(":grace-1")


def test_somebody_without_a_role_in_this_stage_is_told_whom_to_ask(browser: BrowserContext, front: Front) -> None:
    page = sign_in(browser, front, "eve", "/photos")
    expect(page.locator("h1")).to_have_text("You have no role here")
    expect(page.locator("main")).to_contain_text("Ask the shift lead for the group scones-test-reviewers")
    page.evaluate(AXE)
    assert page.evaluate("axe.run()")["violations"] == []
    # After a change of the groups, signing out and in again is enough.
    page.get_by_role("link", name="Sign out").click()
    expect(page.locator("h1")).to_have_text("You are signed out of the console")
    front.people["eve"] = {**PEOPLE["eve"], "groups": ["scones-test-reviewers"]}
    page.get_by_role("link", name="Sign in again").click()
    expect(page.locator("h1")).to_have_text("Identity provider")
    page.get_by_role("link", name="eve").click()
    expect(page.locator("#reviewer-name")).to_have_text("Eve")


def test_signing_out_ends_the_session_of_the_browser(browser: BrowserContext, front: Front) -> None:
    page = sign_in(browser, front, "grace")
    expect(page.locator("#reviewer-name")).to_have_text("Grace")
    assert COOKIE in {cookie["name"] for cookie in browser.cookies()}
    for width, height in ((1366, 768), (768, 1024), (640, 360), (360, 640), (320, 568)):
        page.set_viewport_size({"width": width, "height": height})
        # Visible words: a name alone does not say that it signs out.
        expect(page.get_by_text("Sign out", exact=True)).to_be_in_viewport(ratio=1)
        assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
        assert page.evaluate(COVERED) == []
    page.get_by_role("link", name="Sign out").click()
    expect(page.locator("h1")).to_have_text("You are signed out of the console")
    assert browser.cookies() == []
    page.goto(f"{front.address}/photos")
    expect(page.locator("h1")).to_have_text("Identity provider")


def test_a_page_says_that_the_sign_in_has_ended(browser: BrowserContext, front: Front) -> None:
    page = sign_in(browser, front, "ada")
    expect(page.locator("#reviewer-name")).to_have_text("Ada")
    front.end_sessions()
    expect(page.locator("#banner")).to_contain_text("Your sign-in has ended. Reload the page to sign in again.")


def test_headers_that_a_client_sends_are_not_those_of_the_load_balancer(front: Front) -> None:
    forged = Signer().headers(PEOPLE["grace"])
    assert httpx.get(f"{front.address}/now", headers=forged).headers["location"].startswith("/identity-provider")
    # In the network of the console, past the load balancer.
    refused = httpx.get(f"{front.target}/now", headers={**forged, "host": front.address.partition("://")[2]})
    assert (refused.status_code, "The sign-in of the request is not valid" in refused.text) == (401, True)


def test_the_role_of_a_reviewer_cannot_do_what_operators_do_or_answer_as_somebody_else(
    enforced: DeployedStage, roles: Roles
) -> None:
    server = local.running()
    assert server
    task = botocore.session.Session()
    task.set_credentials(roles.task.access_key_id, roles.task.secret_access_key)
    ada = Aws(assume_role(task, roles.reviewer, Person("ada-1", "Ada", "reviewer").session_name))
    identity = find_reviewer(ada.sts).id
    assert identity.endswith(":ada-1")
    deployed = enforced.deployed
    own, other = f"labels/{7:032}/{identity}/1.json", f"labels/{7:032}/{identity.replace('ada', 'bob')}/1.json"
    ada.s3.put_object(Bucket=deployed.ml_bucket, Key=own, Body=b"{}", IfNoneMatch="*")
    with_task = boto3.session.Session(botocore_session=task)
    refused = [
        lambda: ada.s3.put_object(Bucket=deployed.ml_bucket, Key=other, Body=b"{}", IfNoneMatch="*"),
        lambda: ada.stepfunctions.start_execution(stateMachineArn=deployed.retrain_model_arn, input="{}"),
        lambda: ada.stepfunctions.start_execution(stateMachineArn=deployed.rollback_model_arn, input="{}"),
        lambda: ada.ssm.put_parameter(Name=deployed.threshold_parameter, Value="0", Overwrite=True),
        lambda: ada.sts.assume_role(RoleArn=roles.operator, RoleSessionName="ada-1"),
        lambda: with_task.client("sqs").receive_message(QueueUrl=deployed.review_queue_url),
        lambda: with_task.client("s3").list_objects_v2(Bucket=deployed.ml_bucket),
    ]
    for call in refused:
        with pytest.raises(ClientError, match="AccessDenied"):
            call()
