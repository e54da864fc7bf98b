"""Forbidden names: private words that were replaced by the terms of the AWS, PyTorch, SciPy and HTTP documentation.

Prose is not checked. In Python files all defined names are checked: modules, classes, functions, parameters,
variables, attributes and import aliases. In other files only TEXTS are checked, which do not occur in prose.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path


@dataclass(frozen=True)
class Name:
    """A forbidden name, the name to use, and the files it is forbidden in (patterns of paths from the root)."""

    forbidden: str
    use: str
    files: tuple[str, ...] = ("*",)


WORDS = (
    Name("throne", "endpoint_repair"),
    Name("crown", "promote"),
    Name("tap", "EventListener"),
    Name("journey", "UploadResult"),
    Name("hear", "apply"),
    Name("seam", "patch"),
    Name("seams", "patches"),
    Name("taught", "distillation_weight"),
    Name("nothings", "blank_images"),
)
"""No identifier may contain these words, also in compounds: `tap` matches `tap_events` and `EventTap`."""

NAMES = (
    Name("conclude_retraining", "record_retraining"),
    Name("sit", "open_session"),
    Name("stand", "close_session"),
    Name("_carry", "_deliver_with_retry"),
    Name("instruments", "make_logger_and_metrics"),
    Name("instead_of", "resolve"),
    Name("_blind", "recall_regressions"),
    Name("never_saw", "the field of the model card without it"),
    Name("official_test", "nothing: the report does not contain it"),
    Name("recall_differences", "recall_regressions"),
    Name("news", "count_changed_labels", ("functions/build_dataset/*",)),
    Name("standing", "effective_labels", ("functions/build_dataset/*",)),
    Name("said", "event_counts", ("operate/*",)),
    Name("hands", "leased", ("console/*",)),
    Name("share", "lr_schedule", ("training/research/*",)),
    Name("Average", "WeightEMA", ("training/*",)),
    Name("warm", "warmup_fraction", ("training/*",)),
    Name("rate", "learning_rate", ("training/research/*",)),
    Name("turn", "muon_lr", ("training/research/*",)),
    Name("smoothing", "label_smoothing", ("training/*",)),
    Name("mixed", "cutmix", ("training/research/*",)),
    Name("shrunk", "progressive_resize", ("training/*",)),
    Name("trials", "robustness", ("training/*",)),
)
"""Forbidden as a whole identifier. Common words are forbidden only in the files where they had a private meaning."""

MODULES = (
    Name("functions/build_dataset/throne", "endpoint_repair"),
    Name("functions/conclude_retraining", "record_retraining"),
    Name("functions/shared/items", "dynamodb"),
    Name("functions/shared/objects", "s3"),
    Name("functions/shared/pending", "photo_table"),
    Name("functions/shared/models", "champion"),
    Name("functions/shared/instruments", "observability"),
    Name("review", "console"),
    Name("*/seams", "patches"),
    Name("*/plain", "terminal"),
    Name("*/observed", "monitoring"),
    Name("*/safety", "security"),
)
"""Modules and packages, as paths without a suffix."""

TEXTS = (
    Name("LookAtEndpoint", "DescribeEndpoint"),
    Name("GoBack?", "RollbackNeeded?"),
    Name("conclude_retraining", "record_retraining"),
    Name("ConcludeRetraining", "RecordRetraining"),
    Name("SeamBroken", "PatchFailed"),
)
"""Names of states and resources, forbidden in the text of every file except Markdown."""

THIS = ("tests/lint/*", "tests/unit/lint/*")
"""The check itself and its tests, which contain the forbidden names."""


def forbidden_names(path: str, text: str) -> Iterator[str]:
    """Yield a line per forbidden name in a file: `path:line: name, use other`. `path` is relative to the repository."""
    module = path.removesuffix(".py").removesuffix("/__init__")
    for name in MODULES:
        if any(fnmatch(part, name.forbidden) for part in _prefixes(module)):
            yield f"{path}:1: module {name.forbidden}, use {name.use}"
    if any(fnmatch(path, pattern) for pattern in THIS) or path.endswith(".md"):
        return
    for name in TEXTS:
        for match in re.finditer(rf"(?<![\w]){re.escape(name.forbidden)}(?!\w)", text):
            line = text.count("\n", 0, match.start()) + 1
            yield f"{path}:{line}: {name.forbidden}, use {name.use}"
    if path.endswith(".py"):
        try:
            tree = ast.parse(text)
        except SyntaxError as error:
            yield f"{path}:{error.lineno}: {error.msg}"
            return
        for line, identifier in _identifiers(tree):
            for name in _matching(path, identifier):
                yield f"{path}:{line}: {identifier}, use {name.use}"


def _prefixes(module: str) -> list[str]:
    """`a/b/c` gives `a`, `a/b` and `a/b/c`."""
    parts = Path(module).parts
    return ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]


def _matching(path: str, identifier: str) -> Iterator[Name]:
    words = {word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", identifier)}
    for name in WORDS:
        if name.forbidden in words and any(fnmatch(path, pattern) for pattern in name.files):
            yield name
    for name in NAMES:
        if name.forbidden == identifier and any(fnmatch(path, pattern) for pattern in name.files):
            yield name


def _identifiers(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and name of everything that the module defines or binds."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.lineno, node.name
            case ast.arg():
                yield node.lineno, node.arg
            case ast.keyword(arg=str()):
                yield node.lineno, str(node.arg)
            case ast.Name(ctx=ast.Store()):
                yield node.lineno, node.id
            case ast.Attribute(ctx=ast.Store()):
                yield node.lineno, node.attr
            case ast.alias():
                yield node.lineno, node.asname or node.name.rpartition(".")[2]
            case ast.ExceptHandler(name=str()):
                yield node.lineno, str(node.name)
