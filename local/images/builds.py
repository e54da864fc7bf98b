"""CodeBuild: builds that run `docker build` and `docker push` lay the image out as a folder.

Patch: `codebuild._start_build`. ministack's builds succeed at once without doing anything, or need Docker. The source
of a build is a zip file in S3. The commands of its buildspec run in the order of the phases; `docker login` has no
effect, and other commands than these three fail the build.

ministack authorizes BatchGetBuilds on all resources. Here it is authorized on the projects of the builds ("Actions,
resources, and condition keys for AWS CodeBuild", Service Authorization Reference).
"""

from __future__ import annotations

import copy
import json
import logging
import re
import shlex
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from string import Template
from typing import Any

import yaml
from ministack.core.responses import get_account_id, get_region, json_response
from ministack.services import cloudwatch_logs, codebuild

from local import authorization, patches
from local.authorization import Permission
from local.images.dockerfile import BuildFailed, Layout, Stage
from local.images.registry import Images, repository_arn
from local.sagemaker.aws import DataError, LogStream, Storage, start_thread
from local.service_roles import NotAuthorized, ServiceRole
from local.settings import Settings

logger = logging.getLogger("local.images")
PHASES = ("install", "pre_build", "build", "post_build")
# "IAM permissions for pushing an image to an Amazon ECR private repository", Amazon ECR User Guide.
PUSH_ACTIONS = (
    *("BatchCheckLayerAvailability", "BatchGetImage", "InitiateLayerUpload"),
    *("UploadLayerPart", "CompleteLayerUpload", "PutImage"),
)
LOGIN = re.compile(r"(aws ecr get-login-password[^|]*\| *)?docker login .*")


class Build:
    """One build: its record in ministack, and the images that it has built by tag."""

    def __init__(self, record: dict[str, Any], request: dict[str, Any], settings: Settings, images: Images) -> None:
        self._record = record
        self._request = request
        self._settings = settings
        self._images = images
        self._built: dict[str, Stage] = {}
        self._home = settings.work / "builds" / record["id"].replace(":", "-")
        project = codebuild._projects[record["projectName"]]
        self._role = ServiceRole(project["serviceRole"], "codebuild.amazonaws.com", project["arn"])
        group, stream = record["logs"]["groupName"], record["logs"]["streamName"]
        self._log = LogStream(group, stream, self._role, group_exists=group in cloudwatch_logs._log_groups)

    def run(self) -> None:
        """Run the build to its end; never raises."""
        try:
            self._run()
            self._end("SUCCEEDED")
        except (BuildFailed, DataError, NotAuthorized) as error:
            self._log.write(f"[Container] Phase context status code: COMMAND_EXECUTION_ERROR Message: {error}")
            self._end("FAILED")
        except Exception as error:
            logger.exception("build %s", self._record["id"])
            self._log.write(f"[Container] {error!r}")
            self._end("FAULT")
        finally:
            shutil.rmtree(self._home, ignore_errors=True)

    def _run(self) -> None:
        source = self._record["source"]
        if source.get("type") != "S3":
            raise BuildFailed(f"the embedded AWS builds a source of type S3, not {source.get('type')}")
        archive, context = self._home / "source.zip", self._home / "source"
        # CodeBuild reads a version of the object ("Create a CodeBuild service role", AWS CodeBuild User Guide).
        self._role.require("s3:GetObjectVersion", f"arn:aws:s3:::{source['location']}")
        Storage(self._settings).as_role(self._role).download(f"s3://{source['location']}", archive)
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(context)
        for command in self._commands(source.get("buildspec", "")):
            self._log.write(f"[Container] Running command {command}")
            expanded = Template(command).safe_substitute(self._variables())
            self._run_command(expanded, context)

    def _commands(self, buildspec: str) -> Iterator[str]:
        phases = (yaml.safe_load(buildspec) or {}).get("phases", {})
        for phase in PHASES:
            yield from phases.get(phase, {}).get("commands", ())

    def _variables(self) -> dict[str, str]:
        declared = self._record["environment"].get("environmentVariables", [])
        given = self._request.get("environmentVariablesOverride", [])
        region = {"AWS_REGION": get_region(), "AWS_DEFAULT_REGION": get_region()}
        return {**region, **{item["name"]: item["value"] for item in (*declared, *given)}}

    def _run_command(self, command: str, context: Path) -> None:
        words = shlex.split(command)
        if LOGIN.fullmatch(command):
            self._role.require("ecr:GetAuthorizationToken", "*")
            return
        if words[:2] == ["docker", "build"]:
            self._docker_build(words[2:], context)
        elif words[:2] == ["docker", "push"] and len(words) == 3:
            if words[2] not in self._built:
                raise BuildFailed(f"An image does not exist locally with the tag: {words[2]}")
            for action in PUSH_ACTIONS:
                self._role.require(f"ecr:{action}", repository_arn(words[2]))
            digest = self._images.push(self._built[words[2]], words[2])
            self._log.write(f"{words[2].rpartition(':')[2]}: digest: {digest}")
        else:
            raise BuildFailed(f"the embedded AWS runs docker login, docker build and docker push, not `{command}`")

    def _docker_build(self, words: list[str], context: Path) -> None:
        dockerfile, tag, arguments = "Dockerfile", "", {}
        options = iter(words)
        for word in options:
            name, equals, value = word.partition("=")
            if not name.startswith("-"):
                context = context / word
                continue
            value = value if equals else next(options, "")
            if name in ("--file", "-f"):
                dockerfile = value
            elif name in ("--tag", "-t"):
                tag = value
            elif name == "--build-arg":
                key, _, arguments[key] = value.partition("=")
            else:
                raise BuildFailed(f"the embedded AWS does not support the option {name} of docker build")
        layout = Layout(context / dockerfile, context, self._home / f"image-{len(self._built)}", arguments)
        self._built[tag] = layout.build()
        self._log.write(f"Laid out {tag}")

    def _end(self, status: str) -> None:
        self._log.flush()
        self._record.update(buildStatus=status, currentPhase="COMPLETED", endTime=int(time.time()))


def install(settings: Settings, images: Images) -> None:
    """Apply the patch of this module."""

    def start_build(data: dict[str, Any]) -> Any:
        status, headers, body = original(data)
        if status >= 400:
            return status, headers, body
        record = codebuild._builds[json.loads(body)["build"]["id"]]
        source = copy.deepcopy(record["source"])
        for key, override in (("type", "sourceTypeOverride"), ("location", "sourceLocationOverride")):
            source[key] = data.get(override, source.get(key))
        del record["endTime"]
        record.update(source=source, buildStatus="IN_PROGRESS", currentPhase="BUILD", phases=[])
        record["initiator"] = f"{get_account_id()}/user"
        start_thread(f"build {record['id']}", lambda: Build(record, data, settings, images).run())
        return json_response({"build": copy.deepcopy(record)})

    authorization.require("codebuild", _permissions)
    original: Callable[..., Any] = patches.replace(codebuild, "_start_build", "data", start_build)


def _permissions(asked: Permission, body: bytes, region: str) -> list[Permission]:
    if asked.action != "codebuild:BatchGetBuilds":
        return [asked]
    projects = {str(one).partition(":")[0] for one in json.loads(body).get("ids", ())}
    arn = f"arn:aws:codebuild:{region}:{get_account_id()}:project/"
    return [replace(asked, resource=arn + name) for name in sorted(projects)] or [asked]
