"""Short names of models: the last part of the full name, which can be copied from one line and typed."""

from collections.abc import Iterable

from functions.shared.champion import ModelTable
from operate.errors import CommandError


def find_promoted(name: str, table: ModelTable) -> str:
    """Return the promoted model that a full or short name means, as `find_model` does."""
    return find_model(name, (model.model_version for model in table.all_promoted()))


def short_name(model_version: str) -> str:
    """Return the last part of a model's name.

    >>> short_name("vehicles-dev-20261123-022200-4f1a"), short_name("initial-89abcdef")
    ('4f1a', '89abcdef')
    """
    return model_version.rpartition("-")[2]


def find_model(name: str, model_versions: Iterable[str]) -> str:
    """Return the model that a full or short name means; a name that no model has is returned as it is.

    Raises CommandError when several models have the short name.

    >>> find_model("4f1a", ["vehicles-dev-20261123-022200-4f1a", "initial-89abcdef"])
    'vehicles-dev-20261123-022200-4f1a'
    """
    found = sorted(version for version in model_versions if name == version or version.endswith(f"-{name}"))
    if len(found) > 1 and name not in found:
        raise CommandError(f"{len(found)} models are called {name}: {', '.join(found)}. Give more of the name.")
    return found[0] if len(found) == 1 else name
