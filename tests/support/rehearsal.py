"""A stage in an account in this process, and the commands on it."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import boto3

from deploy import removal, system
from deploy.changes import Approve, accept
from deploy.package import build_artefacts
from deploy.target import Target
from tests.support.account import EmptyAccount
from tests.support.deployer import DEPLOYER, REMOVER, Need, is_allowed, needs_of_call

DEV = Target("aws", "dev")
DATA, APP = DEV.data_stack, DEV.app_stack

build_once = cache(build_artefacts)


class Account:
    """An account, and the commands on its stage; `lines` are what the last one printed.

    `denied` is what commands on the stage `dev` called and the policies of a deployer do not allow.
    """

    def __init__(self, empty: EmptyAccount, build: Path) -> None:
        self.cloudformation = empty.cloudformation
        self.quotas = empty.quotas
        self.functions = empty.functions
        self.lines: list[str] = []
        self.denied: list[Need] = []
        self._build = build

    def deploy(self, target: Target = DEV, approve: Approve = accept) -> dict[str, str]:
        with self._checked(target, DEPLOYER):
            return system.deploy(target, progress=self.lines.append, build=self._build, approve=approve)

    def plan(self) -> str:
        with self._checked(DEV, DEPLOYER):
            system.plan(DEV, progress=self.lines.append, build=self._build)
        return self.text

    def destroy(self, target: Target = DEV, *, with_data: bool = False) -> None:
        with self._checked(target, REMOVER if with_data else DEPLOYER):
            removal.destroy(target, with_data=with_data, progress=self.lines.append)

    @contextmanager
    def _checked(self, target: Target, policies: tuple[str, ...]) -> Iterator[None]:
        """Begin new `lines`, and compare the calls in the block with policies."""
        self.lines, events = [], boto3.DEFAULT_SESSION.events

        def check(params: Any, model: Any, **_: Any) -> None:
            # CloudFormation calls other services for its caller: test_deployer.py compares what it needs.
            if is_open and target == DEV and not self.cloudformation.is_working:
                needs = needs_of_call(model.service_model.service_name, model.name, params)
                self.denied += [need for need in needs if not is_allowed(need, policies)]

        is_open = True
        events.register("before-parameter-build", check)
        try:
            yield
        finally:
            # The clients of the block, which may outlive it, have copied the handler.
            is_open = False
            events.unregister("before-parameter-build", check)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def status(self, name: str) -> str | None:
        stack = self.cloudformation.stacks.get(name)
        return None if stack is None or stack.status == "DELETE_COMPLETE" else stack.status

    def parameters(self, name: str) -> dict[str, str]:
        return self.cloudformation.stacks[name].parameters

    def buckets(self) -> list[str]:
        return [bucket["Name"] for bucket in boto3.client("s3").list_buckets()["Buckets"]]
