"""A stage in an account in this process, and the commands on it."""

from functools import cache
from pathlib import Path

import boto3

from deploy import removal, system
from deploy.changes import Approve, accept
from deploy.package import build_artefacts
from deploy.target import Target
from tests.support.account import EmptyAccount

DEV = Target("aws", "dev")
DATA, APP = DEV.data_stack, DEV.app_stack

build_once = cache(build_artefacts)


class Account:
    """An account, and the commands on its stage; `lines` are what the last one printed."""

    def __init__(self, empty: EmptyAccount, build: Path) -> None:
        self.cloudformation = empty.cloudformation
        self.quotas = empty.quotas
        self.lines: list[str] = []
        self._build = build

    def deploy(self, target: Target = DEV, approve: Approve = accept) -> dict[str, str]:
        self.lines = []
        return system.deploy(target, progress=self.lines.append, build=self._build, approve=approve)

    def plan(self) -> str:
        self.lines = []
        system.plan(DEV, progress=self.lines.append, build=self._build)
        return self.text

    def destroy(self, target: Target = DEV, *, with_data: bool = False) -> None:
        self.lines = []
        removal.destroy(target, with_data=with_data, progress=self.lines.append)

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
