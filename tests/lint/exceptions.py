"""Exceptions that are handled without a word."""

import ast
import io
import tokenize
from collections.abc import Iterator

FOLDERS = ("functions/", "console/", "operate/", "deploy/", "training/", "container/", "workflows/")
# Functions that tell somebody.
TELLING = {"print", "print_exc", "debug", "info", "warning", "error", "exception"}


def silent_handlers(path: str, text: str) -> Iterator[str]:
    """Yield one line for each `except` that neither raises, uses the error, tells somebody nor has a comment.

    The comment is the reason why nothing needs to be said; it is inside the handler or on the line of its `except`.
    `contextlib.suppress` needs one on its line.
    """
    if not (path.startswith(FOLDERS) and path.endswith(".py")):
        return
    comments = {
        token.start[0]
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT
    }
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.With) and node.lineno not in comments:
            for what in (ast.unparse(item.context_expr) for item in node.items):
                if "suppress(" in what and "_suppress" not in what:
                    yield f"{path}:{node.lineno}: {what} needs a comment with the reason"
        if isinstance(node, ast.ExceptHandler) and not comments.intersection(
            range(node.lineno, (node.end_lineno or node.lineno) + 1)
        ):
            parts = list(ast.walk(node))
            used = any(isinstance(part, ast.Name) and part.id == node.name for part in parts)
            raises = any(isinstance(part, ast.Raise) for part in parts)
            if not (used or raises or any(_tells(part) for part in parts)):
                what = ast.unparse(node.type) if node.type else "every exception"
                yield f"{path}:{node.lineno}: {what} is handled without a word; raise, log, or say in a comment why not"


def _tells(part: ast.AST) -> bool:
    if not isinstance(part, ast.Call):
        return False
    name = part.func.attr if isinstance(part.func, ast.Attribute) else getattr(part.func, "id", "")
    return name in TELLING
