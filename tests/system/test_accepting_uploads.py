"""The uploads bucket accepts uploads exactly while the app stack exists."""

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from deploy import removal, settings, system
from deploy.errors import DeployError
from deploy.outputs import Deployed
from deploy.stack import Stack
from deploy.target import Target
from deploy.templates import load_template
from operate.errors import CommandError
from operate.uploads import Source, upload
from tests.system.test_deployment import resources_of


def accepts(stage: str) -> bool:
    """Whether the bucket of the stage accepts a photo now."""
    s3: Any = boto3.client("s3")
    (bucket,) = resources_of({"buckets": [one["Name"] for one in s3.list_buckets()["Buckets"]]}, f"{stage}-uploads")[
        "buckets"
    ]
    try:
        s3.put_object(Bucket=bucket, Key="uploads/d/photo.jpg", Body=b"photo")
    except ClientError as error:
        if error.response["Error"]["Code"] == "AccessDenied":
            return False
        raise
    return True


class Probe:
    """Uploads a photo at each line of progress from the first one about `stack` on."""

    def __init__(self, stack: str) -> None:
        self.stack = stack
        self.lines: list[str] = []
        self.accepted: list[bool] = []

    def __call__(self, line: str) -> None:
        self.lines.append(line)
        if self.accepted or line.startswith(f"{self.stack}:"):
            self.accepted.append(accepts(self.stack.removeprefix("scones-")))


def test_uploads_are_accepted_only_while_the_app_stack_exists(
    embedded_aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = Target("local", "gate")
    creating = Probe("scones-gate")
    deployed = Deployed.of(system.deploy(target, progress=creating))
    assert accepts("gate")
    opened = creating.lines[-len(creating.accepted) :].index("Uploads are accepted.")
    app_created = creating.lines[-len(creating.accepted) :].index("scones-gate-data: updating")
    assert not any(creating.accepted[: app_created + 1])
    assert all(creating.accepted[opened:])

    updating = Probe("scones-gate")
    monkeypatch.setenv("MIN_NEW_LABELS", "7")
    system.deploy(target, progress=updating)
    assert len(updating.accepted) > 2
    assert all(updating.accepted)

    removing = Probe("scones-gate")
    removal.destroy(target, with_data=False, progress=removing)
    assert len(removing.accepted) > 2
    assert not any(removing.accepted)
    assert not accepts("gate")
    with pytest.raises(CommandError, match=r"accepts no uploads.*Run `make deploy`"):
        upload(deployed, None, [Source("a.jpg", b"photo")], lambda *_: None)  # type: ignore[arg-type]

    system.deploy(target, progress=lambda line: None)
    assert accepts("gate")
    removal.destroy(target, with_data=True, progress=lambda line: None)


def test_uploads_stay_denied_when_the_first_deployment_fails(
    embedded_aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = Target("local", "broken")

    def broken(name: str) -> dict[str, Any]:
        template = load_template(name)
        if name == "app":
            template["Resources"]["Unknown"] = {"Type": "AWS::Nothing::Such", "Properties": {}}
        return template

    with monkeypatch.context() as patched:
        patched.setattr(system, "load_template", broken)
        with pytest.raises(DeployError, match=r"The stage accepts no uploads until `make deploy` succeeds\.$"):
            system.deploy(target, progress=lambda line: None)
    assert not accepts("broken")
    system.deploy(target, progress=lambda line: None)
    assert accepts("broken")
    with monkeypatch.context() as patched:
        patched.setattr(system, "load_template", broken)
        with pytest.raises(DeployError) as failed:
            system.deploy(target, progress=lambda line: None)
    assert "accepts no uploads" not in str(failed.value)
    assert accepts("broken")
    removal.destroy(target, with_data=True, progress=lambda line: None)


def test_a_stage_of_an_earlier_version_accepts_uploads_during_its_update(embedded_aws: Any) -> None:
    target = Target("local", "early")
    system.deploy(target, progress=lambda line: None)
    earlier = load_template("data")
    del earlier["Parameters"][settings.ACCEPT_UPLOADS], earlier["Conditions"]["DenyUploads"]
    del earlier["Resources"]["UploadsBucketPolicy"]
    data = Stack(target.data_stack, lambda line: None)
    data.deploy(earlier, {"Stage": "early", "RequireTls": "false"})
    updating = Probe("scones-early")
    system.deploy(target, progress=updating)
    assert data.parameters()[settings.ACCEPT_UPLOADS] == "yes"
    assert all(updating.accepted)
    data.deploy(earlier, {"Stage": "early", "RequireTls": "false"})
    lines: list[str] = []
    removal.destroy(target, with_data=False, progress=lines.append)
    assert any("an earlier version is deployed, which cannot deny uploads" in line for line in lines)
    removal.destroy(target, with_data=True, progress=lines.append)
