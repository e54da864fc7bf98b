"""Lay out the build context of a Dockerfile as the folder that its image would have, without running anything.

Source: "Dockerfile reference", Docker documentation. Refused is what would need a container: other instructions than
FROM, ARG, COPY, ENV, WORKDIR, USER, EXPOSE, ENTRYPOINT and CMD, and RUN commands other than those in `_run`.
"""

from __future__ import annotations

import io
import json
import posixpath
import re
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Any

from dockerfile_parse import DockerfileParser

from local.images.requirements import unsatisfied_requirements

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What these commands change is not needed by a process: users, compiled files, a virtual environment.
WITHOUT_EFFECT = re.compile(r"(useradd|groupadd) |(\S*/)?python3? -m (venv|compileall) ")
PIP_INSTALL = re.compile(r"((\S*/)?python3? -m )?(\S*/)?pip3? install ")


class BuildFailed(Exception):
    """The image cannot be laid out; the message says which instruction is refused, and why."""


@dataclass
class Stage:
    """A build stage: its folder, and the configuration of its image so far."""

    root: Path
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": DEFAULT_PATH})
    entrypoint: list[str] = field(default_factory=list)
    cmd: list[str] = field(default_factory=list)
    workdir: str = "/"

    def inside(self, path: str) -> Path:
        """Return the place in the folder for a path of the image."""
        absolute = posixpath.normpath(posixpath.join(self.workdir, path))
        return self.root / absolute.lstrip("/")

    def config(self) -> dict[str, Any]:
        """Return the configuration with the keys of the OCI image specification."""
        return {
            "Env": self.environment,
            "Entrypoint": self.entrypoint,
            "Cmd": self.cmd,
            "WorkingDir": self.workdir,
        }


class Layout:
    """Lays out one Dockerfile with the files of `context` in folders below `work`."""

    def __init__(self, dockerfile: Path, context: Path, work: Path, arguments: Mapping[str, str]) -> None:
        """`arguments` are the build arguments."""
        self._dockerfile, self._context, self._work = dockerfile, context.resolve(), work
        self._arguments = dict(arguments)
        self._stages: dict[str, Stage] = {}

    def build(self) -> Stage:
        """Return the last stage. Raises BuildFailed."""
        if not self._dockerfile.is_file():
            raise BuildFailed(f"unable to read Dockerfile {self._dockerfile.name}: there is no such file")
        parser = DockerfileParser(fileobj=io.BytesIO(self._dockerfile.read_bytes()), env_replace=False)
        stage: Stage | None = None
        for step in parser.structure:
            name, value = step["instruction"], step["value"]
            if name == "COMMENT":
                continue
            if name == "ARG":
                key, _, default = value.partition("=")
                self._arguments.setdefault(key, default)
            elif name == "FROM":
                stage = self._from(value)
            elif stage is None or not hasattr(self, f"_{name.lower()}"):
                raise BuildFailed(f"{self._where(step)}: the embedded AWS does not support {name}")
            else:
                getattr(self, f"_{name.lower()}")(stage, value, self._where(step))
        if stage is None:
            raise BuildFailed("the Dockerfile has no FROM")
        return stage

    def _from(self, value: str) -> Stage:
        name = match[1] if (match := re.search(r"\s+AS\s+(\S+)$", value, re.IGNORECASE)) else str(len(self._stages))
        stage = Stage(self._work / f"stage-{len(self._stages)}")
        stage.root.mkdir(parents=True)
        self._stages[name] = stage
        return stage

    def _copy(self, stage: Stage, value: str, where: str) -> None:
        words = shlex.split(self._expanded(stage, value))
        origin = self._context
        if words[0].startswith("--from="):
            source_stage = self._stages.get(words.pop(0).removeprefix("--from="))
            if source_stage is None:
                raise BuildFailed(f"{where}: COPY --from names no earlier stage")
            origin = source_stage.root
        if len(words) < 2 or words[0].startswith("--"):
            raise BuildFailed(f"{where}: the embedded AWS does not support COPY {value}")
        *sources, target = words
        for source in sources:
            found = (origin / source.lstrip("/")).resolve()
            if not found.is_relative_to(origin.resolve()):
                raise BuildFailed(f"{where}: {source} is outside of the build context")
            if not found.exists():
                # What RUN would have written in another stage is installed in this Python already.
                if origin != self._context:
                    continue
                raise BuildFailed(f"{where}: {source} is not in the build context")
            place = stage.inside(target)
            if found.is_dir():
                shutil.copytree(found, place, dirs_exist_ok=True)
                continue
            if target.endswith("/") or len(sources) > 1:
                place = place / found.name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(found, place)

    def _env(self, stage: Stage, value: str, where: str) -> None:
        for word in shlex.split(value):
            key, equals, text = word.partition("=")
            if not equals:
                raise BuildFailed(f"{where}: write ENV as key=value")
            stage.environment[key] = self._expanded(stage, text)

    def _workdir(self, stage: Stage, value: str, where: str) -> None:
        stage.workdir = posixpath.normpath(posixpath.join(stage.workdir, self._expanded(stage, value)))
        stage.inside(".").mkdir(parents=True, exist_ok=True)

    def _user(self, _stage: Stage, _value: str, _where: str) -> None:
        """Do nothing: a process runs as the user of the embedded AWS."""

    def _expose(self, _stage: Stage, _value: str, _where: str) -> None:
        """Do nothing: EXPOSE documents a port and does not open it."""

    def _volume(self, stage: Stage, value: str, where: str) -> None:
        """Make the folders: a process writes to them as it does to all of the image."""
        for folder in _exec_form(value, where):
            stage.inside(folder).mkdir(parents=True, exist_ok=True)

    def _entrypoint(self, stage: Stage, value: str, where: str) -> None:
        stage.entrypoint = _exec_form(value, where)

    def _cmd(self, stage: Stage, value: str, where: str) -> None:
        stage.cmd = _exec_form(value, where)

    def _run(self, stage: Stage, value: str, where: str) -> None:
        for raw in value.split("&&"):
            command = " ".join(raw.split())
            if PIP_INSTALL.match(command):
                self._check_installed(stage, shlex.split(command), where)
            elif not WITHOUT_EFFECT.match(f"{command} "):
                raise BuildFailed(f"{where}: the embedded AWS does not run `{command}`")

    def _check_installed(self, stage: Stage, words: list[str], where: str) -> None:
        """Check that the packages of the requirements files are installed in this Python, in their versions."""
        files = [words[at + 1] for at, word in enumerate(words[:-1]) if word in ("-r", "--requirement")]
        if not files:
            raise BuildFailed(f"{where}: the embedded AWS supports pip install with a requirements file only")
        for file in files:
            path = stage.inside(file)
            if not path.is_file():
                raise BuildFailed(f"{where}: there is no requirements file {file}")
            if problems := unsatisfied_requirements(path):
                raise BuildFailed(
                    f"{where}: {file} pins packages that this Python does not have in these versions: "
                    f"{', '.join(problems)}. Run `make setup` after a change of the pinned versions"
                )

    def _expanded(self, stage: Stage, text: str) -> str:
        return Template(text).safe_substitute({**self._arguments, **stage.environment})

    def _where(self, step: dict[str, Any]) -> str:
        return f"{self._dockerfile.name}:{step['startline'] + 1}"


def _exec_form(value: str, where: str) -> list[str]:
    try:
        command = json.loads(value)
    except ValueError:
        command = None
    if not isinstance(command, list) or not all(isinstance(word, str) for word in command):
        raise BuildFailed(f'{where}: write the command as a JSON list, such as ["python", "-m", "program"]')
    return command
