"""Remove task tokens from texts for display: anyone with the token of a waiting execution can answer it."""

import html
import json
import re
import unicodedata
from typing import Any
from urllib.parse import unquote

from functions.shared.texts import shortened

HIDDEN = "(not shown)"
NOT_SHOWN = "(not shown: the text is not valid JSON, and it contains a task token)"

_MAX_DEPTH = 40
_MAX_TOKENS = 100
# A shorter value could be a part of any word.
_SHORTEST_TOKEN = 6
_MENTION = re.compile(r"task[\W_]*token", re.IGNORECASE)
_ESCAPE = re.compile(r"\\+(?:u([0-9a-f]{4})|x([0-9a-f]{2}))", re.IGNORECASE)
_STRUCTURE = re.compile(r"[\"'{}\[\]<>&=%\\]")
# The tokens of Step Functions are base64 of several hundred characters.
_LONG = re.compile(r"[A-Za-z0-9+/=_-]{160,}")


def redacted(body: str, length: int = 2000) -> str:
    """Return the body of a message for display: without the values of task tokens, at most `length` characters.

    The values of fields whose name contains `token` are removed, in any notation and nested in texts and lists, and
    wherever else they occur. Text that is not JSON is not shown at all when it mentions a task token.
    """
    try:
        state = json.loads(body)
    except (ValueError, RecursionError):  # text is shown as text
        shown = NOT_SHOWN if _mentions_token(body) else body
        return _printable(_LONG.sub(HIDDEN, shown))[:length]
    return _printable(_redact(state, as_text=False))[:length]


def redacted_text(text: str, length: int = 600) -> str:
    """Return an error for display: without task tokens, at most `length` characters."""
    return shortened(_printable(_redact(text, as_text=True)), length)


def _redact(state: Any, *, as_text: bool) -> str:
    """Return a JSON value as JSON, or a text as it is, without task tokens."""
    tokens: set[str] = set()
    clean = _without_tokens(state, tokens, 0)
    shown = str(clean) if as_text else json.dumps(clean, ensure_ascii=False, indent=2)
    if len(tokens) > _MAX_TOKENS:
        return f"(not shown: it contains {len(tokens)} task tokens)"
    for token in sorted(tokens, key=len, reverse=True):
        for written in (token, json.dumps(token)[1:-1], json.dumps(token, ensure_ascii=False)[1:-1]):
            shown = shown.replace(written, HIDDEN)
    return _LONG.sub(HIDDEN, shown)


def _without_tokens(value: Any, tokens: set[str], depth: int) -> Any:
    """Return a JSON value without task tokens, and add the removed texts to `tokens`."""
    if depth > _MAX_DEPTH:
        _collect(value, tokens)
        return HIDDEN
    if isinstance(value, dict):
        # {"name": "taskToken", "value": …}
        pair = any(isinstance(inner, str) and _is_token_name(inner) for inner in value.values())
        clean = {}
        for name, inner in value.items():
            shown_name = _without_tokens(name, tokens, depth + 1)
            if "token" in _letters(name) or (pair and not (isinstance(inner, str) and _is_token_name(inner))):
                _collect(inner, tokens)
                clean[shown_name] = HIDDEN
            else:
                clean[shown_name] = _without_tokens(inner, tokens, depth + 1)
        return clean
    if isinstance(value, list):
        # ["taskToken", …]
        named = any(isinstance(inner, str) and _is_token_name(inner) for inner in value)
        clean_list = []
        for inner in value:
            if named and not (isinstance(inner, str) and _is_token_name(inner)):
                _collect(inner, tokens)
                clean_list.append(HIDDEN)
            else:
                clean_list.append(_without_tokens(inner, tokens, depth + 1))
        return clean_list
    return _text_without_tokens(value, tokens, depth) if isinstance(value, str) else value


def _text_without_tokens(text: str, tokens: set[str], depth: int) -> str:
    """Return a text, which can contain JSON, without task tokens."""
    if text.lstrip()[:1] in ("{", "[", '"'):
        try:
            state = json.loads(text)
        except (ValueError, RecursionError):  # no JSON: redacted as text below
            pass
        else:
            clean = _without_tokens(state, tokens, depth + 1)
            return text if clean == state else json.dumps(clean, ensure_ascii=False)
    if not _mentions_token(text) or _is_token_name(text):
        return text
    before = _MENTION.split(_unescaped(text))[0]
    # In a structure, the token can be before its name.
    return HIDDEN if _STRUCTURE.search(before) else f"{before}{HIDDEN}"


def _collect(value: Any, tokens: set[str]) -> None:
    """Add every text and number in a removed value to `tokens`, so that it is removed elsewhere too."""
    pending = [value]
    while pending:
        one = pending.pop()
        if isinstance(one, dict):
            pending += one.values()
        elif isinstance(one, list):
            pending += one
        elif len(str(one)) >= _SHORTEST_TOKEN:
            tokens.add(str(one))


def _unescaped(text: str) -> str:
    """Return a text without the escapes of JSON, URLs and HTML, and in the usual form of Unicode characters."""
    text = _ESCAPE.sub(lambda found: chr(int(found[1] or found[2], 16)), text)
    text = html.unescape(unquote(unquote(text)))
    return unicodedata.normalize("NFKC", _ESCAPE.sub(lambda found: chr(int(found[1] or found[2], 16)), text))


def _mentions_token(text: str) -> bool:
    return _MENTION.search(_unescaped(text)) is not None


def _letters(name: str) -> str:
    return "".join(character for character in _unescaped(name).casefold() if character.isalpha())


def _is_token_name(text: str) -> bool:
    """Whether a whole text is the name of a task token, such as `taskToken` or `$$.Task.Token`."""
    return len(text) < 40 and _letters(text) in {"token", "tasktoken"}


def _printable(text: str) -> str:
    """Return a text that can be encoded: JSON can contain half of a surrogate pair."""
    return text.encode(errors="replace").decode()
