"""The CloudFormation templates, written in YAML and rendered to the JSON that CloudFormation reads."""

import copy
import json
from functools import cache
from pathlib import Path
from typing import Any

import yaml

import events
from deploy.package import FUNCTIONS
from deploy.templates.alarms import add_alarms
from deploy.templates.dashboard import add_dashboard
from deploy.templates.functions import add_functions

NAMES = ("people", "data", "app", "console")
_HERE = Path(__file__).parent
_WITHOUT_PREFIX = {"Ref", "Condition"}


# The parser in C reads a template in a tenth of the time; a PyYAML that was built without it has only the other one.
class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # PyYAML has no types
    """YAML with CloudFormation's short tags, and `!Rule name.Property` for a part of a rule in events/."""


def _short_tag(loader: _Loader, suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if suffix == "Rule":
        name, part = value.split(".")
        return events.rule(name)[part]
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in _WITHOUT_PREFIX else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_tag)


def load_template(name: str) -> dict[str, Any]:
    """Return the template `data` or `app` as JSON values. Raises DeployError for a mistake in what it contains."""
    loaded: dict[str, Any] = copy.deepcopy(_load(name))
    if name == "app":
        add_functions(loaded, copy.deepcopy(_load("functions")), FUNCTIONS)
        add_alarms(loaded, load_alarms())
        add_dashboard(loaded, copy.deepcopy(_load("dashboard")), load_alarms())
    return loaded


def load_alarms() -> dict[str, Any]:
    """Return the entries of alarms.yaml by name."""
    entries: dict[str, Any] = copy.deepcopy(_load("alarms"))
    return entries


def render(folder: Path) -> list[Path]:
    """Write every template as JSON to `folder`; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name in NAMES:
        file = folder / f"{name}.template.json"
        file.write_text(json.dumps(load_template(name), indent=1), encoding="utf-8")
        files.append(file)
    return files


@cache
def _load(name: str) -> Any:
    text = (_HERE / f"{name}.yaml").read_text(encoding="utf-8")
    return yaml.load(text, _Loader)  # noqa: S506  # a SafeLoader
